"""Testing a detector with Detectron2's evaluators, which must give 100 to the truth itself; drawing what it finds."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog, build_detection_test_loader
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator, inference_on_dataset
from detectron2.evaluation.pascal_voc_evaluation import parse_rec
from detectron2.structures import Boxes, Instances
from jaxtyping import UInt8
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import draw_bounding_boxes

from pretext.runtime.distributed import World
from transfer.data.voc import voc_colour, write_annotation
from transfer.detection.annotated import AnnotatedImage, DetectionImages
from transfer.detection.loading import MappedImages
from transfer.prediction_gallery import NUM_IMAGES, prediction_gallery

MIN_SCORE = 0.5  # of a box that is drawn
METRICS = ("AP50", "AP75", "AP")
COCO_MAX_BOXES = 100  # of a class in an image, that COCO's measure counts


class Evaluation:
    """Tests of a detector, and pictures of what it finds.

    Args:
        annotated: the images with their records.
        eleven_points: for VOC's measure, the average precision of VOC2007.
        num_workers: processes that read images, for each process.
    """

    def __init__(
        self,
        images: DetectionImages,
        annotated: Sequence[tuple[AnnotatedImage, dict[str, Any]]],
        cfg: CfgNode,
        *,
        eleven_points: bool,
        num_workers: int,
    ) -> None:
        self._images, self._eleven_points = images, eleven_points
        mapped = MappedImages(annotated, cfg, training=False)
        self._loader = build_detection_test_loader(mapped, mapper=None, num_workers=num_workers)
        self._shown = MappedImages(annotated[:NUM_IMAGES], cfg, training=False)
        self._suffix = "_11_point" if eleven_points and images.measure == "voc" else ""

    def run(self, model: nn.Module) -> dict[str, float]:
        """AP50, AP75 and AP over IoU 0.5 to 0.95, in percent; `_11_point` behind them if that is how; on the first
        process. Without any detection they are 0.
        """
        with (
            redirect_stdout(io.StringIO()),  # COCO's code prints its whole table
            open_evaluator(self._images, eleven_points=self._eleven_points) as evaluator,
        ):
            measured = inference_on_dataset(model, self._loader, evaluator).get("bbox")
        if measured is None:
            return {}
        return {f"{name}{self._suffix}": float(np.nan_to_num(measured[name])) for name in METRICS}

    @torch.no_grad()
    def gallery(self, model: nn.Module) -> UInt8[np.ndarray, "height width 3"]:
        """The first images, each with its true boxes and with those that were found with a score of 0.5 or more."""
        model.eval()
        detected = [
            model([self._shown[index]])[0]["instances"].to("cpu") for index in range(len(self._shown))
        ]
        model.train()
        truths, answers = [], []
        for image, instances in zip(self._images.images, detected, strict=False):
            picture = pil_to_tensor(image.open())
            truths.append(self._draw_truth(picture, image))
            answers.append(self._draw_detected(picture, instances[instances.scores >= MIN_SCORE]))
        return prediction_gallery(truths, answers)

    def _draw_truth(self, picture: Tensor, image: AnnotatedImage) -> Tensor:
        corners = torch.tensor([box.corners for box in image.boxes]).reshape(-1, 4)
        labels = [box.label for box in image.boxes]
        return _draw(picture, corners, labels, [self._images.classes[label] for label in labels])

    def _draw_detected(self, picture: Tensor, instances: Any) -> Tensor:
        labels = instances.pred_classes.tolist()
        names = [
            f"{self._images.classes[label]} {score:.2f}"
            for label, score in zip(labels, instances.scores.tolist(), strict=True)
        ]
        return _draw(picture, instances.pred_boxes.tensor, labels, names)


@contextmanager
def open_evaluator(images: DetectionImages, *, eleven_points: bool) -> Iterator[Any]:
    """Detectron2's evaluator for a test split, to which `image_id` is the place in `images.images`.

    The truth that it reads is written here, into a temporary folder, from what was read of the user's files: nothing in
    these can trip it after hours of training.

    Args:
        eleven_points: for VOC's measure, the average precision of VOC2007.
    """
    with TemporaryDirectory(prefix="truth_") as folder:
        metadata = MetadataCatalog.get(folder)
        try:
            if images.measure == "coco":
                metadata.thing_classes = list(images.classes)
                metadata.json_file = str(_write_coco(images, Path(folder)))
                yield COCOEvaluator(
                    folder, ("bbox",), use_fast_impl=False, max_dets_per_image=_most_boxes(images)
                )
            else:
                _write_voc(images, Path(folder))
                # It names files after classes, and goes by the year in how it measures.
                metadata.thing_classes = [str(label) for label in range(len(images.classes))]
                metadata.dirname, metadata.split, metadata.year = (
                    folder,
                    "test",
                    2007 if eleven_points else 2012,
                )
                yield PascalVOCDetectionEvaluator(folder)
        finally:
            MetadataCatalog.pop(folder)
            parse_rec.cache_clear()  # by file, and these files are gone


def require_full_marks(images: DetectionImages, *, eleven_points: bool, world: World) -> None:
    """Raise ValueError unless the evaluator gives the true boxes 100 %: in AP for COCO, in AP50 for VOC.

    Every process must call it.
    """
    problem = None
    metric = "AP" if images.measure == "coco" else "AP50"
    try:
        with (
            redirect_stdout(io.StringIO()),
            open_evaluator(images, eleven_points=eleven_points) as evaluator,
        ):
            evaluator.reset()
            for place, image in enumerate(images.images if world.is_main else ()):
                evaluator.process([{"image_id": place}], [{"instances": _answer(image)}])
            measured = evaluator.evaluate()
        if world.is_main and not measured["bbox"][metric] > 99.99:
            problem = f"gives only {metric} {measured['bbox'][metric]:.2f} to"
    except Exception as error:  # whatever it and the libraries under it trip over
        problem = f"fails ({error!r}) on"

    def report() -> None:
        if problem:
            raise ValueError(
                f"Detectron2's evaluator {problem} the true boxes of {images.address} themselves, so no result would "
                "be right; nothing was trained"
            )

    world.on_main(report)


def _answer(image: AnnotatedImage) -> Instances:
    """What a detector that knows the truth says of an image."""
    boxes = [box for box in image.boxes if not box.crowd]
    return Instances(
        (image.height, image.width),
        pred_boxes=Boxes(torch.tensor([box.corners for box in boxes]).reshape(-1, 4)),
        pred_classes=torch.tensor([box.label for box in boxes], dtype=torch.long),
        scores=torch.ones(len(boxes)),
    )


def _most_boxes(images: DetectionImages) -> int:
    """At least COCO's 100: of a crowded image it would cut off the truth. A detector here finds 100 at most."""
    counts = (Counter(box.label for box in image.boxes) for image in images.images)
    return max(COCO_MAX_BOXES, *(max(count.values(), default=0) for count in counts))


def _write_coco(images: DetectionImages, folder: Path) -> Path:
    annotations: list[dict[str, Any]] = []
    for place, image in enumerate(images.images):
        for box in image.boxes:
            left, top, right, bottom = box.corners
            annotations.append(
                {
                    "id": len(annotations) + 1,  # 0 is "not matched" to COCO's code
                    "image_id": place,
                    "category_id": box.label,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),  # which AP50, AP75 and AP do not see
                    "iscrowd": int(box.crowd),
                }
            )
    content = {
        "info": {},
        "images": [
            {"id": place, "width": image.width, "height": image.height}
            for place, image in enumerate(images.images)
        ],
        "annotations": annotations,
        "categories": [{"id": label, "name": name} for label, name in enumerate(images.classes)],
    }
    file = folder / "truth.json"
    file.write_text(json.dumps(content))
    return file


def _write_voc(images: DetectionImages, folder: Path) -> None:
    lists, annotations = folder / "ImageSets" / "Main", folder / "Annotations"
    lists.mkdir(parents=True)
    annotations.mkdir()
    (lists / "test.txt").write_text("".join(f"{place}\n" for place in range(len(images.images))))
    for place, image in enumerate(images.images):
        objects = ((str(box.label), tuple(map(round, box.corners)), box.difficult) for box in image.boxes)
        write_annotation(annotations / f"{place}.xml", (image.width, image.height), objects)


def _draw(picture: Tensor, corners: Tensor, labels: list[int], names: list[str]) -> Tensor:
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
