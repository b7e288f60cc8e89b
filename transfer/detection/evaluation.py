"""Testing a detector now and then with Detectron2's evaluators, and drawing what it finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.evaluation import inference_on_dataset
from jaxtyping import UInt8
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import draw_bounding_boxes

from pretext.images.image_file import open_rgb
from transfer.class_colours import voc_colour
from transfer.detection.annotated import AnnotatedImage, DetectionImages
from transfer.detection.loading import test_loader
from transfer.detection.truth import open_evaluator
from transfer.prediction_gallery import NUM_IMAGES, prediction_gallery

MIN_SCORE = 0.5  # of a box that is drawn
METRICS = ("AP50", "AP75", "AP")


class PeriodicEvaluation:
    """Tests of a run, one after the other.

    Attributes:
        rows: step and metrics (percent) of each test so far; on the first process alone.
    """

    def __init__(
        self,
        images: DetectionImages,
        records: Sequence[dict[str, Any]],
        cfg: CfgNode,
        *,
        eleven_points: bool,
        num_workers: int,
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self._images = images
        self._eleven_points = eleven_points
        self._loader = test_loader(records, cfg, num_workers)
        self._shown = test_loader(records[:NUM_IMAGES], cfg, num_workers=0).dataset
        self._suffix = "_11_point" if eleven_points and not images.is_coco else ""

    def run(self, model: nn.Module, step: int) -> dict[str, float]:
        """AP50, AP75 and AP over IoU 0.5 to 0.95, in percent; `_11_point` behind them if that is how; on the first
        process. Without any detection they are 0.
        """
        with open_evaluator(self._images, eleven_points=self._eleven_points) as evaluator:
            measured = inference_on_dataset(model, self._loader, evaluator).get("bbox")
        if measured is None:
            return {}
        metrics = {f"{name}{self._suffix}": float(np.nan_to_num(measured[name])) for name in METRICS}
        self.rows = [row for row in self.rows if row["step"] < step] + [{"step": step, **metrics}]
        return metrics

    @torch.no_grad()
    def gallery(self, model: nn.Module) -> UInt8[np.ndarray, "height width 3"]:
        """The first images, each with its true boxes and with those that were found with a score of 0.5 or more."""
        model.eval()
        found = [model([self._shown[index]])[0]["instances"].to("cpu") for index in range(len(self._shown))]
        model.train()
        images = self._images.images[: len(found)]
        return prediction_gallery(
            [self._truth(image) for image in images],
            [
                self._prediction(image, of[of.scores >= MIN_SCORE])
                for image, of in zip(images, found, strict=True)
            ],
        )

    def _truth(self, image: AnnotatedImage) -> Tensor:
        corners = torch.tensor([box.corners for box in image.boxes]).reshape(-1, 4)
        labels = [box.label for box in image.boxes]
        return self._draw(image, corners, labels, [self._images.classes[label] for label in labels])

    def _prediction(self, image: AnnotatedImage, found: Any) -> Tensor:
        labels = found.pred_classes.tolist()
        names = [
            f"{self._images.classes[label]} {score:.2f}"
            for label, score in zip(labels, found.scores.tolist(), strict=True)
        ]
        return self._draw(image, found.pred_boxes.tensor, labels, names)

    def _draw(self, image: AnnotatedImage, corners: Tensor, labels: list[int], names: list[str]) -> Tensor:
        picture = pil_to_tensor(open_rgb(image.path))
        if not labels:
            return picture
        colours = [voc_colour(label + 1) for label in labels]
        return draw_bounding_boxes(
            picture,
            corners,
            names,
            colours,
            width=2,
            label_colors="white",
            label_background_colors=colours,
            fill_labels=True,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rows = state["rows"]
