"""The mean over classes, against scikit-learn's Jaccard scores."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, recall_score

pytest.importorskip("mmseg", reason="make segmentation")

from pretext.runtime.distributed import World
from transfer.segmentation.data import SegmentationImages, SegmentedImage
from transfer.segmentation.evaluation import Evaluation

CLASSES = ("background", "sky", "building", "road")


def test_a_class_that_no_mask_shows_is_not_in_the_means_though_it_is_predicted():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(1, 4, (50, 60)), rng.integers(0, 4, (50, 60))
    pixels = tuple(np.bincount(truth.ravel(), minlength=4).tolist())
    image = SegmentedImage(name="a", read=lambda: pytest.fail("opened"), pixels=pixels)
    images = SegmentationImages(address="voc:x:val", classes=CLASSES, images=(image,))
    tests = Evaluation(images, World(rank=0, size=1, device=torch.device("cpu")))
    areas = tests.intersect_and_union(torch.tensor(predicted), torch.tensor(truth), 4, 255)
    metrics = tests.compute_metrics([areas])
    scores = {"labels": [1, 2, 3], "average": None}
    iou = 100 * jaccard_score(truth.ravel(), predicted.ravel(), **scores)
    assert metrics["IoU"] == pytest.approx(dict(zip(CLASSES[1:], iou, strict=True)))
    assert metrics["mIoU"] == pytest.approx(iou.mean())
    accuracy = 100 * recall_score(truth.ravel(), predicted.ravel(), **scores)
    assert metrics["mAcc"] == pytest.approx(accuracy.mean())
    assert metrics["aAcc"] == pytest.approx(100 * (truth == predicted).mean())
