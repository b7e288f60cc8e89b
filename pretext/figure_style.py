"""How every figure looks, and how it is saved: PNG and PDF for a paper, SVG for a page."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from pretext.runtime.whole_file import whole_file

WIDTH = 8.6  # inches; over a page's text, a point of type is about a CSS pixel and a half

# Black and white in print; in the page, where no other colour equals them, the text's and the ground's colour.
INK, GROUND = "#010203", "#fdfefc"
NEUTRAL = "#8a8a8a"  # readable on white and on black

# Okabe and Ito 2008, told apart by colour-blind readers too; without black and the yellow that vanishes on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", (0, (5.0, 1.5)), (0, (1.5, 1.0)))
MARKERS = "osD^vPX"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "grid.color": NEUTRAL,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's colour
    "svg.hashsalt": "pretext",  # without it the ids differ from one run to the next
    "pdf.fonttype": 42,  # embedded as TrueType, which publishers ask for
}


@dataclass(frozen=True)
class Look:
    """What tells a line, or a row of a table, from the others."""

    colour: str
    dashes: str | tuple[int, Sequence[float]]
    marker: str


def look_of(place: int) -> Look:
    """The look of the thing at this place among its like: colours first, then dashes; 18 are told apart."""
    return Look(
        COLOURS[place % len(COLOURS)],
        DASHES[place // len(COLOURS) % len(DASHES)],
        MARKERS[place % len(MARKERS)],
    )


@contextmanager
def house_style() -> Iterator[None]:
    """Inside the block figures are drawn in this style."""
    with matplotlib.rc_context(STYLE):
        yield


def literal(name: str, length: int = 36) -> str:
    """`name` as matplotlib draws it letter by letter (dollar signs begin no formula), at most `length` of them.

    Left out is the middle: runs differ in their last letters as often as in their first.
    """
    if len(name) > length:
        name = name[: length // 2] + "…" + name[len(name) - (length - 1) // 2 :]
    return name.replace("$", r"\$")


def save_figure(figure: Figure, stem: Path, *, pdf: bool = True) -> None:
    """Write `stem`.png at 200 dpi and `stem`.pdf with embedded fonts; the same figure gives the same bytes.

    Args:
        pdf: whether to write that as well.
    """
    for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None}))[: 1 + pdf]:
        with house_style(), whole_file(stem.with_name(f"{stem.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=metadata, facecolor="white")


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element for an HTML page, as wide as its place, in the page's text colour.

    `name` keeps its ids apart from those of the page's other figures.
    """
    text = io.StringIO()
    with house_style():
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Its style element would hold for the whole page, and is against the page's security policy.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace("xlink:href", "href").replace(INK, "currentColor").replace(GROUND, "var(--ground)")
