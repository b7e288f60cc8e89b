"""The figures of a report: what its tables cannot show."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval_colorization.metrics.metric import ARROWS
from eval_colorization.metrics.table import METRICS
from eval_colorization.report.ab_histogram_figure import draw_ab_histograms
from eval_colorization.report.diagnosticity_figure import draw_diagnosticity
from eval_colorization.report.looks import draw_point, method_styles
from eval_colorization.results import Results, Summary
from pretext.figure_style import COLOURS, INK, NEUTRAL, WIDTH, house_style, literal

MAIN_METRICS = (
    "psnr",
    "ab_rmse",
    "auc",
    "auc_rebalanced",
    "ciede2000",
    "ssim",
    "lpips",
    "colourfulness",
    "accuracy",
)
NETWORK_LOOKS = (("-", "o"), ("--", "s"), (":", "D"), ("-.", "^"))


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with what is printed above and below it."""

    title: str
    caption: str
    figure: Figure


def draw_figures(results: Results) -> dict[str, Drawing]:
    """File name -> figure, of everything that the results can show."""
    drawings = {
        "metric_intervals": Drawing(
            title="Main metrics",
            caption="Points are values over the whole set, bars their bootstrap 95 % intervals over images. The dashed "
            "line is the truth where it is a finite aim.",
            figure=draw_metric_intervals(results),
        ),
        "auc_curves": Drawing(
            title="Accuracy of the colours",
            caption="Share of pixels whose ab error (L2) is at most t; the area under it up to t = 150 is its AuC. "
            "Rebalanced: every pixel weighted by the rarity of its true colour.",
            figure=draw_auc_curves(results),
        ),
        "ab_histograms": Drawing(
            title="Colours used",
            caption="Where the pixels of all images fall on the ab plane, in a logarithmic scale. Coloured outline: "
            "the range of the 313 published bins, in its own hues; inside the thin line lie 95 % of the true pixels.",
            figure=draw_ab_histograms(results.methods),
        ),
    }
    if results.networks:
        drawings["temperature_sweep"] = Drawing(
            title="Vividness against accuracy",
            caption="The annealed mean at each temperature T, at the network's output grid, from the mode (T → 0) to "
            "the mean (T = 1). The vertical line is the mean chroma of the true colours.",
            figure=draw_temperature_sweep(results),
        )
        drawings["reliability"] = Drawing(
            title="Reliability of the predicted distributions",
            caption="Positions by the probability of their likeliest bin: how often it is the right one (above), "
            "and how many they are (below). On the diagonal the network knows what it knows.",
            figure=draw_reliability(results),
        )
    if results.diagnosticity:
        drawings["diagnosticity"] = Drawing(
            title="Colour diagnosticity",
            caption="Left: the methods on classes whose colour matters more (high) and less (low), halves made by "
            f"{results.diagnosticity.ordered_by}. "
            + (
                "Middle: the true images in their colours, in grey, and in the opposite colours (every hue turned by "
                "180 degrees); the first two make the halves. "
                if results.diagnosticity.recognised
                else ""
            )
            + "Right: the classes.",
            figure=draw_diagnosticity(results),
        )
    return drawings


def draw_metric_intervals(results: Results) -> Figure:
    """The main metrics, a panel each: every method's value with its interval."""
    metrics = [key for key in results.computed_metrics if key in MAIN_METRICS or key not in METRICS]
    methods = [method for method in results.methods if method.kind != "truth"]
    truth = results.summaries.get("truth", {})
    styles = method_styles(results.methods)
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    with house_style():
        figure = Figure(figsize=(WIDTH, 0.5 + rows * (0.65 + 0.2 * len(methods))), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
        for axes in panels[len(metrics) :]:
            axes.set_axis_off()
        for axes, key in zip(panels, metrics, strict=False):
            metric = results.metrics[key]
            axes.grid(axis="y", visible=False)
            axes.set_title(
                f"{metric.label}{f' ({metric.unit})' if metric.unit else ''}  {ARROWS[metric.better]}"
            )
            for place, method in enumerate(methods):
                look = styles[method.name]
                draw_point(axes, method.summaries.get(key), place, look.colour, look.marker, horizontal=True)
            if metric.better == "nearer truth" or key == "accuracy":
                _truth_line(axes, truth.get(key))
            axes.set_yticks(range(len(methods)), [literal(method.name, 26) for method in methods])
            axes.set_ylim(len(methods) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
    return figure


def draw_auc_curves(results: Results) -> Figure:
    """The share of pixels by ab error, of all pixels and rebalanced."""
    styles = method_styles(results.methods)
    with house_style():
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, title, curve, metric in (
            (panels[0], "all pixels", "auc_curve", "auc"),
            (panels[1], "rebalanced", "auc_rebalanced_curve", "auc_rebalanced"),
        ):
            handles, labels = [], []
            for method in results.methods:
                look, shares = styles[method.name], getattr(method, curve)
                handles += axes.plot(
                    np.arange(len(shares)), 100 * shares, color=look.colour, linestyle=look.dashes
                )
                area = method.summaries.get(metric)
                labels.append(literal(method.name, 26) + (f"  {area.value:.1f}" if area else ""))
            axes.set(title=title, xlabel="ab error t", xlim=(0, 150), ylim=(0, 102))
            axes.legend(handles, labels, loc="lower right", title="AuC (%)", alignment="left")
        panels[0].set_ylabel("pixels with an error of at most t (%)")
    return figure


def draw_temperature_sweep(results: Results) -> Figure:
    """Mean chroma against AuC and rebalanced AuC over the temperatures, for each network."""
    with house_style():
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        for axes, (name, label) in zip(
            figure.subplots(1, 2), (("auc", "AuC (%)"), ("auc_rebalanced", "AuC rebalanced (%)")), strict=True
        ):
            for place, network in enumerate(results.networks):
                colour, (dashes, marker) = COLOURS[place % 6], NETWORK_LOOKS[place % 4]
                chroma = [point.mean_chroma for point in network.sweep]
                height = [getattr(point, name) for point in network.sweep]
                axes.plot(
                    chroma, height, color=colour, linestyle=dashes, marker=marker, label=literal(network.name)
                )
                # Beside the line, not on it.
                rises = (chroma[-1] - chroma[0]) * (height[-1] - height[0]) > 0
                offset = (5, -8) if rises else (5, 4)
                for point in zip(chroma, height, network.sweep, strict=True):
                    axes.annotate(
                        f"T = {point[2].temperature:g}",
                        point[:2],
                        offset,
                        textcoords="offset points",
                        fontsize=7,
                    )
                axes.axvline(network.truth_mean_chroma, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.margins(0.12)
            axes.set(xlabel="mean chroma (ab units)", ylabel=label)
            foot = (results.networks[0].truth_mean_chroma, 0.0)
            at = axes.get_xaxis_transform()
            axes.annotate("truth", foot, (4, 4), xycoords=at, textcoords="offset points", fontsize=8)
            axes.legend(loc="best")
    return figure


def draw_reliability(results: Results) -> Figure:
    """Accuracy against confidence, and the share of positions in each cell."""
    with house_style():
        figure = Figure(figsize=(WIDTH * 0.6, 4.6), layout="constrained")
        accuracy, share = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        accuracy.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=1, linestyle=(0, (4, 3)))
        for place, network in enumerate(results.networks):
            colour, (dashes, marker) = COLOURS[place % 6], NETWORK_LOOKS[place % 4]
            filled = network.count > 0
            label = f"{literal(network.name, 30)}: calibration error {network.calibration_error:.3f}"
            accuracy.plot(
                network.confidence[filled],
                network.accuracy[filled],
                color=colour,
                linestyle=dashes,
                marker=marker,
                label=label,
            )
            edges = np.linspace(0, 1, len(network.count) + 1)
            shares = 100 * network.count / max(network.count.sum(), 1)
            share.stairs(shares, edges, color=colour, linestyle=dashes, linewidth=1.3)
        accuracy.set(ylabel="it is the right bin (share)", xlim=(0, 1), ylim=(0, 1))
        accuracy.legend(loc="upper left")
        share.set(xlabel="probability of the likeliest bin", ylabel="positions (%)")
    return figure


def _truth_line(axes: Axes, summary: Summary | None) -> None:
    if summary is not None and np.isfinite(summary.value):
        axes.axvline(summary.value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
