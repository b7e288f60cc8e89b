"""Small data sets in the layouts that users have."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("bird", "cat", "dog")


def write_image_folders(root: Path) -> Path:
    """train/ and val/ with two and one image of each class: noise, each its own."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 2), ("val", 1)):
        for label in CLASSES:
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def write_voc(root: Path, split: str, lists: dict[str, dict[str, int]]) -> Path:
    """ImageSets/Main/CLASS_SPLIT.txt and JPEGImages of class -> image -> label."""
    (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
    (root / "JPEGImages").mkdir(exist_ok=True)
    for label, images in lists.items():
        lines = "".join(f"{image} {number:2}\n" for image, number in images.items())
        (root / f"ImageSets/Main/{label}_{split}.txt").write_text(lines)
        for image in images:
            Image.new("RGB", (20, 16), (len(image), 3, 3)).save(root / f"JPEGImages/{image}.jpg")
    return root
