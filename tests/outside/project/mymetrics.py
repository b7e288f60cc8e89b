"""A colour metric: how far the hues of a colorization are from the true ones, where there is a hue to speak of."""

import torch

from eval_colorization import Metric, Pictures

MIN_CHROMA = 10.0  # in ab units: below it the eye sees grey


def hue_error(colorized: Pictures, truth: Pictures) -> torch.Tensor:
    """The mean angle between the hues of each picture, in degrees; NaN for a picture without colours."""
    hue, true_hue = (torch.atan2(ab[:, 1], ab[:, 0]) for ab in (colorized.ab, truth.ab))
    angle = torch.rad2deg(hue - true_hue).abs()
    angle = torch.minimum(angle, 360 - angle)
    angle[truth.ab.norm(dim=1) < MIN_CHROMA] = torch.nan
    return angle.nanmean(dim=(1, 2))


HueError = Metric(
    label="hue error",
    unit="degrees",
    better="lower",
    digits=1,
    how="mean angle between the hues in ab, over pixels with a true chroma of at least 10; mean over images",
    measure=hue_error,
)
