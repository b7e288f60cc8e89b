"""Lightness in, colours out: network, decoding, and the way back to RGB with the original lightness."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.color.decoding import annealed_mean, mode, top_k_mean
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.config import Decoding
from pretext.hints import Hint, hint_map
from pretext.images.image_file import on_white
from pretext.networks.backbone import AB_SCALE, Backbone
from pretext.spelling import unknown_name

STRIP_PIXELS = 2**18


class Colorizer:
    """Colorizes images of any size with a trained network.

    Args:
        network: in evaluation mode, on the device where it shall run.
        bins: the network's bins; None for a regression network.
        size: colours are predicted on a copy of about size x size pixels in the image's own proportions (the
            networks were trained at 256) and brought to full resolution bilinearly.
        decoding: of a distribution over bins: annealed_mean, mean, mode, or top_k_mean.
        temperature: of the annealed mean.
        top_k: how many of the likeliest bins top_k_mean takes.

    Raises:
        ValueError: no such decoding, a size below 1, a temperature that is not positive, a `top_k` that is not among
            the bins.
    """

    def __init__(
        self,
        network: Backbone,
        bins: AbBins | None,
        *,
        size: int = 256,
        decoding: Decoding = "annealed_mean",
        temperature: float = 0.38,
        top_k: int = 5,
    ) -> None:
        if size < 1:
            raise ValueError(
                f"the size at which colours are predicted must be at least 1 pixel but is {size}"
            )
        if not temperature > 0:
            raise ValueError(
                f"temperature must be positive but is {temperature:g}; its limit at 0 is the mode"
            )
        if bins is not None and decoding == "top_k_mean" and not 1 <= top_k <= len(bins.centres):
            raise ValueError(
                f"top_k must be between 1 and the number of bins, {len(bins.centres)}, but is {top_k}"
            )
        self.network, self.bins, self.size = network, bins, size
        self.temperature, self.top_k = temperature, top_k
        self.decode_by(decoding)

    @property
    def decodings(self) -> tuple[Decoding, ...]:
        """The ways to decode a distribution over bins."""
        return ("annealed_mean", "mean", "mode", "top_k_mean")

    def decode_by(self, decoding: Decoding) -> None:
        """Decode distributions so from now on; without bins it has no effect. Raises ValueError for another one."""
        decoders: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "annealed_mean": partial(annealed_mean, temperature=self.temperature),
            "mean": partial(annealed_mean, temperature=1.0),
            "mode": mode,
            "top_k_mean": partial(top_k_mean, k=self.top_k),
        }
        if decoding not in decoders:
            raise ValueError(unknown_name("decoding", decoding, decoders))
        self._decode, self.decoding = decoders[decoding], decoding

    def predict_ab(
        self, lightness: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch 2 height width"]:
        """ab of images whose sides the network takes as they are (multiples of `network.input_multiple`)."""
        return self.ab_from_output(self._answer(lightness), lightness.shape[-2:])

    def ab_from_output(
        self, output: Float[Tensor, "batch outputs grid_height grid_width"], size: Sequence[int]
    ) -> Float[Tensor, "batch 2 height width"]:
        """The network's output, decoded and brought bilinearly to `size` (height, width).

        Args:
            output: logits over the bins; ab / 110 without bins.
        """
        if self.bins is None:
            ab = output.float() * AB_SCALE
        else:
            ab = self._decode(output, self.bins.centres.to(output.device))
        return F.interpolate(ab, size=list(size), mode="bilinear")

    @torch.inference_mode()
    def __call__(self, image: Image.Image, hints: Sequence[Hint] = ()) -> Image.Image:
        """Colorize `image` (RGB or RGBA): same size and mode, lightness kept to the rounding of 8 bits, alpha kept.

        Only its lightness is looked at; the network sees transparency laid on white. Colours that sRGB cannot show at
        a pixel's lightness lose chroma, not lightness or hue. Beside the image and its result it takes memory for a
        strip of rows, whatever their size: 50 MB at 256 pixels.

        Args:
            hints: colours at places of the image.

        Raises:
            ValueError: there are hints, but the network takes none, or one lies outside of the image.
        """
        if hints:
            require_hints(self.network)
        if image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGB")
        strips = _strips(image.height, image.width)
        rows, columns = self.network_size(image.height, image.width)
        # Antialiased interpolation is one of columns, then one of rows. One tensor for all strips: small ones that
        # stay between large ones that go would keep the memory of these.
        narrow = torch.empty(1, 1, image.height, columns, device=next(self.network.parameters()).device)
        for top, bottom in strips:
            lightness = self._lightness(on_white(_strip(image, top, bottom)))
            narrow[:, :, top:bottom] = resized(lightness, (bottom - top, columns))
        seen = resized(narrow, (rows, columns))
        if hints:
            given = hint_map(hints, (image.height, image.width), (rows, columns))
            seen = torch.cat([seen, given.to(seen.device)], dim=1)
        output = self._answer(seen)
        ab = self.ab_from_output(output, (rows, columns))
        result = Image.new(image.mode, image.size)
        for top, bottom in strips:
            strip = _strip(image, top, bottom)
            rgb = with_ab(self._lightness(strip), ab, top, image.height)[0]
            colorized = Image.fromarray(rgb.permute(1, 2, 0).cpu().numpy())
            if image.mode == "RGBA":
                colorized.putalpha(strip.getchannel("A"))
            result.paste(colorized, (0, top))
        return result

    @torch.inference_mode()
    def look(
        self, frames: UInt8[np.ndarray, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 1 rows columns"], Float[Tensor, "frames 2 rows columns"]]:
        """Lightness and ab of some pictures where their colours are predicted."""
        size = self.network_size(*frames.shape[1:3])
        seen = torch.cat([resized(self._lightness(Image.fromarray(frame)), size) for frame in frames])
        return seen, self.ab_from_output(self._answer(seen), size)

    @torch.inference_mode()
    def network_output(
        self, lightness: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """The network's answer to images of any size, looked at in copies of `network_size`."""
        return self._answer(resized(lightness, self.network_size(*lightness.shape[-2:])))

    @torch.inference_mode()
    def colorize(
        self,
        lightness: Float[Tensor, "batch 1 height width"],
        output: Float[Tensor, "batch outputs grid_height grid_width"],
    ) -> UInt8[Tensor, "batch 3 height width"]:
        """RGB in 0..255 of images whose `network_output` is `output`."""
        height, width = lightness.shape[-2:]
        return with_ab(lightness, self.ab_from_output(output, self.network_size(height, width)), 0, height)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Sides near size x size in area and height : width in proportion, in multiples that the network takes."""
        scale = self.size / math.sqrt(height * width)
        multiple = self.network.input_multiple
        rows, columns = (max(1, round(side * scale / multiple)) * multiple for side in (height, width))
        return rows, columns

    def _answer(
        self, seen: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """What the network answers, or of its heads the one that colorizes."""
        answer = self.network(seen)
        return answer["ab" if self.bins is None else "bins"] if isinstance(answer, dict) else answer

    def _lightness(self, image: Image.Image) -> Float[Tensor, "1 1 height width"]:
        pixels = torch.from_numpy(np.array(image)).to(next(self.network.parameters()).device)
        return rgb_to_lab(pixels[..., :3].permute(2, 0, 1)[None] / 255)[:, :1]


def require_hints(network: Backbone) -> None:
    """Raises ValueError if a network takes no hints."""
    if not network.takes_hints:
        raise ValueError(
            f"{type(network).__name__} takes no hints; siggraph17 does: give the published weights, or those of a run "
            "with task hinted_colorization"
        )


def to_8_bits(rgb: Float[Tensor, "*batch 3 height width"]) -> UInt8[Tensor, "*batch 3 height width"]:
    """RGB in [0, 1] -> 0..255, rounded."""
    return (rgb * 255).round().byte()


def _strips(height: int, width: int) -> list[tuple[int, int]]:
    """Top and bottom of strips of rows, of about `STRIP_PIXELS`."""
    rows = max(1, STRIP_PIXELS // width)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _strip(image: Image.Image, top: int, bottom: int) -> Image.Image:
    return image.crop((0, top, image.width, bottom))


def resized(
    lightness: Float[Tensor, "batch 1 height width"], size: tuple[int, int]
) -> Float[Tensor, "batch 1 rows columns"]:
    """The lightness at the size at which the network sees it."""
    return F.interpolate(lightness, size=size, mode="bilinear", antialias=True)


def with_ab(
    lightness: Float[Tensor, "batch 1 height width"],
    ab: Float[Tensor, "batch 2 rows columns"],
    top: int,
    whole_height: int,
) -> UInt8[Tensor, "batch 3 height width"]:
    """RGB in 0..255 of the rows from `top` of images with the given lightness there, and `ab` brought to their size."""
    height, width = lightness.shape[-2:]
    # Where the rows lie in `ab`, as F.interpolate with align_corners=False has it.
    place = torch.arange(top, top + height, device=ab.device, dtype=torch.float64) + 0.5
    place = (place * (ab.shape[2] / whole_height) - 0.5).clamp(min=0)
    above = place.long()
    below = (above + 1).clamp(max=ab.shape[2] - 1)
    ab = torch.lerp(ab[:, :, above], ab[:, :, below], (place - above).float()[:, None])
    ab = F.interpolate(ab, size=(height, width), mode="bilinear")
    return to_8_bits(lab_to_rgb(fit_chroma_to_gamut(torch.cat([lightness, ab], dim=1))))
