"""Testing a segmentation network with mmsegmentation's IoUMetric, and drawing what it predicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from mmseg.evaluation import IoUMetric
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import draw_segmentation_masks

from pretext.images.masks import VOID
from pretext.runtime.distributed import World
from transfer.data.voc import voc_colour
from transfer.prediction_gallery import NUM_IMAGES, prediction_gallery
from transfer.segmentation.data import SegmentationImages
from transfer.segmentation.layouts import BACKGROUND

METRICS = ("mIoU", "mAcc", "aAcc")


class Evaluation(IoUMetric):
    """mmsegmentation's metric, not rounded, with the IoU of each class, and pictures of what was predicted.

    Its metrics are mIoU, mAcc and aAcc, and `IoU` with those of the classes; in percent.
    """

    default_prefix = ""  # of the metrics' names

    def __init__(self, images: SegmentationImages, world: World) -> None:
        super().__init__(
            ignore_index=VOID, collect_device="gpu"
        )  # by messages; "cpu" is by files in this folder
        self._images, self._world = images, world
        self._shown = images.images[:NUM_IMAGES]
        self._predictions: dict[str, UInt8[np.ndarray, "height width"]] = {}

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of these images, and keep what is predicted for those that will be drawn."""
        super().process(data_batch, data_samples)
        shown = {image.name for image in self._shown}
        for sample in data_samples:
            if sample["img_path"] in shown:
                labels = sample["pred_sem_seg"]["data"][0]
                self._predictions[sample["img_path"]] = labels.to("cpu", torch.uint8).numpy()

    def compute_metrics(self, results: Sequence[tuple[Tensor, ...]]) -> dict[str, Any]:
        """Over all images, in percent; the means are over the classes that the test masks show."""
        areas = [torch.stack(area).double().sum(0) for area in zip(*results, strict=True)]
        shares = self.total_area_to_metrics(*areas)
        names = self._images.shown_classes
        shown = [self._images.classes.index(name) for name in names]
        iou, accuracy = 100 * shares["IoU"][shown], 100 * shares["Acc"][shown]
        values = (float(iou.mean()), float(accuracy.mean()), 100 * float(shares["aAcc"]))
        return dict(zip(METRICS, values, strict=True)) | {"IoU": dict(zip(names, iou.tolist(), strict=True))}

    def gallery(self) -> UInt8[np.ndarray, "height width 3"]:
        """The first images, each with its true classes and with those of the last test; every process must call it."""
        predicted: dict[str, np.ndarray] = {}
        for predictions in self._world.gather(self._predictions):
            predicted |= predictions
        truths, answers = [], []
        for image in self._shown:
            picture, labels = image.read()
            truths.append(self._draw(pil_to_tensor(picture), labels))
            answers.append(self._draw(pil_to_tensor(picture), predicted[image.name]))
        return prediction_gallery(truths, answers)

    def _draw(
        self, picture: UInt8[Tensor, "3 height width"], labels: UInt8[np.ndarray, "height width"]
    ) -> UInt8[Tensor, "3 height width"]:
        """The picture with a colour over each class but the background and what is void."""
        has_background = self._images.classes[0] == BACKGROUND
        drawn = [
            label
            for label in np.unique(labels).tolist()
            if has_background <= label < len(self._images.classes)
        ]
        if not drawn:
            return picture
        colours = [voc_colour(label if has_background else label + 1) for label in drawn]
        masks = torch.from_numpy(labels == np.array(drawn)[:, None, None])
        return draw_segmentation_masks(picture, masks, alpha=0.5, colors=colours)
