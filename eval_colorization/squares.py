"""The square of a picture that is compared: what the two protocols of the field make of a photograph."""

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from eval_colorization.config import Protocol
from pretext.images.crops import resized_box, to_tensor

Box = tuple[float, float, float, float]

COMPARED = {"central_crop": "the central square", "resize": "the whole photograph squeezed into a square"}


def compared_box(image: Image.Image, protocol: Protocol) -> Box:
    """What of a picture is compared: left, top, right and bottom in pixels."""
    if protocol == "resize":
        return 0.0, 0.0, float(image.width), float(image.height)
    side = float(min(image.size))
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def compared_square(image: Image.Image, size: int, protocol: Protocol) -> UInt8[Tensor, "3 size size"]:
    """The part of an RGB picture that is compared, resized to `size` x `size`; in 0..255."""
    return to_tensor(resized_box(image, compared_box(image, protocol), size))


def describe_resizing(protocol: Protocol) -> str:
    """The filter, and what it is applied to."""
    return f"Pillow bilinear, antialiased, of {COMPARED[protocol]}"
