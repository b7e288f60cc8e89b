"""Write the tables of README.md and of the pages in docs from the records beside them.

    python docs/tables.py

Each table stands between two comments that name it; what is between them is replaced. A test holds the pages to it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from safetensors import safe_open

from eval_colorization.published import CTEST10K
from pretext.networks import build_network
from pretext.pretrained import SHIPPED_WEIGHTS, load_pretrained
from pretext.runtime.command_line import read_yaml
from pretext.runtime.metrics_log import read_metrics
from pretext.runtime.run_dir import RunDir
from pretext.tasks import build_task
from transfer.protocols import PROTOCOLS
from transfer.results import read_records
from transfer.table.comparison import Row, Table, make_tables
from transfer.table.provenance import steps_and_seconds
from transfer.table.published import PASCAL, published_beside
from transfer.table.words import published_number

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHIPPED = "eccv16-photographs"
RANDOM = "random eccv16 x0.5"
BACKBONES = (SHIPPED, RANDOM, "AlexNet", "MobileNetV2")  # from top to bottom
(PUBLISHED_PROBES,) = published_beside("linear", "zhang16", "top1", "ImageNet")
METHODS = {
    SHIPPED: SHIPPED,
    "short training": "the demo's short training",
    "grey": "grey",
    "random": "colours of another photograph",
    "truth": "truth",
}


PAGES = (
    "README.md",
    "docs/weights.md",
    "docs/transfer.md",
    "docs/benchmark.md",
    "docs/systems.md",
    "docs/protocols.md",
)


def main() -> None:
    for page in PAGES:
        path = ROOT / page
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(page: str) -> str:
    """The page with its tables made anew.

    Raises:
        KeyError: it names a table that is not in TABLES.
        FileNotFoundError: the records of a table are missing.
    """
    return re.sub(
        r"(<!-- begin (\S+) -->\n).*?(<!-- end \2 -->)",
        lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [head, [":---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ------------------------------------------------------------------------------------------------------------- weights
@cache
def metadata() -> dict[str, str]:
    """What the shipped file says of itself."""
    with safe_open(SHIPPED_WEIGHTS[SHIPPED], framework="pt") as file:
        return file.metadata()


def facts() -> str:
    network = load_pretrained(SHIPPED)
    parameters = sum(parameter.numel() for parameter in network.network.parameters())
    size = SHIPPED_WEIGHTS[SHIPPED].stat().st_size
    said = metadata()
    rows = {
        "network": f"{network.name}, width {network.network.width:g}, {parameters / 1e6:.1f} M parameters",
        "file": f"`pretext/weights/{SHIPPED_WEIGHTS[SHIPPED].name}`, {size / 1e6:.1f} MB, half precision",
        "SHA-256 of its tensors": f"`{network.sha256}`",
        "data": said["data"],
        "recipe": said["recipe"],
        "licence": said["licence"],
    }
    return "\n".join(["| | |", "|:---|:---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def sources() -> str:
    rows = [
        f"| `{name}` | {source['photographs']} | {source['repository']} | {source.get('terms', '')} |"
        for name, source in json.loads(metadata()["sources"]).items()
    ]
    return "\n".join(["| folder | photographs | public repository | terms |", "|:---|:---|:---|:---|", *rows])


def losses() -> str:
    steps = [row for row in read_metrics(DOCS / "weights" / "metrics.jsonl") if "validation_loss" in row]
    names = {
        "validation_loss": "validation loss, nats",
        "validation_constant_answer": "always answering the training prior",
        "validation_psnr": "PSNR, dB",
        "validation_psnr_grey": "left grey, dB",
    }
    return table(
        ["step", *(f"{row['step']:,}" for row in steps)],
        [
            [name, *(f"{row[key]:.2f}" if "psnr" in key else f"{row[key]:.3f}" for row in steps)]
            for key, name in names.items()
        ],
    )


# ------------------------------------------------------------------------------------------------------------- colours
@cache
def report(name: str) -> dict[str, Any]:
    """A report of `eval_colorization`: method -> metric -> summary."""
    folder = DOCS / "systems" if name == "systems" else DOCS / "weights" / name
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {method["name"]: method["summaries"] for method in content["methods"]}


def colours(name: str, metrics: dict[str, str], shown: Mapping[str, str] = METHODS) -> str:
    """Methods by metrics, each with its 95 % interval over the images."""

    def interval(summary: dict[str, Any] | None) -> str:
        if summary is None:
            return ""
        if summary["value"] == "inf":
            return "∞"
        if summary["value"] == 0:
            return "0"
        digits = 2 if abs(summary["value"]) < 1 else 1
        of = f"{summary['value']:.{digits}f}"
        if summary["low"] is None or summary["low"] == summary["high"]:
            return of
        return f"{of} [{summary['low']:.{digits}f}, {summary['high']:.{digits}f}]"

    methods = report(name)
    return table(
        ["", *metrics.values()],
        [[words, *(interval(methods[of].get(metric)) for metric in metrics)] for of, words in shown.items()],
    )


def heldout_colours() -> str:
    return colours(
        "heldout",
        {
            "auc_rebalanced": "rebalanced AuC, %",
            "auc": "AuC, %",
            "psnr": "PSNR, dB",
            "ciede2000": "CIEDE2000",
            "lpips": "LPIPS",
            "colourfulness": "colourfulness",
        },
    )


def recognised() -> str:
    return colours(
        "imagenette", {"accuracy": "recognised, %", "auc_rebalanced": "rebalanced AuC, %", "psnr": "PSNR, dB"}
    )


# ------------------------------------------------------------------------------------------------------------- systems
SYSTEMS = {
    "eccv16-photographs": "Zhang et al. 2016, shipped",
    "zhang": "Zhang et al. 2016",
    "larsson": "Larsson et al. 2016",
    "dahl": "Dahl 2016",
    "deoldify": "DeOldify's generator",
    "scene_context": "scene context",
}


def systems_given() -> str:
    """What each system's training was given."""
    rows = []
    for name, words in SYSTEMS.items():
        run = RunDir(DOCS / "systems" / name)
        if not run.config.exists():
            continue
        config, (steps, seconds) = read_yaml(run.config), steps_and_seconds(run)
        chosen = config["network"]
        network = build_network(
            chosen["name"],
            output=build_task(config["task"], config["task_args"]).output,
            width=chosen["width"],
            args=chosen["args"],
        )
        parameters = sum(of.numel() for of in network.parameters() if of.requires_grad)
        last = [row for row in read_metrics(run.metrics) if "validation_loss" in row][-1]
        rows.append(
            [
                words,
                f"{chosen['width']:g}",
                f"{parameters / 1e6:.1f} M",
                f"{steps:,} x {config['batch_size']}",
                f"{config['data']['crop_size']} of {config['data']['image_size']}",
                f"{seconds / 60:.0f}",
                f"{last['validation_loss']:.4g} ({last['validation_constant_answer']:.4g})",
            ]
        )
    head = ["", "width", "trained weights", "steps", "px", "minutes", "loss (of a constant answer)"]
    return table(head, rows)


def systems_colours() -> str:
    metrics = {
        "auc_rebalanced": "rebalanced AuC, %",
        "auc": "AuC, %",
        "psnr": "PSNR, dB",
        "ciede2000": "CIEDE2000",
        "colourfulness": "colourfulness",
    }
    return colours("systems", metrics, {**SYSTEMS, "grey": "grey", "truth": "truth"})


# --------------------------------------------------------------------------------------------------------------- study
@cache
def study(folder: str = "transfer") -> list[Table]:
    return make_tables(read_records([DOCS / folder]))


def found(
    task: str, data: str, metric: str, *, with_masks: bool = False, folder: str = "transfer"
) -> list[Table]:
    """The study's tables of this task, data set and metric: one for each protocol, of Mask R-CNN or of all others."""
    asked = (task, data, metric, None, with_masks)
    tables = [
        of
        for of in study(folder)
        if (of.task, of.data, of.metric, of.chosen_on, "Mask R-CNN" in of.protocol) == asked
    ]
    assert tables, f"no records of {task} on {data}"
    return tables


def cell(row: Row, column: str) -> str:
    """Mean and, of several seeds or draws, sample standard deviation."""
    if column not in row.cells:
        return ""
    of = row.cells[column]
    return f"{of.mean:.1f}" if of.deviation is None else f"{of.mean:.1f} ± {of.deviation:.1f}"


def label(row: Row) -> str:
    """The backbone and, of low-shot SVMs, the stage; the pages' text says the settings."""
    return ", ".join((row.backbone, *(of for of in row.variant if " = " not in of)))


def by_column(
    task: str,
    data: str,
    metric: str,
    *,
    folder: str = "transfer",
    backbones: Callable[[], Sequence[str]] = lambda: BACKBONES,
) -> str:
    """Backbones by stages (or shots); a table of its own for backbones that share no stage with the first."""
    order = backbones()
    rows = [(of, row) for of in found(task, data, metric, folder=folder) for row in of.rows]
    rows.sort(key=lambda entry: order.index(entry[1].backbone))
    blocks = []
    while rows:
        columns = set(rows[0][1].cells)
        together = [(of, row) for of, row in rows if columns & set(row.cells)]
        rows = [entry for entry in rows if entry not in together]
        shown = [
            column
            for column in dict.fromkeys(column for of, _ in together for column in of.columns)
            if any(column in row.cells for _, row in together)
        ]
        blocks.append(
            table(
                ["", *shown], [[label(row), *(cell(row, column) for column in shown)] for _, row in together]
            )
        )
    return "\n\n".join(blocks)


def best_stage(task: str, data: str, metric: str, backbone: str) -> tuple[str, Row]:
    """The stage with the highest mean, and its row."""
    row = next(row for of in found(task, data, metric) for row in of.rows if row.backbone == backbone)
    return max(row.cells, key=lambda column: row.cells[column].mean), row


def chosen_stage(task: str, data: str, metric: str, backbone: str) -> tuple[str, Row]:
    """The stage that was chosen on held-out training images, and the row of the protocol that fixes all else."""
    (chosen,) = (
        row.chosen_column
        for of in study()
        if (of.task, of.data, of.metric, of.chosen_on) == (task, data, metric, "validation")
        for row in of.rows
        if row.backbone == backbone
    )
    assert chosen is not None
    return chosen, next(
        row for of in found(task, data, metric) for row in of.rows if row.backbone == backbone
    )


def masks() -> str:
    """Boxes and masks of one Mask R-CNN, by backbone."""
    metrics = {
        "boxes, AP50": "AP50",
        "boxes, AP": "AP",
        "masks, AP50": "mask_AP50",
        "masks, AP": "mask_AP",
    }
    cells: dict[str, list[str]] = {}
    for metric in metrics.values():
        (of,) = found("detect", "Penn-Fudan", metric, with_masks=True)
        for row in sorted(of.rows, key=lambda row: BACKBONES.index(row.backbone)):
            cells.setdefault(row.backbone, []).append(cell(row, "head"))
    return table(["", *metrics], [[backbone, *numbers] for backbone, numbers in cells.items()])


def chosen() -> str:
    """What a choice on the test images flatters: best stages and the mean over all stages, of both ways of choosing."""
    ways: dict[tuple[str, str], dict[str, Row]] = {}
    for of in study():
        if of.chosen_on and of.metric == "top1":
            for row in of.rows:
                ways.setdefault((of.task, row.backbone), {})[of.chosen_on] = row
    lines = []
    for (task, backbone), rows in sorted(ways.items(), key=lambda way: BACKBONES.index(way[0][1])):
        honest, flattered = rows["validation"].cells, rows["test"].cells
        stage = rows["validation"].chosen_column
        assert stage is not None
        best = max(flattered, key=lambda column: flattered[column].mean)
        gaps = [flattered[column].mean - honest[column].mean for column in honest]
        lines.append(
            [
                f"{backbone}, {'nearest neighbours' if task == 'knn' else 'linear probes'}",
                f"{honest[stage].mean:.1f} ({stage})",
                f"{flattered[best].mean:.1f} ({best})",
                f"{sum(gaps) / len(gaps):.1f}",
                f"{max(gaps):.1f}",
            ]
        )
    head = ["", "chosen on held-out images", "on the test images", "gap, mean of stages", "largest"]
    return table(head, lines)


# ----------------------------------------------------------------------------------------------------------- benchmark
# Run of the benchmark -> row of the papers' table of linear probes on ImageNet.
PUBLISHED_ROWS = {
    "gaussian": "random",
    "kmeans": "k-means initialisation",
    "colorization": "colorization",
    "colorization_regression": "L → ab (reg)",
    "split_brain": "split-brain",
    "lightness_prediction": "ab → L (cl)",
    "autoencoder": "autoencoder",
    "inpainting": "inpainting",
    "relative_position": "context",
    "jigsaw": "Jigsaw",
}


@cache
def benchmark_runs() -> list[str]:
    """The runs of the benchmark on photographs, in the order of its file, of which there are records."""
    named = read_yaml(ROOT / "configs" / "transfer" / "benchmark_photographs.yaml")["runs"]
    return [name for name in named if (DOCS / "benchmark" / f"{name}_0").exists()]


def benchmark_by_column(task: str, metric: str) -> str:
    return by_column(task, "imagenette", metric, folder="benchmark", backbones=benchmark_runs)


def benchmark_low_shot() -> str:
    """Runs by stages: mean and deviation over the draws of the labelled images."""
    (of,) = found("low_shot_svm", "imagenette", "mAP", folder="benchmark")
    cells = {(row.backbone, row.variant[0]): cell(row, of.columns[0]) for row in of.rows}
    stages = list(dict.fromkeys(stage for _, stage in sorted(cells)))
    return table(
        ["", *stages], [[name, *(cells[name, stage] for stage in stages)] for name in benchmark_runs()]
    )


def benchmark_trainings() -> str:
    """How far each training came: its loss on unseen photographs against that of an answer that ignores them."""
    rows = []
    for name in benchmark_runs():
        metrics = read_metrics(DOCS / "benchmark" / f"{name}_0" / "training" / "metrics.jsonl")
        if not metrics:
            continue
        last = [row for row in metrics if "validation_loss" in row][-1]
        speed = max(row["images_per_second"] for row in metrics if "images_per_second" in row)
        loss, constant = last["validation_loss"], last["validation_constant_answer"]
        rows.append(
            [name, f"{loss:.3f}", f"{constant:.3f}", f"{100 * (1 - loss / constant):.0f}", f"{speed:.0f}"]
        )
    head = ["", "loss", "of an answer that ignores the image", "lower by, %", "images a second"]
    return table(head, rows)


def benchmark_order() -> str:
    """The best stage of each run beside the published one of its task."""
    (of,) = found("linear", "imagenette", "top1", folder="benchmark")
    ours = {row.backbone: max(row.cells.items(), key=lambda entry: entry[1].mean) for row in of.rows}
    rows = []
    for name in sorted(ours, key=lambda name: -ours[name][1].mean):
        stage, number = ours[name]
        published = PUBLISHED_PROBES.rows.get(PUBLISHED_ROWS.get(name, ""))
        theirs = ["", ""]
        if published:
            best, layer = max(zip(published, PUBLISHED_PROBES.columns, strict=True))
            theirs = [published_number(best), layer]
        rows.append([name, f"{number.mean:.1f}", stage, *theirs])
    return table(["", "this benchmark", "at", "the papers, AlexNet on ImageNet", "at"], rows)


# ------------------------------------------------------------------------------------------------------------ headlines
def headlines() -> str:
    """The study's numbers beside the paper's for the same question."""

    def best(backbone: str) -> str:
        stage, row = chosen_stage("linear", "imagenette", "top1", backbone)
        return f"{cell(row, stage)} ({stage})"

    def best_published(method: str) -> str:
        number, layer = max(zip(PUBLISHED_PROBES.rows[method], PUBLISHED_PROBES.columns, strict=True))
        return f"{number} ({layer})"

    def published(task: str) -> str:
        rows = PASCAL[task].rows
        return " / ".join(published_number(rows[of][0]) for of in ("colorization, colour input", "Gaussian"))

    def published_colours(metric: str, *methods: str) -> str:
        rows, column = {**CTEST10K.rows, **CTEST10K.controls}, list(CTEST10K.columns).index(metric)
        return " / ".join(published_number(rows[method][column]) for method in methods)

    def frozen(task: str, data: str, metric: str) -> str:
        both = (best_stage(task, data, metric, backbone) for backbone in (SHIPPED, RANDOM))
        return " / ".join(cell(row, column) for column, row in both)

    def colour(name: str, metric: str, method: str) -> str:
        return f"{report(name)[method][metric]['value']:.1f}"

    rows = [
        [
            "features, linear probe `zhang16` on a chosen layer, top-1: colorization / random / ImageNet labels",
            " / ".join(map(best, (SHIPPED, RANDOM, "MobileNetV2"))),
            "imagenette, MobileNetV2 for the labels",
            " / ".join(map(best_published, ("colorization", "random", "supervised"))),
            "ImageNet, AlexNet [1]",
        ],
        [
            "features, detection, AP50: colorization / random",
            frozen("detect", "Penn-Fudan", "AP50"),
            "Penn-Fudan, frozen body",
            published("detect"),
            "VOC2007, AlexNet, all trained [1]",
        ],
        [
            "colours, rebalanced AuC: full method / grey",
            f"{colour('heldout', 'auc_rebalanced', SHIPPED)} / {colour('heldout', 'auc_rebalanced', 'grey')}",
            "678 photographs, 128 px",
            published_colours("AuC rebalanced (%)", "full method", "grey"),
            "10,000 of ImageNet, 256 px [2]",
        ],
    ]
    return "\n".join(
        f"| {' | '.join(row)} |"
        for row in (
            ["question", "this project", "on", "the papers", "on"],
            [":---", "---:", ":---", "---:", ":---"],
            *rows,
        )
    )


# ----------------------------------------------------------------------------------------------------------- protocols
def protocols(test: str) -> str:
    """The protocols that a downstream test can be given."""
    head = ["protocol", "source", "training and inputs", "what differs here"]
    rows = [[f"`{name}`", of.source, of.recipe(), of.differs or "—"] for name, of in PROTOCOLS[test].items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, [":---"] * 4, *rows))


TABLES: dict[str, Callable[[], str]] = {
    **{f"protocols-{test}": partial(protocols, test) for test in PROTOCOLS},
    "facts": facts,
    "sources": sources,
    "losses": losses,
    "heldout": heldout_colours,
    "recognised": recognised,
    "headlines": headlines,
    "linear-imagenette": partial(by_column, "linear", "imagenette", "top1"),
    "linear-caltech": partial(by_column, "linear", "Caltech-101", "top1"),
    "knn-imagenette": partial(by_column, "knn", "imagenette", "top1"),
    "knn-caltech": partial(by_column, "knn", "Caltech-101", "top1"),
    "chosen-imagenette": chosen,
    "svm-imagenette": partial(by_column, "svm", "imagenette", "mAP"),
    "low-shot-imagenette": partial(by_column, "low_shot_svm", "imagenette", "mAP"),
    "segment": partial(by_column, "segment", "CamVid", "mIoU"),
    "masks": masks,
    "detect": partial(by_column, "detect", "Penn-Fudan", "AP50"),
    "systems-given": systems_given,
    "systems-colours": systems_colours,
    "benchmark-trainings": benchmark_trainings,
    "benchmark-linear": partial(benchmark_by_column, "linear", "top1"),
    "benchmark-knn": partial(benchmark_by_column, "knn", "top1"),
    "benchmark-low-shot": benchmark_low_shot,
    "benchmark-order": benchmark_order,
}

if __name__ == "__main__":
    main()
