"""Testing a segmentation network now and then with mmsegmentation's IoUMetric, and drawing what it says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from mmseg.evaluation import IoUMetric
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import draw_segmentation_masks

from pretext.images.image_file import open_rgb
from pretext.runtime.distributed import World
from transfer.class_colours import voc_colour
from transfer.prediction_gallery import NUM_IMAGES, prediction_gallery
from transfer.segmentation.data import VOID, SegmentationImages, SegmentedImage, read_mask
from transfer.segmentation.layouts import BACKGROUND

METRICS = ("mIoU", "mAcc", "aAcc")


class PeriodicEvaluation(IoUMetric):
    """Tests of a run, one after the other: mmsegmentation's metric, not rounded, and the IoU of each class.

    Attributes:
        rows: of each test so far the step, mIoU, mAcc and aAcc, and `IoU` with those of the classes; in percent.
    """

    default_prefix = ""  # of the metrics' names

    def __init__(self, images: SegmentationImages, world: World) -> None:
        super().__init__(
            ignore_index=VOID, collect_device="gpu"
        )  # by messages; "cpu" is by files in this folder
        self.rows: list[dict[str, Any]] = []
        self._images, self._world = images, world
        self._shown = images.images[:NUM_IMAGES]
        self._predictions: dict[str, UInt8[np.ndarray, "height width"]] = {}

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of these images, and keep what is said of those that will be drawn."""
        super().process(data_batch, data_samples)
        shown = {str(image.path) for image in self._shown}
        for sample in data_samples:
            if sample["img_path"] in shown:
                labels = sample["pred_sem_seg"]["data"][0]
                self._predictions[sample["img_path"]] = labels.to("cpu", torch.uint8).numpy()

    def compute_metrics(self, results: Sequence[tuple[Tensor, ...]]) -> dict[str, Any]:
        """Over all images, in percent; the means are over the classes that the test masks show."""
        areas = [torch.stack(of).double().sum(0) for of in zip(*results, strict=True)]
        shares = self.total_area_to_metrics(*areas)
        names = self._images.shown_classes
        shown = [self._images.classes.index(name) for name in names]
        iou, accuracy = 100 * shares["IoU"][shown], 100 * shares["Acc"][shown]
        values = (float(iou.mean()), float(accuracy.mean()), 100 * float(shares["aAcc"]))
        return dict(zip(METRICS, values, strict=True)) | {"IoU": dict(zip(names, iou.tolist(), strict=True))}

    def add(self, step: int, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Keep what a test after `step` steps gave; mIoU, mAcc and aAcc."""
        self.rows.append({"step": step, **metrics})
        return {name: metrics[name] for name in METRICS}

    def gallery(self) -> UInt8[np.ndarray, "height width 3"]:
        """The first images, each with its true classes and with those of the last test; every process must call it."""
        found: dict[str, np.ndarray] = {}
        for predictions in self._world.gather(self._predictions):
            found |= predictions
        return prediction_gallery(
            [self._draw(image, self._truth(image)) for image in self._shown],
            [self._draw(image, found[str(image.path)]) for image in self._shown],
        )

    def _truth(self, image: SegmentedImage) -> UInt8[np.ndarray, "height width"]:
        """Indices of classes, and beyond them what is void."""
        return read_mask(image.mask) - np.uint8(self._images.first_label)  # below 0 is 255

    def _draw(self, image: SegmentedImage, labels: UInt8[np.ndarray, "height width"]) -> Tensor:
        """The picture with a colour over each class but the background and what is void."""
        picture = pil_to_tensor(open_rgb(image.path))
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
