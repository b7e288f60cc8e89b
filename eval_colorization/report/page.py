"""The page that a researcher publishes: one HTML file with everything in it."""

import base64
import io
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

from eval_colorization.metrics.metric import ARROWS
from eval_colorization.published import published_beside
from eval_colorization.report.figures import Drawing
from eval_colorization.report.looks import method_styles
from eval_colorization.results import (
    CONDITIONS,
    CONTROLS,
    GalleryImage,
    MethodResult,
    Results,
    Summaries,
    Summary,
)
from eval_colorization.squares import SAME_PICTURE
from pretext.figure_style import INK, inline_svg
from pretext.html_page import render_page as render_template
from pretext.quoted import NOTE, mark
from pretext.runtime.run_dir import flatten

TEMPLATES = Path(__file__).parent / "templates"
TABLE_COLUMNS = 7  # so many fit the page, on screen and on paper


def render_report(results: Results, drawings: Mapping[str, Drawing]) -> str:
    """The report as one HTML file that loads nothing and runs no script but its own.

    Args:
        results: what is printed.
        drawings: name -> figure; those of `draw_figures` have their places.
    """
    looks = method_styles(results.methods)
    return render_template(
        TEMPLATES / "report.html",
        files=("style.css", "script.js"),
        policy="img-src data:; style-src-attr 'unsafe-inline'",
        filters={"number": _number, "interval": _interval, "mark": mark},
        results=results,
        controls=CONTROLS,
        all_conditions=CONDITIONS,
        arrows=ARROWS,
        metrics=results.metrics,
        colours={name: "currentColor" if look.colour == INK else look.colour for name, look in looks.items()},
        tables=partial(_tables, results),
        figures={
            name: {"drawing": drawing, "svg": Markup(inline_svg(drawing.figure, name))}
            for name, drawing in drawings.items()
        },
        gallery=[_row(image, results) for image in results.gallery],
        first_metric=next(iter(results.per_image_metrics)),
        data=_data(results),
        same_picture=SAME_PICTURE,
        published=published_beside(results.subset),
        from_memory=NOTE,
        manifest=flatten(results.manifest),
    )


def picture_uri(rgb: UInt8[np.ndarray, "height width 3"]) -> str:
    """The picture as a data URI.

    JPEG at quality 92 with chroma at full resolution: the methods differ in nothing but chroma, which WebP and the
    usual JPEG halve. About 26 kB for 256 x 256 pixels, a mean CIEDE2000 of 1.3 to the original.
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=92, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _tables(results: Results, summaries: Summaries) -> list[dict[str, int]]:
    """The computed metrics cut into tables of about equal width: metric -> the most images that a method's rests on."""
    most_images = {
        key: max(images)
        for key in results.computed_metrics
        if (images := [metrics[key].images for metrics in summaries.values() if key in metrics])
    }
    num_tables = math.ceil(len(most_images) / TABLE_COLUMNS)
    width = math.ceil(len(most_images) / max(num_tables, 1))
    return [
        dict(list(most_images.items())[table * width : (table + 1) * width]) for table in range(num_tables)
    ]


def _interval(summary: Summary, digits: int) -> str:
    if summary.low is None or summary.high is None or math.isnan(summary.low + summary.high):
        return ""
    return f"{_number(summary.low, digits)} \N{EN DASH} {_number(summary.high, digits)}"


def _row(image: GalleryImage, results: Results) -> dict[str, Any]:
    """One image of the gallery: grey, the methods and the truth, each with its picture where it has one."""
    ordered = sorted(
        enumerate(results.methods), key=lambda numbered: {"grey": 0, "truth": 2}.get(numbered[1].kind, 1)
    )
    metric, column = next(iter(results.per_image_metrics.items()))

    def cell(place: int, method: MethodResult) -> dict[str, Any]:
        value = float(results.values[column][place, image.index])
        picture = image.pictures.get(method.name)
        return {
            "method": method.name,
            "uri": None if picture is None else picture_uri(picture),
            "height": 1 if picture is None else picture.shape[0],
            "width": 1 if picture is None else picture.shape[1],
            "value": _number(value, results.metrics[metric].digits),
        }

    return {
        "index": image.index,
        "name": results.images[image.index],
        "label": results.labels[image.index] if results.labels else "",
        "grey_truth": bool(results.grey_truths[image.index]),
        "cells": [cell(place, method) for place, method in ordered],
    }


def _data(results: Results) -> dict[str, Any]:
    """What the script sorts by and prints: the numbers of the gallery's images, by metric, image and method."""
    return {
        "methods": [method.name for method in results.methods],
        "truth": next((method.name for method in results.methods if method.kind == "truth"), None),
        "metrics": [
            {
                "label": results.metrics[key].label,
                "unit": results.metrics[key].unit,
                "digits": results.metrics[key].digits,
                "better": results.metrics[key].better,
                "values": {
                    image.index: [
                        _json_number(float(value)) for value in results.values[column][:, image.index]
                    ]
                    for image in results.gallery
                },
            }
            for key, column in results.per_image_metrics.items()
        ],
    }


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _number(value: float, digits: int) -> str:
    """As printed in the page: 27.31, −0.50, ∞, –."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return f"{value:.{digits}f}".replace("inf", "∞").replace("-", "\N{MINUS SIGN}")
