"""What is cut out of a picture: random squares for training, the central square for validation.

Resizing and cutting are one step: Pillow resamples only the box that is kept, so the cost depends on the box
and not on the picture, and a strip of 10 x 5000 pixels is never blown up to 256 x 128000. The filter is
Pillow's bilinear, widened by the scale when shrinking (antialiased).
"""

import random
from zlib import crc32

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor


def random_crop_and_mirror(
    image: Image.Image,
    rng: random.Random,
    image_size: int = 256,
    crop_size: int = 176,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[Tensor, "3 {crop_size} {crop_size}"]:
    """A random square of an RGB picture, mirrored in half of the cases: a function of picture and `rng` only.

    As if the short side were resized to `image_size` and a square of `crop_size` cut anywhere (the published
    training: 256 and 176), with the place not bound to whole pixels. Values in 0..255.
    """
    assert 0 < crop_size <= image_size
    side = min(image.size) * crop_size / image_size
    return random_box_and_mirror(image, rng, side, side, crop_size, resample)


def random_box_and_mirror(
    image: Image.Image,
    rng: random.Random,
    width: float,
    height: float,
    size: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> UInt8[Tensor, "3 {size} {size}"]:
    """A box of `width` x `height` pixels anywhere in an RGB picture, resized to a square of `size`, in 0..255.

    Mirrored in half of the cases.
    """
    left = rng.random() * (image.width - width)
    top = rng.random() * (image.height - height)
    crop = resized_box(image, (left, top, left + width, top + height), size, resample)
    return to_tensor(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop)


def central_square(
    image: Image.Image, size: int, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> UInt8[Tensor, "3 {size} {size}"]:
    """The central square of an RGB picture, as large as its short side, resized to `size`. In 0..255."""
    side = float(min(image.size))
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return to_tensor(resized_box(image, (left, top, left + side, top + side), size, resample))


def own_rng(crop: UInt8[Tensor, "3 height width"]) -> random.Random:
    """Random numbers that the picture itself decides, for what must be the same whenever it is looked at."""
    return random.Random(crc32(crop.numpy().tobytes()))


def resized_box(
    image: Image.Image,
    box: tuple[float, float, float, float],
    size: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """What lies in the box (left, top, right, bottom; pixels), resized to a square of `size`."""
    return image.resize((size, size), resample, box=box)


def to_tensor(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """An RGB picture as a tensor in 0..255."""
    # Pillow separates the channels of each line ("RGB;L") faster than numpy or torch permutes pixels.
    lines = np.frombuffer(image.tobytes("raw", "RGB;L"), np.uint8).reshape(image.height, 3, image.width)
    return torch.from_numpy(lines.transpose(1, 0, 2).copy())
