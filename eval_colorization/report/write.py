"""What a report leaves behind: JSON, CSV, figures, one page, and a table in the terminal."""

import csv
import io
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from eval_colorization.metrics.table import METRICS
from eval_colorization.report.figures import MAIN_METRICS, draw_figures
from eval_colorization.report.page import render_report
from eval_colorization.results import CONTROLS, Results
from pretext.figure_style import save_figure
from pretext.runtime.aligned import aligned
from pretext.runtime.whole_file import make_folder, write_whole

PER_IMAGE = ("values", "sha256", "gallery")
TABLE_METRICS = (*MAIN_METRICS, "fid")


def write_report(results: Results, folder: str | Path) -> None:
    """Write `report.json`, `per_image.csv`, `figures/*.png`, `figures/*.pdf` and `index.html` into `folder`.

    Each file is written whole: a reader finds the previous report's or this one's.

    Args:
        results: of `evaluate`.
        folder: made if it is not there.

    Raises:
        ValueError: the folder cannot be made.
        OSError: a file cannot be written.
    """
    out = Path(folder)
    make_folder(out / "figures")
    write_whole(out / "report.json", json.dumps(report_json(results), indent=1, allow_nan=False) + "\n")
    write_whole(out / "per_image.csv", per_image_csv(results))
    drawings = draw_figures(results)
    for name, drawing in drawings.items():
        save_figure(drawing.figure, out / "figures" / name)
    write_whole(out / "index.html", render_report(results, drawings))


def report_json(results: Results) -> dict[str, Any]:
    """Everything of `results` but what is about single images, and the ab histograms, as standard JSON values.

    Infinite numbers become "inf" and "-inf", NaN becomes null.
    """
    report = {
        field.name: getattr(results, field.name) for field in fields(results) if field.name not in PER_IMAGE
    }
    report["methods"] = [
        {key: value for key, value in asdict(method).items() if key != "ab_histogram"}
        for method in results.methods
    ]
    for name in ("networks", "not_computed"):
        report[name] = [asdict(result) for result in report[name]]
    report["diagnosticity"] = asdict(results.diagnosticity) if results.diagnosticity else None
    report["metrics"] = {
        key: {"label": metric.label, "unit": metric.unit, "better": metric.better, "how": metric.how}
        for key, metric in results.metrics.items()
    }
    return _plain(report)


def per_image_csv(results: Results) -> str:
    """One row per image and method, image by image; an empty cell where a number was not computed."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "method", "class", "grey_truth", *results.values, "sha256"])
    for place, image in enumerate(results.images):
        label = results.labels[place] if results.labels else ""
        grey_truth = "true" if results.grey_truths[place] else "false"
        for row, method in enumerate(results.methods):
            numbers = [float(values[row, place]) for values in results.values.values()]
            cells = ["" if math.isnan(number) else repr(number) for number in numbers]
            writer.writerow([image, method.name, label, grey_truth, *cells, results.sha256[row, place]])
    return file.getvalue()


def print_table(results: Results) -> None:
    """Print the methods with their main metrics, the best but for the truth marked by a star, and what is missing."""
    shown = [key for key in results.computed_metrics if key in TABLE_METRICS or key not in METRICS]
    rows = [
        ["", *(results.metrics[key].label for key in shown)],
        ["", *(results.metrics[key].unit for key in shown)],
    ]
    for method in sorted(results.methods, key=lambda method: method.kind in CONTROLS):
        row = [method.name]
        for key in shown:
            summary = method.summaries.get(key)
            star = "*" if summary and summary.standing == "best" else " "
            row.append(f"{summary.value:.{results.metrics[key].digits}f}{star}" if summary else "- ")
        rows.append(row)
    print(aligned(rows))
    print("* the best but for the truth; intervals and all other metrics are in the report")
    for missing in results.not_computed:
        label = results.metrics[missing.metric].label if missing.metric in results.metrics else missing.metric
        methods = f" of {', '.join(missing.methods)}" if missing.methods else ""
        print(f"not computed: {label}{methods}: {missing.reason}; to get it: {missing.remedy}")
    for what, named in (
        ("left out", results.left_out),
        ("another lightness than the truth", results.other_lightness),
    ):
        if named:
            print(f"{what}: {len(named)} {'image' if len(named) == 1 else 'images'}, named in the report")


def _plain(value: Any) -> Any:
    """`value` of dicts, sequences, arrays and numbers as what standard JSON can say."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
