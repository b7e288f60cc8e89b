"""A copy of the bundled VOC-layout sample for a test to use or to break."""

import json
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from transfer.data.sample_voc import CLASSES, write_sample_voc


def write_small_voc(folder, num_train=8, num_val=6):
    write_sample_voc(folder, num_train=num_train, num_val=num_val)
    return folder


def edit_annotation(folder, name, edit):
    """Call `edit` with the root of an image's XML and store the result."""
    file = folder / "Annotations" / f"{name}.xml"
    tree = ElementTree.parse(file)
    edit(tree.getroot())
    tree.write(file)


def run_lengths(pixels):
    """COCO's uncompressed run lengths: of 0 and 1 in turn, column by column (cocodataset.org/#format-data)."""
    flat = np.concatenate([[False], pixels.flatten(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.unique([*changes, pixels.size]), prepend=0)
    return {"size": list(pixels.shape), "counts": [0, *counts.tolist()] if pixels[0, 0] else counts.tolist()}


def as_coco(folder, split, file):
    """The boxes and masks of a VOC split, which shows each class at most once, as a file in COCO's format."""
    images, annotations = [], []
    for number, name in enumerate((folder / "ImageSets" / "Main" / f"{split}.txt").read_text().split()):
        with Image.open(folder / "JPEGImages" / f"{name}.jpg") as image:
            width, height = image.size
        with Image.open(folder / "SegmentationClass" / f"{name}.png") as image:
            labels = np.array(image)
        images.append({"id": 100 + number, "file_name": f"{name}.jpg", "width": width, "height": height})
        for of in ElementTree.parse(folder / "Annotations" / f"{name}.xml").iter("object"):
            left, top, right, bottom = (
                float(of.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
            )
            box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + number,
                    "category_id": 10 * (1 + CLASSES.index(of.findtext("name"))),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "segmentation": run_lengths(labels == 1 + CLASSES.index(of.findtext("name"))),
                }
            )
    categories = [{"id": 10 * (1 + label), "name": name} for label, name in enumerate(CLASSES)]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
