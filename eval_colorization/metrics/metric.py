"""The contract of a colour metric: one number per image, and what the report must know to print it.

The metrics of the report are the `Metric`s of `eval_colorization.metrics.table`; one of your own is a `Metric` in any
Python file, named as `module:Name` under `metrics`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from eval_colorization.metrics.colourfulness import colourfulness
from eval_colorization.metrics.palette import dominant_colours
from eval_colorization.metrics.saturation import saturation_histogram
from pretext.color.lab import rgb_to_lab
from pretext.outside import import_outside, is_outside

Better = Literal["higher", "lower", "nearer zero", "nearer truth"]
Pooling = Literal["mean", "root mean square", "set"]

ARROWS: dict[Better, str] = {"higher": "↑", "lower": "↓", "nearer zero": "→ 0", "nearer truth": "→ truth"}


class Pictures:
    """A batch of pictures in the forms that metrics look at, each computed once for all of them.

    Args:
        pixels: RGB in 0..255.

    Attributes:
        rgb: RGB in [0, 1].
    """

    def __init__(self, pixels: UInt8[Tensor, "batch 3 height width"]) -> None:
        self.rgb: Float[Tensor, "batch 3 height width"] = pixels / 255

    @cached_property
    def lab(self) -> Float[Tensor, "batch 3 height width"]:
        """CIE Lab, D65: L in [0, 100], ab in about [-110, 110]."""
        return rgb_to_lab(self.rgb)

    @property
    def ab(self) -> Float[Tensor, "batch 2 height width"]:
        """The colour channels of `lab`."""
        return self.lab[:, 1:]

    @cached_property
    def colourfulness(self) -> Float64[Tensor, "batch"]:
        """See `metrics.colourfulness`."""
        return colourfulness(self.rgb)

    @cached_property
    def saturation(self) -> Int64[Tensor, "batch 256"]:
        """See `saturation_histogram`."""
        return saturation_histogram(self.rgb)

    @cached_property
    def palette(self) -> Float[Tensor, "batch 5 3"]:
        """See `dominant_colours`."""
        return dominant_colours(self.lab)


Measure = Callable[[Pictures, Pictures], Tensor]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of a report.

    Args:
        label: as printed.
        unit: as printed behind the label; empty where there is none.
        better: which values are better; of `nearer truth` the truth's own value is the aim.
        digits: decimals printed.
        how: the protocol in one line, for the report.
        measure: (colorized pictures, true pictures) -> one number per picture, NaN where it is not defined; None for
            those that the evaluation makes of more than two pictures (AuC, FID, accuracy, ...).
        column: the column of per_image.csv it is made from; its own name where empty.
        pooling: over images: mean (of the finite values), root mean square, or a figure of the whole set.
        weights: column of the images' weights in the mean.
    """

    label: str
    unit: str = ""
    better: Better
    digits: int
    how: str
    measure: Measure | None = None
    column: str = ""
    pooling: Pooling = "mean"
    weights: str = ""


def open_metrics(metrics: Sequence[str | Metric], built_in: Mapping[str, Metric]) -> dict[str, Metric]:
    """The built-in metrics by name, then `metrics`: `module:Name` addresses, or metrics, which go by their labels.

    Raises:
        ValueError: no such module or name, what it names is not a metric with a `measure`, or a name that is taken.
    """
    opened = dict(built_in)
    for metric in metrics:
        if isinstance(metric, str) and not is_outside(metric):
            raise ValueError(
                f"metrics: {metric!r} is not module:Name of a metric of your own; the built-in ones "
                f"({', '.join(built_in)}) are always in the report"
            )
        imported = import_outside(metric, "metric") if isinstance(metric, str) else metric
        name = metric if isinstance(metric, str) else metric.label
        if not isinstance(imported, Metric) or imported.measure is None:
            raise ValueError(
                f"metric {name} must be an eval_colorization.Metric with a measure but is {imported!r:.80}"
            )
        if name in opened:
            raise ValueError(f"there are two metrics {name!r}; give one of them another name")
        opened[name] = imported
    return opened


def measure_images(
    name: str, metric: Metric, colorized: Pictures, truth: Pictures
) -> Float64[Tensor, "batch"]:
    """One number per picture.

    Raises:
        ValueError: the metric returned something else.
    """
    assert metric.measure is not None
    values = metric.measure(colorized, truth)
    if not isinstance(values, Tensor) or values.shape != (len(truth.rgb),):
        got = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"{values!r:.80}"
        raise ValueError(
            f"metric {name} must return one number per picture, a tensor of shape ({len(truth.rgb)},), but returned "
            f"{got}; take its mean over channels and pixels, not over the batch"
        )
    return values.to(truth.rgb.device, torch.float64)
