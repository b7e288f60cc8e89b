"""Colourfulness (Hasler, Susstrunk 2003), and the variant of it that popular code prints."""

from jaxtyping import Float, Float64
from torch import Tensor


def colourfulness(rgb: Float[Tensor, "batch 3 height width"]) -> Float64[Tensor, "batch"]:
    """Hasler and Susstrunk's M3, RGB in [0, 1]: 0 for grey, about 15 slightly, 59 quite, 109 extremely colourful.

    sigma + 0.3 mu over the opponent channels R - G and (R + G) / 2 - B, with RGB scaled to 0..255.
    """
    return _colourfulness(*_opponents(rgb))


def colourfulness_absolute(rgb: Float[Tensor, "batch 3 height width"]) -> Float64[Tensor, "batch"]:
    """`colourfulness` of the opponent channels' absolute values, which is not the published measure.

    Much published code computes this one, so figures from elsewhere are often to be compared with it.
    """
    return _colourfulness(*(channel.abs_() for channel in _opponents(rgb)))


def _opponents(rgb: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, Tensor]:
    red, green, blue = rgb.float().unbind(1)
    return (red - green).mul_(255), (red + green).div_(2).sub_(blue).mul_(255)


def _colourfulness(
    red_green: Float[Tensor, "batch height width"], yellow_blue: Float[Tensor, "batch height width"]
) -> Float64[Tensor, "batch"]:
    (mean_rg, variance_rg), (mean_yb, variance_yb) = _moments(red_green), _moments(yellow_blue)
    return (variance_rg + variance_yb).sqrt() + 0.3 * (mean_rg.square() + mean_yb.square()).sqrt()


def _moments(
    channel: Float[Tensor, "batch height width"],
) -> tuple[Float64[Tensor, "batch"], Float64[Tensor, "batch"]]:
    """Mean and population variance of each image; `channel` is overwritten."""
    mean = _mean(channel)
    return mean, _mean(channel.sub_(mean.float()[:, None, None]).square_())


def _mean(channel: Float[Tensor, "batch height width"]) -> Float64[Tensor, "batch"]:
    return channel.mean(dim=-1).double().mean(dim=-1)
