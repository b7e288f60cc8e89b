"""The figure of colour diagnosticity: where colour matters, what a wrong one does, and what the methods reach there."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval_colorization.report.looks import draw_point, method_styles
from eval_colorization.results import CONDITIONS, ClassResult, MethodResult, Results, Summaries, Summary
from pretext.figure_style import COLOURS, GROUND, INK, WIDTH, house_style, literal

Halves = Mapping[str, Summaries]
HALVES = {"high": (COLOURS[1], "^"), "low": (COLOURS[0], "v")}


def draw_diagnosticity(results: Results) -> Figure:
    """What the methods reach in either half of the classes, the true images in three conditions, and the classes."""
    assert results.diagnosticity
    halves, recognised = results.diagnosticity.halves, results.diagnosticity.recognised
    with house_style():
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        axes = list(figure.subplots(1, 1 + bool(halves) + bool(recognised), squeeze=False)[0])
        if halves:
            _draw_halves(figure, axes.pop(0), results.methods, halves)
        if recognised:
            _draw_conditions(axes.pop(0), recognised)
        _draw_classes(axes.pop(), results.diagnosticity.classes)
    return figure


def _draw_halves(figure: Figure, axes: Axes, methods: Sequence[MethodResult], halves: Halves) -> None:
    """Each method on the classes of high and on those of low diagnosticity."""
    styles = method_styles(methods)
    recovered = _recovery(halves)
    shown = recovered or {half: {m: s.get("psnr") for m, s in by.items()} for half, by in halves.items()}
    handles, labels = [], []
    methods = [m for m in methods if m.kind != "truth" and not (recovered and m.kind == "grey")]
    for place, method in enumerate(methods):
        look, shift = styles[method.name], 0.5 * (place + 0.5) / len(methods) - 0.25
        for centre, half in enumerate(("high", "low")):
            draw_point(
                axes,
                shown[half].get(method.name),
                centre + shift,
                look.colour,
                look.marker,
                horizontal=False,
            )
        handles += axes.plot([], [], color=look.colour, marker=look.marker, linestyle="none")
        labels.append(literal(method.name, 26))
    axes.set_xticks((0, 1), ("high\ndiagnosticity", "low\ndiagnosticity"))
    axes.set(ylabel="recovered recognition" if recovered else "PSNR (dB)", xlim=(-0.5, 1.5))
    axes.grid(axis="x", visible=False)
    if recovered:
        for level, word in ((0, "grey"), (1, "truth")):
            axes.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.text(1.5, level, word, ha="right", va="bottom", fontsize=8)
    figure.legend(handles, labels, loc="outside lower left", ncols=min(4, len(labels)))


def _draw_conditions(axes: Axes, recognised: Mapping[str, Mapping[str, Summary]]) -> None:
    """How many true images of either half are recognised in their own colours, without, and in the opposite ones."""
    for shift, half in ((-0.05, "high"), (0.05, "low")):
        colour, marker = HALVES[half]
        places = [place + shift for place in range(len(CONDITIONS))]
        summaries = [recognised[half][condition] for condition in CONDITIONS]
        for place, summary in zip(places, summaries, strict=True):
            draw_point(axes, summary, place, colour, marker, horizontal=False)
        heights = [summary.value for summary in summaries]
        axes.plot(places, heights, color=colour, linewidth=1, label=f"{half} half")
    axes.set_xticks(range(len(CONDITIONS)), ("true\ncolours", "grey", "opposite\ncolours"))
    axes.set(ylabel="recognised (%)", xlim=(-0.5, len(CONDITIONS) - 0.5))
    axes.grid(axis="x", visible=False)
    axes.legend(loc="best")


def _draw_classes(axes: Axes, classes: Sequence[ClassResult]) -> None:
    """Classes by the entropy of their colours and, where a classifier was run, what colour adds to recognition."""
    with_classifier = any(result.diagnosticity is not None for result in classes)
    ordered = sorted(classes, key=lambda result: result.ab_entropy)
    across = [result.ab_entropy if with_classifier else rank + 1 for rank, result in enumerate(ordered)]
    up = [100 * (result.diagnosticity or 0) if with_classifier else result.ab_entropy for result in ordered]
    for half, (colour, marker) in HALVES.items():
        chosen = [place for place, result in enumerate(ordered) if result.half == half]
        points = [across[place] for place in chosen], [up[place] for place in chosen]
        axes.scatter(
            *points,
            color=colour,
            marker=marker,
            s=26,
            label=f"{half} half",
            edgecolors=GROUND,
            linewidths=0.5,
        )
    named = ordered if len(ordered) <= 12 else ordered[:3] + ordered[-3:]
    for place, result in enumerate(ordered):
        if result in named:
            axes.annotate(
                literal(result.name, 20),
                (across[place], up[place]),
                (4, 4),
                textcoords="offset points",
                fontsize=7,
            )
    axes.margins(0.15)
    entropy = "entropy of the class's colours (bits)"
    axes.set_xlabel(entropy if with_classifier else "class, by entropy")
    axes.set_ylabel("accuracy in true colour minus in grey (points)" if with_classifier else entropy)
    axes.legend(loc="best")


def _recovery(halves: Halves) -> dict[str, dict[str, Summary | None]] | None:
    """half -> method -> the share of what true colour adds to recognition that the method's colours add.

    None where a half lacks the classifier, or true colour adds nothing.
    """
    recovered: dict[str, dict[str, Summary | None]] = {}
    for half, methods in halves.items():
        ends = [methods.get(control, {}).get("accuracy") for control in ("grey", "truth")]
        if ends[0] is None or ends[1] is None or not ends[1].value > ends[0].value:
            return None
        floor, gain = ends[0].value, ends[1].value - ends[0].value
        recovered[half] = {
            name: Summary(value=(metrics["accuracy"].value - floor) / gain, images=metrics["accuracy"].images)
            for name, metrics in methods.items()
            if "accuracy" in metrics
        }
    return recovered
