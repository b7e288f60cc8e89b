"""The images of a configuration, checked as a whole before anything is trained on them."""

from collections.abc import Sequence
from pathlib import Path

from pretext.spelling import first_few
from transfer.data.checking import require_same_classes
from transfer.data.labelled import default_name
from transfer.detection.annotated import DetectionImages
from transfer.detection.coco import open_coco_boxes
from transfer.detection.config import DetectionDataConfig
from transfer.detection.voc import open_voc_boxes


def open_detection(config: DetectionDataConfig) -> tuple[list[DetectionImages], DetectionImages]:
    """The training splits and the test split, every image and every box of them checked.

    Boxes without width or height and those outside their image are left out, those over its border clipped: see
    `DetectionImages.notes`.

    Raises:
        ValueError: not a valid address, a file that is missing, broken or does not say what it should, a box whose
            corners are in the wrong order or whose class is unknown, splits of different classes, no box to train or to
            test on, or a class of VOC's layout that the test images do not show. It names the first such place, and how
            many more there are.
    """
    addresses = [config.train] if isinstance(config.train, str) else config.train
    train = [_open(address, config.classes) for address in addresses]
    test = _open(config.test, config.classes)
    require_same_classes(train, test)
    for splits, purpose in ((train, "learn"), ([test], "find")):
        if all(box.crowd for split in splits for image in split.images for box in image.boxes):
            where = " and ".join(split.address for split in splits)
            raise ValueError(f"{where}: no image has an object, so there is nothing to {purpose}")
    if test.measure == "voc":  # COCO's mean is over the classes that are there
        shown = {box.label for image in test.images for box in image.boxes if not box.difficult}
        for label, name in enumerate(test.classes):
            if label not in shown:
                raise ValueError(
                    f"{test.address} has no object of class {name!r} that is not difficult, so its average precision "
                    "means nothing; test on a split that shows every class, or give data.classes"
                )
    return train, test


def summary(images: DetectionImages) -> str:
    """What was found, in one line; images without objects are counted and named."""
    boxes = [box for image in images.images for box in image.boxes]
    by_class = ", ".join(f"{name} {count}" for name, count in images.boxes_by_class().items())
    line = f"{images.address}: {len(images.images)} images, {len(boxes)} boxes ({by_class})"
    for count, what in (
        (sum(box.difficult for box in boxes), "difficult"),
        (sum(box.crowd for box in boxes), "crowds"),
    ):
        line += f", {count} {what}" if count else ""
    empty = [Path(image.name).name for image in images.images if not image.boxes]
    if empty:
        line += f"; {len(empty)} without objects: {first_few(empty)}"
    return line


def _open(address: str, classes: Sequence[str] | None) -> DetectionImages:
    form, _, rest = address.partition(":")
    folder, _, last = rest.rpartition(":")
    if form not in ("voc", "coco") or not folder:
        raise ValueError(
            f"{address} should be voc:FOLDER:SPLIT, such as voc:VOCdevkit/VOC2007:trainval, or "
            "coco:IMAGES:ANNOTATIONS.json"
        )
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f"{address}: there is no folder {root}")
    return (open_voc_boxes if form == "voc" else open_coco_boxes)(address, root, last, classes)


def train_proposals(config: DetectionDataConfig) -> list[str] | list[None]:
    """The file of proposed boxes of each training split, or None for each.

    Raises:
        ValueError: a split, or the test images, have none where others do.
    """
    splits = [config.train] if isinstance(config.train, str) else config.train
    given = config.train_proposals
    if given is None and config.test_proposals is None:
        return [None] * len(splits)
    files = [given] if isinstance(given, str) else given or []
    if len(files) != len(splits) or config.test_proposals is None:
        raise ValueError(
            "Fast R-CNN needs a file of proposals for each split: data.train_proposals for "
            f"{', '.join(splits)} and data.test_proposals; leave all out for Faster R-CNN"
        )
    return files


def data_name(config: DetectionDataConfig) -> str:
    """What the results table calls the data: as given, or VOC2007 test, instances_val2017, ..."""
    if config.name:
        return config.name
    return Path(config.test).stem if config.test.startswith("coco:") else default_name(config.test)
