"""Less flicker: colours that follow those of the frame before where the picture has not changed."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.colorizer import with_ab
from pretext.picture_colorizer import PictureColorizer

CUT = 12.0  # mean change of lightness from one frame to the next above which another shot begins
TOLERANCE = 2.0  # deviation of the change of lightness that grain and compression make
UNCHANGED = 1.0  # change of lightness below which a pixel counts as the same, in what is measured


class ColourSmoother:
    """Averages the colours of successive frames, pixel by pixel, the more the less the lightness has changed.

    Where it is the same, a frame keeps the share `strength` of the colours of the frame before, and through it of all
    before; where it changes, as motion makes it, the new colours stand. Nothing is carried over a cut. It holds one
    frame and has no look-ahead.

    Args:
        strength: from 0, which leaves all as it is, to less than 1.

    Attributes:
        num_shots: how many there have been.
    """

    def __init__(self, strength: float) -> None:
        if not 0 <= strength < 1:
            raise ValueError(f"smoothing must be at least 0 and less than 1, not {strength:g}")
        self.strength = strength
        self.num_shots = 0
        self._lightness: Tensor | None = None
        self._predicted = self._smoothed = torch.zeros(0)
        self._changes = np.zeros(
            3
        )  # sums over unchanged pixels: how many, of predicted colours, of smoothed ones

    def __call__(
        self, ab: Float[Tensor, "1 2 height width"], lightness: Float[Tensor, "1 1 height width"]
    ) -> Float[Tensor, "1 2 height width"]:
        """The colours of the next frame, smoothed.

        Args:
            ab: as the network predicts it.
            lightness: of the same pixels, in [0, 100].
        """
        smoothed = ab
        before = self._lightness
        change = None if before is None or before.shape != lightness.shape else (lightness - before).abs()
        if change is None or change.mean() > CUT:
            self.num_shots += 1
        else:
            weight = self.strength * torch.exp(-0.5 * (change / TOLERANCE).square())
            smoothed = torch.lerp(ab, self._smoothed, weight)
            unchanged = (change < UNCHANGED).double()[:, 0]
            moved = [
                (new - old).double().norm(dim=1)
                for new, old in ((ab, self._predicted), (smoothed, self._smoothed))
            ]
            sums = [unchanged.sum(), *((of * unchanged).sum() for of in moved)]
            self._changes += torch.stack(sums).cpu().numpy()
        self._lightness, self._predicted, self._smoothed = lightness, ab, smoothed
        return smoothed

    @property
    def flicker(self) -> tuple[float, float]:
        """Mean change of ab, in its units, from frame to frame where lightness stays: as predicted, and smoothed."""
        count, predicted, smoothed = self._changes
        return (predicted / count, smoothed / count) if count else (0.0, 0.0)

    def state(self) -> dict[str, np.ndarray]:
        """What another smoother needs to treat the next frame as this one would, to the same bits."""
        state = {"num_shots": np.array(self.num_shots), "changes": self._changes}
        if self._lightness is not None:
            maps = {"lightness": self._lightness, "predicted": self._predicted, "smoothed": self._smoothed}
            state |= {name: tensor.cpu().numpy() for name, tensor in maps.items()}
        return state

    def load_state(self, state: Any, device: torch.device) -> None:
        """Take over what `state` returned."""
        self.num_shots, self._changes = int(state["num_shots"]), state["changes"]
        if "lightness" in state:
            self._lightness, self._predicted, self._smoothed = (
                torch.from_numpy(state[name]).to(device) for name in ("lightness", "predicted", "smoothed")
            )


@torch.inference_mode()
def colorized_in_order(
    colorizer: PictureColorizer, smoother: ColourSmoother, frames: UInt8[np.ndarray, "frames height width 3"]
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Each of some successive frames, in 0..255, colorized.

    The network sees them together; colours are smoothed where it predicts them.
    """
    device = next(colorizer.network.parameters()).device
    colorized = []
    for frame, lightness, ab in zip(frames, *colorizer.look(frames), strict=True):
        smoothed = smoother(ab[None], lightness[None])
        full = rgb_to_lab(torch.from_numpy(frame).to(device).permute(2, 0, 1)[None] / 255)[:, :1]
        colorized.append(with_ab(full, smoothed, 0, len(frame))[0].permute(1, 2, 0).cpu().numpy())
    return colorized
