"""The true boxes as Detectron2's evaluators read them, and whether these give 100 to the truth itself."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.evaluation.pascal_voc_evaluation import parse_rec
from detectron2.structures import Boxes, Instances

from pretext.runtime.distributed import World
from transfer.detection.annotated import AnnotatedImage, DetectionImages

COCO_MAX_BOXES = 100  # of a class in an image, that COCO's measure counts


@contextmanager
def open_evaluator(images: DetectionImages, *, eleven_points: bool) -> Iterator[Any]:
    """Detectron2's evaluator for a test split, to which `image_id` is the place in `images.images`.

    The truth that it reads is written here, into a temporary folder, from what was read of the user's files: nothing in
    these can trip it after hours of training.

    Args:
        eleven_points: for VOC's layout, the average precision of VOC2007.
    """
    with TemporaryDirectory(prefix="truth_") as folder:
        metadata = MetadataCatalog.get(folder)
        try:
            if images.is_coco:
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
    metric = "AP" if images.is_coco else "AP50"
    try:
        with (
            redirect_stdout(io.StringIO()),  # COCO's code prints its whole table
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
                    "area": box.area,
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
        root = ElementTree.Element("annotation")
        for box in image.boxes:
            left, top, right, bottom = map(round, box.corners)
            values = {"name": box.label, "pose": "", "truncated": 0, "difficult": int(box.difficult)}
            corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
            entry = ElementTree.SubElement(root, "object")
            for parent, texts in ((entry, values), (ElementTree.SubElement(entry, "bndbox"), corners)):
                for key, value in texts.items():
                    ElementTree.SubElement(parent, key).text = str(value)
        ElementTree.ElementTree(root).write(annotations / f"{place}.xml")
