"""Grey in, RGB out, of which only the colours are taken: the way of DeOldify."""

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.picture_colorizer import WholePictureColorizer

MULTIPLE = 16  # of which a size is a multiple: DeOldify counts in these, as its render factor
USUAL_SIZE = 35 * MULTIPLE


class RgbColorizer(WholePictureColorizer):
    """Colorizes pictures with a network from luma to RGB.

    A picture is stretched to a square, colorized, and stretched back; its own Y of Y'UV is kept, in 8 bits throughout.
    The numbers are those of DeOldify's `ColorizerFilter`.

    Args:
        network, size: see `WholePictureColorizer`; the side of the square is DeOldify's render factor times 16.
    """

    multiple = MULTIPLE
    decoding = "RGB, with the luma of the original"

    def colorized(self, image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
        square = Image.fromarray(self._predict(self._seen(image))[0])
        answer = np.array(square.resize(image.size, Image.Resampling.BILINEAR))
        return with_luma_of(np.array(image), answer)

    def look(
        self, frames: UInt8[np.ndarray, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 1 rows columns"], Float[Tensor, "frames 2 rows columns"]]:
        """Lightness and ab of some pictures where their colours are predicted."""
        device = next(self.network.parameters()).device
        luma = torch.cat([self._seen(Image.fromarray(frame)) for frame in frames])
        rgb = torch.from_numpy(self._predict(luma)).permute(0, 3, 1, 2).to(device)
        grey = luma.to(device).expand(-1, 3, -1, -1)
        return rgb_to_lab(grey)[:, :1], rgb_to_lab(rgb / 255)[:, 1:]

    def _seen(self, image: Image.Image) -> Float[Tensor, "1 1 size size"]:
        square = image.resize((self.size, self.size), Image.Resampling.BILINEAR).convert("L")
        return torch.from_numpy(np.array(square))[None, None] / 255

    @torch.inference_mode()
    def _predict(self, luma: Float[Tensor, "batch 1 size size"]) -> UInt8[np.ndarray, "batch size size 3"]:
        rgb = self.network(luma.to(next(self.network.parameters()).device))
        return (rgb.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).cpu().numpy()  # not rounded, as in DeOldify


# Y'UV of 8 bits in fixed point of 14, as OpenCV has it; U and V around 128.
_SHIFT = 14
_TO_Y = (4899, 9617, 1868)
_TO_U, _TO_V = 8061, 14369
_FROM_U = {"green": -6472, "blue": 33292}
_FROM_V = {"red": 18678, "green": -9519}


def rgb_to_yuv(rgb: UInt8[np.ndarray, "*picture 3"]) -> UInt8[np.ndarray, "*picture 3"]:
    """Y, U and V in 0..255."""
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    y = _descaled(red * _TO_Y[0] + green * _TO_Y[1] + blue * _TO_Y[2])
    u = _descaled((blue - y) * _TO_U + (128 << _SHIFT))
    v = _descaled((red - y) * _TO_V + (128 << _SHIFT))
    return np.stack([y, u, v], axis=-1).clip(0, 255).astype(np.uint8)


def yuv_to_rgb(yuv: UInt8[np.ndarray, "*picture 3"]) -> UInt8[np.ndarray, "*picture 3"]:
    """Y'UV -> RGB, clipped to 0..255."""
    y, u, v = np.moveaxis(yuv.astype(np.int32), -1, 0)
    u, v = u - 128, v - 128
    red = y + _descaled(v * _FROM_V["red"])
    green = y + _descaled(u * _FROM_U["green"] + v * _FROM_V["green"])
    blue = y + _descaled(u * _FROM_U["blue"])
    return np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)


def _descaled(value: Int32[np.ndarray, "*picture"]) -> Int32[np.ndarray, "*picture"]:
    return (value + (1 << (_SHIFT - 1))) >> _SHIFT


def with_luma_of(
    image: UInt8[np.ndarray, "*picture 3"], answer: UInt8[np.ndarray, "*picture 3"] | None
) -> UInt8[np.ndarray, "*picture 3"]:
    """The answer's U and V, or none, beside the image's Y."""
    yuv = rgb_to_yuv(image)
    yuv[..., 1:] = 128 if answer is None else rgb_to_yuv(answer)[..., 1:]
    return yuv_to_rgb(yuv)
