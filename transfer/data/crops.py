"""What classification cuts out of a picture: random squares to train, central and ten-fold crops to test.

As in `pretext.images.crops`, resizing and cutting are one step: Pillow resamples only the box that is kept.
"""

import math
import random

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from pretext.images.crops import random_box_and_mirror, random_crop_and_mirror, resized_box, to_tensor

random_square = random_crop_and_mirror
"""A random square of `crop_size` of the picture resized to `image_size`, mirrored: AlexNet's, as in pretext."""

_ASPECTS = (3 / 4, 4 / 3)


def random_resized_crop(
    image: Image.Image,
    rng: random.Random,
    crop_size: int,
    scale: tuple[float, float] = (0.08, 1.0),
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[Tensor, "3 {crop_size} {crop_size}"]:
    """A random box of a share `scale` of the area, resized to a square and mirrored: Inception's, in 0..255.

    The distribution of torchvision's RandomResizedCrop with its aspects 3/4 to 4/3, log-uniform; the box is not bound
    to whole pixels.
    """
    low, high = map(math.log, _ASPECTS)
    for _ in range(10):
        area = image.width * image.height * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(low, high))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if width <= image.width and height <= image.height:
            return random_box_and_mirror(image, rng, width, height, crop_size, resample)
    # A strip: the central box of the nearest aspect, as torchvision takes it. There is nothing left to place.
    width = min(image.width, image.height * _ASPECTS[1])
    height = min(image.height, image.width / _ASPECTS[0])
    left, top = (image.width - width) / 2, (image.height - height) / 2
    crop = to_tensor(resized_box(image, (left, top, left + width, top + height), crop_size, resample))
    return crop.flip(-1) if rng.random() < 0.5 else crop


def scale_jitter_crop(
    image: Image.Image,
    rng: random.Random,
    image_size: int,
    crop_size: int,
    scales: tuple[float, float] = (0.5, 2.0),
) -> UInt8[Tensor, "3 {crop_size} {crop_size}"]:
    """A random square of `crop_size` of the picture at a random scale, mirrored: VOC07's fine-tuning, in 0..255.

    At scale 1 the short side has `image_size` pixels. Where the picture would be smaller than the crop it is resized
    to fit it (the protocol of Kraehenbuehl et al. 2016).
    """
    short_side = max(image_size * rng.uniform(*scales), float(crop_size))
    side = min(image.size) * crop_size / short_side
    return random_box_and_mirror(image, rng, side, side, crop_size)


def central_crop(
    image: Image.Image,
    image_size: int,
    crop_size: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[Tensor, "3 {crop_size} {crop_size}"]:
    """The central square of `crop_size` of the picture, its short side resized to `image_size`; in 0..255.

    torchvision's Resize and CenterCrop.
    """
    width, height = _resized(image, image_size, crop_size)
    left, top = round((width - crop_size) / 2), round((height - crop_size) / 2)
    return _crop_at(image, image_size, crop_size, left, top, resample)


def ten_crops(
    image: Image.Image, image_size: int, crop_size: int
) -> UInt8[Tensor, "10 3 {crop_size} {crop_size}"]:
    """Four corners and the centre of the picture resized to `image_size`, then the same mirrored; in 0..255.

    Krizhevsky et al. (2012), section 4.1.
    """
    width, height = _resized(image, image_size, crop_size)
    right, bottom = width - crop_size, height - crop_size
    places = [(0, 0), (right, 0), (0, bottom), (right, bottom), (round(right / 2), round(bottom / 2))]
    crops = torch.stack([_crop_at(image, image_size, crop_size, left, top) for left, top in places])
    return torch.cat([crops, crops.flip(-1)])


def _resized(image: Image.Image, image_size: int, crop_size: int) -> tuple[int, int]:
    """Width and height after torchvision's Resize, which cuts off fractions of the long side."""
    assert 0 < crop_size <= image_size
    short = min(image.size)
    return image.width * image_size // short, image.height * image_size // short


def _crop_at(
    image: Image.Image,
    image_size: int,
    crop_size: int,
    left: int,
    top: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Tensor:
    width, height = _resized(image, image_size, crop_size)
    x, y = image.width / width, image.height / height
    box = (left * x, top * y, (left + crop_size) * x, (top + crop_size) * y)
    return to_tensor(resized_box(image, box, crop_size, resample))
