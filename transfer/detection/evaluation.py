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
from jaxtyping import Bool, UInt8
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from pretext.runtime.distributed import World
from transfer.data.voc import voc_colour, write_annotation
from transfer.detection.annotated import AnnotatedImage, Box, DetectionImages
from transfer.detection.loading import MappedImages
from transfer.detection.masks import in_json, mask_pixels
from transfer.prediction_gallery import NUM_IMAGES, prediction_gallery

MIN_SCORE = 0.5  # of a box that is drawn
METRICS = ("AP50", "AP75", "AP")
COCO_MAX_BOXES = 100  # of a class in an image, that COCO's measure counts


class Evaluation:
    """Tests of a detector, and pictures of what it finds.

    Args:
        annotated: the images with their records.
        eleven_points: for VOC's measure, the average precision of VOC2007.
        masks: are found and tested too.
        num_workers: processes that read images, for each process.
    """

    def __init__(
        self,
        images: DetectionImages,
        annotated: Sequence[tuple[AnnotatedImage, dict[str, Any]]],
        cfg: CfgNode,
        *,
        eleven_points: bool,
        masks: bool = False,
        num_workers: int,
    ) -> None:
        self._images, self._eleven_points, self._masks = images, eleven_points, masks
        mapped = MappedImages(annotated, cfg, training=False)
        self._loader = build_detection_test_loader(mapped, mapper=None, num_workers=num_workers)
        self._shown = MappedImages(annotated[:NUM_IMAGES], cfg, training=False)
        self._suffix = "_11_point" if eleven_points and images.measure == "voc" else ""

    def run(self, model: nn.Module) -> dict[str, float]:
        """AP50, AP75 and AP over IoU 0.5 to 0.95, in percent; `_11_point` behind them if that is how; of masks
        `mask_` before them; on the first process. Without any detection they are 0.
        """
        with (
            redirect_stdout(io.StringIO()),  # COCO's code prints its whole table
            open_evaluator(self._images, eleven_points=self._eleven_points, masks=self._masks) as evaluator,
        ):
            measured = inference_on_dataset(model, self._loader, evaluator)
        return {
            f"{prefix}{name}{self._suffix}": float(np.nan_to_num(measured[kind][name]))
            for kind, prefix in (("bbox", ""), ("segm", "mask_"))
            if kind in measured
            for name in METRICS
        }

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
        masks = _true_masks(image.boxes, image) if self._masks else None
        return _draw(picture, corners, labels, [self._images.classes[label] for label in labels], masks)

    def _draw_detected(self, picture: Tensor, instances: Any) -> Tensor:
        labels = instances.pred_classes.tolist()
        names = [
            f"{self._images.classes[label]} {score:.2f}"
            for label, score in zip(labels, instances.scores.tolist(), strict=True)
        ]
        masks = instances.pred_masks if self._masks else None
        return _draw(picture, instances.pred_boxes.tensor, labels, names, masks)


@contextmanager
def open_evaluator(images: DetectionImages, *, eleven_points: bool, masks: bool = False) -> Iterator[Any]:
    """Detectron2's evaluator for a test split, to which `image_id` is the place in `images.images`.

    The truth that it reads is written here, into a temporary folder, from what was read of the user's files: nothing in
    these can trip it after hours of training.

    Args:
        eleven_points: for VOC's measure, the average precision of VOC2007.
        masks: for COCO's measure, evaluate masks too.
    """
    with TemporaryDirectory(prefix="truth_") as folder:
        metadata = MetadataCatalog.get(folder)
        try:
            if images.measure == "coco":
                metadata.thing_classes = list(images.classes)
                metadata.json_file = str(_write_coco(images, Path(folder)))
                kinds = ("bbox", "segm") if masks else ("bbox",)
                yield COCOEvaluator(
                    folder, kinds, use_fast_impl=False, max_dets_per_image=_most_boxes(images)
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


def require_full_marks(
    images: DetectionImages, *, eleven_points: bool, masks: bool = False, world: World
) -> None:
    """Raise ValueError unless the evaluator gives the truth 100 %: in AP for COCO, in AP50 for VOC.

    Every process must call it.
    """
    problem = None
    metric = "AP" if images.measure == "coco" else "AP50"
    try:
        with (
            redirect_stdout(io.StringIO()),
            open_evaluator(images, eleven_points=eleven_points, masks=masks) as evaluator,
        ):
            evaluator.reset()
            for place, image in enumerate(images.images if world.is_main else ()):
                evaluator.process([{"image_id": place}], [{"instances": _answer(image, masks)}])
            measured = evaluator.evaluate()
        for kind, name in (("bbox", "boxes"), ("segm", "masks")):
            if kind in measured and not measured[kind][metric] > 99.99:
                problem = f"gives only {metric} {measured[kind][metric]:.2f} to the true {name} of"
    except Exception as error:  # whatever it and the libraries under it trip over
        problem = f"fails ({error!r}) on the truth of"

    def report() -> None:
        if problem:
            raise ValueError(
                f"Detectron2's evaluator {problem} {images.address} itself, so no result would be right; nothing was "
                "trained"
            )

    world.on_main(report)


def _answer(image: AnnotatedImage, masks: bool) -> Instances:
    """What a detector that knows the truth says of an image."""
    boxes = [box for box in image.boxes if not box.crowd]
    found = Instances(
        (image.height, image.width),
        pred_boxes=Boxes(torch.tensor([box.corners for box in boxes]).reshape(-1, 4)),
        pred_classes=torch.tensor([box.label for box in boxes], dtype=torch.long),
        scores=torch.ones(len(boxes)),
    )
    if masks:
        found.pred_masks = _true_masks(boxes, image)
    return found


def _true_masks(boxes: Sequence[Box], image: AnnotatedImage) -> Bool[Tensor, "n height width"]:
    masks = [mask_pixels(box.mask, image.width, image.height) for box in boxes if box.mask is not None]
    return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, image.height, image.width), bool))


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
                    **({} if box.mask is None else {"segmentation": in_json(box.mask)}),
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


def _draw(
    picture: Tensor, corners: Tensor, labels: list[int], names: list[str], masks: Tensor | None
) -> Tensor:
    if not labels:
        return picture
    colours = [voc_colour(label + 1) for label in labels]
    if masks is not None:
        first = masks & (masks.cumsum(dim=0) == 1)  # torchvision blackens where masks overlap
        picture = draw_segmentation_masks(picture, first, alpha=0.5, colors=colours)
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
