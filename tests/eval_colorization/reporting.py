"""Photographs, folders of other systems, and what a report of them says."""

import csv
import json

import numpy as np
import skimage.data
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from eval_colorization import evaluate

SIDE = 48


def save_photos(folder):
    """Six details of photographs in three folders, one of them grey."""
    for name in ("astronaut", "coffee", "chelsea"):
        (folder / name).mkdir(parents=True)
        for column in (0, 150):
            detail = getattr(skimage.data, name)()[60:160, column : column + 150]
            Image.fromarray(detail).save(folder / name / f"{column}.png")
    with Image.open(folder / "coffee" / "0.png") as picture:
        picture.convert("L").save(folder / "coffee" / "0.png")
    return folder


def colorize_photos(photos, out, change=lambda pixels: pixels, extension=".png"):
    """A folder of another system: every photograph, changed."""
    for file in photos.rglob("*.png"):
        target = out / file.relative_to(photos).with_suffix(extension)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            Image.fromarray(change(np.asarray(picture.convert("RGB")))).save(target)
    return out


def recoloured(image):
    """The picture's lightness in scikit-image's Lab under paler, warmer colours, as by another system."""
    lab = rgb2lab(np.asarray(image) / 255) * (1, 0.6, 0.5) + (0, 2, 4)
    return Image.fromarray((lab2rgb(lab) * 255).round().astype(np.uint8))


def pale(pixels):
    """Other colours at the same lightness."""
    return np.asarray(recoloured(Image.fromarray(pixels)))


SMALL = {"image_size": SIDE, "batch_size": 2, "num_workers": 0, "resamples": 50, "device": "cpu"}


def options(photos, out, *more):
    """The words of a command line."""
    small = (word for key, value in SMALL.items() for word in (f"--{key}", value))
    return ["--data", photos, "--out", out, *small, *more]


def measure(photos, methods, **changes):
    """What the command of `options` measures, without the report."""
    return evaluate(methods, photos, **SMALL | changes)


def image_value(results, image, method, column):
    """A cell of per_image.csv."""
    row = [result.name for result in results.methods].index(method)
    return results.values[column][row, results.images.index(image)]


def read(out):
    return json.loads((out / "report.json").read_text())


def rows(out):
    with (out / "per_image.csv").open(newline="") as file:
        return {(row["image"], row["method"]): row for row in csv.DictReader(file)}
