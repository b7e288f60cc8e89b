"""The page of pictures: one HTML file with everything in it."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from pretext.figure_style import COLOURS, GROUND, NEUTRAL, WIDTH, house_style, inline_svg, literal, look_of
from pretext.html_page import render_page, thumbnail_uri
from pretext.images.image_source import ImageSource
from transfer.data.labelled import LabelledImages
from transfer.features.protocols import LinearProtocol
from transfer.table.words import metric_name

TEMPLATE = Path(__file__).parent / "templates" / "pictures.html"
NUM_NEIGHBOURS = 6
PICTURE = 144  # pixels of a picture's side among maps and neighbours
PLANE = 1440  # pixels of a plane's side
CELLS = (10, 36)  # images that have room side by side on it: the fewest and the most
NUM_COLOURS = 2 * len(COLOURS)  # of classes on a plane: discs, then rings


class Crops:
    """The part of each image that the networks see."""

    def __init__(self, source: ImageSource, protocol: LinearProtocol) -> None:
        self._source, self._cut, self._short_side = source, protocol.central_cut(), protocol.image_size

    def open(self, index: int) -> Float[Tensor, "3 size size"]:
        """RGB in [0, 1]."""
        return self._cut(self._source.open(index, self._short_side)) / 255

    def picture(self, index: int, side: int) -> Image.Image:
        """A picture of that many pixels."""
        return to_pil_image(self.open(index)).resize((side, side), Image.Resampling.LANCZOS)


@dataclass(frozen=True, kw_only=True)
class StageMaps:
    """A stage's maps of the shown images as pictures, by the number of the network that has it."""

    stage: str
    pictures: Mapping[int, UInt8[np.ndarray, "images _ _ 3"]]


@dataclass(frozen=True, kw_only=True)
class NetworkPictures:
    """What there is to see of a network.

    Attributes:
        name: in results.
        weights: their SHA-256.
        filters: of its first layer.
        stage: of which neighbours and places are.
        neighbours: of each shown image, the nearest first: index and cosine similarity.
        places: index of an image -> its place in the unit square.
        accuracy: stage -> metrics in percent, of the classes that an image's neighbours give it; empty without classes.
    """

    name: str
    weights: str
    filters: Image.Image | None
    stage: str
    neighbours: Sequence[Sequence[tuple[int, float]]]
    places: Mapping[int, tuple[float, float] | list[float]]
    accuracy: Mapping[str, Mapping[str, float]]


def render(
    images: LabelledImages,
    protocol: LinearProtocol,
    shown: Sequence[int],
    stages: Sequence[StageMaps],
    networks: Sequence[NetworkPictures],
    *,
    num_votes: int,
) -> str:
    """The page.

    Args:
        shown: indices of the images whose maps and neighbours it shows.
        num_votes: neighbours by which an image was classified.
    """
    crops = Crops(images.source, protocol)
    colours = _colours(images)
    metric = next((name for of in networks for by_name in of.accuracy.values() for name in by_name), None)
    return render_page(
        TEMPLATE,
        files=("style.css",),
        policy="img-src data:; style-src-attr 'unsafe-inline'",
        images=images,
        protocol=protocol,
        shown=shown,
        stages=stages,
        networks=networks,
        planes=[_plane(network.places, crops) for network in networks],
        classes=[_class(images, index) for index in range(len(images.source))],
        colours=colours,
        dot=_dot,
        radius=max(3.0, min(9.0, 200 / len(networks[0].places) ** 0.5)),
        num_neighbours=NUM_NEIGHBOURS,
        num_votes=num_votes,
        picture=lambda index: thumbnail_uri(crops.picture(index, PICTURE), PICTURE),
        png=lambda picture: _uri(picture, "PNG"),
        map_picture=Image.fromarray,
        metric=metric,
        metric_name=metric and metric_name(metric),
        accuracy_stages=_accuracy_stages(networks),
        figure=metric and Markup(inline_svg(_draw_accuracy(networks, metric), "accuracy")),
    )


def _class(images: LabelledImages, index: int) -> str:
    """The class of an image, or its classes; empty where there are none."""
    if not images.multi_label:
        return images.classes[images.labels[index]] if images.classes else ""
    return ", ".join(
        name for name, sign in zip(images.classes, images.labels[index], strict=True) if sign == 1
    )


def _colours(images: LabelledImages) -> dict[str, int]:
    """The most frequent classes, as many as are told apart, and the number of their look."""
    if not images.classes or images.multi_label:
        return {}
    counts = np.bincount(images.labels, minlength=len(images.classes))
    frequent = np.argsort(-counts, kind="stable")[:NUM_COLOURS]
    return {images.classes[label]: number for number, label in enumerate(sorted(frequent)) if counts[label]}


def _dot(x: float, y: float, number: int | None, radius: float, name: str = "") -> Markup:
    """A point of SVG: for the first classes a disc of its colour, for the next ones a ring."""
    colour = NEUTRAL if number is None else COLOURS[number % len(COLOURS)]
    if number is not None and number >= len(COLOURS):
        look = f'fill="none" stroke="{colour}" stroke-width="{radius / 2:.1f}"'
        radius *= 0.75
    else:
        look = f'fill="{colour}"'
    title = Markup("<title>{}</title>").format(name) if name else ""
    return Markup(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {look}>{title}</circle>')


def _plane(places: Mapping[int, Sequence[float]], crops: Crops) -> tuple[str, int]:
    """The images at their places, as a data URI, and how many there are: in each cell of a grid the first one."""
    fewest, most = CELLS
    cells = min(max(round(1.5 * len(places) ** 0.5), fewest), most)
    side = PLANE // cells
    taken: dict[tuple[int, int], int] = {}
    for index, (x, y) in places.items():
        taken.setdefault((round(x * (cells - 1)), round(y * (cells - 1))), index)
    sheet = Image.new("RGBA", (cells * side,) * 2)
    for (column, row), index in taken.items():
        sheet.paste(crops.picture(index, side), (column * side, row * side))
    return _uri(sheet, "WEBP"), len(taken)


def _uri(picture: Image.Image, form: str) -> str:
    file = io.BytesIO()
    picture.save(file, form, **({"quality": 80} if form == "WEBP" else {"optimize": True}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _accuracy_stages(networks: Sequence[NetworkPictures]) -> list[str]:
    return list(dict.fromkeys(stage for network in networks for stage in network.accuracy))


def _draw_accuracy(networks: Sequence[NetworkPictures], metric: str) -> Figure:
    """A line for each network, over the stages."""
    stages = _accuracy_stages(networks)
    with house_style():
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="x", visible=False)
        for number, network in enumerate(networks):
            look = look_of(number)
            axes.plot(
                [stages.index(stage) for stage in network.accuracy],
                [of[metric] for of in network.accuracy.values()],
                color=look.colour,
                linestyle=look.dashes,
                marker=look.marker,
                markeredgecolor=GROUND,
                markeredgewidth=0.5,
                label=literal(network.name),
            )
        axes.set_xticks(range(len(stages)), [literal(stage, 20) for stage in stages])
        axes.set_xlim(-0.5, len(stages) - 0.5)
        axes.set_ylabel(f"{metric_name(metric)} (%)")
        figure.legend(loc="outside right upper")
    return figure
