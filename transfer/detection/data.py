"""Images with boxes for training and for testing, checked as a whole before anything is trained on them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from pretext.images.image_file import BrokenImageError
from pretext.images.torchvision_images import DatasetSource
from pretext.spelling import first_few
from transfer.data.checking import Purpose, existing_folder, open_data_set, open_splits, shown
from transfer.data.labelled import default_name
from transfer.detection.annotated import AnnotatedImage, Box, DetectionImages, GivenBox, clipped
from transfer.detection.coco import open_coco_boxes
from transfer.detection.config import DetectionDataConfig
from transfer.detection.masks import data_set_mask
from transfer.detection.voc import open_voc_boxes


@runtime_checkable
class DetectionDataset(Protocol):
    """A data set as torchvision's detection references have it: items of a picture and its target.

    The picture is a PIL image or an RGB tensor in [0, 1]. The target has `boxes` (n, 4), each left, top, right and
    bottom in pixels, and `labels` (n,) from 1 on, 0 being the background; also `iscrowd` (n,) if known.
    An item is the same whenever it is read: augmentation is the protocol's. Where the data set has `classes`, these
    are the names of 1, 2, ... For masks the target has `masks` (n, height, width), not 0 where the object is.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


AnyDetections = str | list[str] | DetectionDataset
"""Images with boxes, as a function takes them: strings are addresses; see `DetectionDataConfig`."""


def open_detection(
    train: AnyDetections,
    test: AnyDetections,
    class_names: Sequence[str] | None = None,
    *,
    masks: bool = False,
) -> tuple[list[DetectionImages], DetectionImages]:
    """The training splits and the test split, every image, every box and every mask of them checked.

    Boxes without width or height and those outside their image are left out, those over its border clipped, objects
    whose mask has no pixel left out: see `DetectionImages.notes`.

    Args:
        class_names: None takes those of the data; see `DetectionDataConfig.classes`.
        masks: read the objects' masks too.

    Raises:
        ValueError: not a valid address, a file that is missing, broken or does not say what it should, a box whose
            corners are in the wrong order or whose class is unknown, a mask that is missing or of another image, splits
            of different classes, no box to train or to test on, or a class of VOC's layout that the test images do not
            show. It names the first such place, and how many more there are.
    """
    splits, tested = open_splits(train, test, partial(_open, class_names, masks))
    for images_of, purpose in ((splits, "learn"), ([tested], "find")):
        if all(box.crowd for split in images_of for image in split.images for box in image.boxes):
            where = " and ".join(split.address for split in images_of)
            raise ValueError(f"{where}: no image has an object, so there is nothing to {purpose}")
    if tested.measure == "voc":  # COCO's mean is over the classes that are there
        shown = {box.label for image in tested.images for box in image.boxes if not box.difficult}
        for label, name in enumerate(tested.classes):
            if label not in shown:
                raise ValueError(
                    f"{tested.address} has no object of class {name!r} that is not difficult, so its average precision "
                    "means nothing; test on a split that shows every class, or give data.classes"
                )
    return splits, tested


def _open(class_names: Sequence[str] | None, masks: bool, split: Any, purpose: Purpose) -> DetectionImages:
    if not isinstance(split, str):
        return _open_data_set(split, class_names, purpose, masks)
    form, _, rest = split.partition(":")
    folder, _, last = rest.rpartition(":")
    if form not in ("voc", "coco") or not folder:
        raise ValueError(
            f"{split} should be voc:FOLDER:SPLIT, such as voc:VOCdevkit/VOC2007:trainval, or "
            "coco:IMAGES:ANNOTATIONS.json"
        )
    root = existing_folder(split, folder)
    if form == "coco":
        return open_coco_boxes(split, root, last, class_names, masks=masks)
    if masks:
        raise ValueError(
            f"{split}: VOC's layout has no masks of objects; give COCO's, coco:IMAGES:ANNOTATIONS.json, or leave masks "
            "out"
        )
    return open_voc_boxes(split, root, last, class_names)


def _open_data_set(
    data_set: DetectionDataset, class_names: Sequence[str] | None, purpose: Purpose, masks: bool
) -> DetectionImages:
    """A user's own data set, whose average precision is COCO's."""
    address, names, source = open_data_set(data_set, class_names, purpose, first_label=1)
    images = (
        _image(source, index, f"image {index} of the {address}", names, masks) for index in range(len(source))
    )
    return DetectionImages(address=address, classes=names, measure="coco", images=tuple(images))


def _image(
    source: DatasetSource, index: int, name: str, class_names: Sequence[str], masks: bool
) -> AnnotatedImage:
    try:
        picture, target = source.open_item(index)
        corners = torch.as_tensor(target["boxes"]).double().reshape(-1, 4).tolist()
        labels = torch.as_tensor(target["labels"]).tolist()
        crowds = torch.as_tensor(target.get("iscrowd", [0] * len(labels))).tolist()
        shapes = torch.as_tensor(target["masks"]).numpy() if masks else [None] * len(labels)
        annotations = list(zip(corners, labels, crowds, shapes, strict=True))
    except BrokenImageError as error:
        raise ValueError(f"{name} cannot be read as an image ({error})") from error
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} has no boxes as torchvision's detection references have them, boxes (n, 4) and labels (n,), and "
            f"for masks masks (n, height, width), in a dictionary ({error!r}); for torchvision's own data sets: "
            "torchvision.datasets.wrap_dataset_for_transforms_v2(DATASET, target_keys=('boxes', 'labels'))"
        ) from error
    given = []
    for number, (box, label, crowd, shape) in enumerate(annotations):
        where = f"box {number} of {name}"
        if label not in range(1, len(class_names) + 1):
            raise ValueError(
                f"{where} has the label {shown(label)}, expected 1 to {len(class_names)}, of the classes "
                f"{first_few(class_names)}; 0 is the background"
            )
        read_mask = None if shape is None else partial(data_set_mask, shape, where=where)
        given.append(
            GivenBox(Box(label=label - 1, corners=tuple(box), crowd=bool(crowd)), where, where, read_mask)
        )
    boxes, remarks = clipped(given, *picture.size)
    return AnnotatedImage(
        id=index,
        name=name,
        open=partial(source.open, index),
        width=picture.width,
        height=picture.height,
        boxes=boxes,
        remarks=remarks,
    )


def proposals_of_splits(
    train: list[str] | str | None, test: str | None, splits: Sequence[str]
) -> list[str] | list[None]:
    """The file of proposed boxes of each training split, or None for each.

    Args:
        train, test: as in `DetectionDataConfig`.
        splits: addresses of the training splits.

    Raises:
        ValueError: a split, or the test images, have none where others do.
    """
    if train is None and test is None:
        return [None] * len(splits)
    files = [train] if isinstance(train, str) else train or []
    if len(files) != len(splits) or test is None:
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
