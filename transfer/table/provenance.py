"""Where the numbers come from: each network, how it was trained, and the files of its training and tests."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pretext.runtime.command_line import read_yaml
from pretext.runtime.metrics_log import read_metrics
from pretext.runtime.run_dir import RunDir
from transfer.results import Record, distinct

TRAINING_FILES = {
    "configuration": "config.yaml",
    "log": "metrics.jsonl",
    "curves": "curves.png",
    "weights": "checkpoints/last.pt",
}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the numbers of one network come from.

    Attributes:
        backbone: its name in the tables.
        weights: SHA-256.
        seeds: of its tests.
        num_records: how many numbers there are.
        training: the time that its training took, in words; empty where it is not a run of `pretext train`.
        links: words -> address of a file or folder, relative to the page.
    """

    backbone: str
    weights: str
    seeds: list[int]
    num_records: int
    training: str
    links: dict[str, str]


def find_provenance(results: Mapping[Path, Mapping[str, Record]], out: Path) -> list[Provenance]:
    """Where each network comes from, by its name and seeds.

    Args:
        results: see `read_results`.
        out: folder of the page.
    """
    networks: dict[tuple[str, str], dict[Path, dict[str, Record]]] = {}
    for file, of_file in results.items():
        for line, record in of_file.items():
            networks.setdefault((record.backbone, record.weights), {}).setdefault(file, {})[line] = record
    found = []
    for (backbone, weights), of_network in networks.items():
        run = next(filter(None, map(_training_run, of_network)), None)
        links = {word: _address(run.path / name, out) for word, name in TRAINING_FILES.items()} if run else {}
        for file, lines in of_network.items():
            first = next(iter(lines.values()))
            tested = f"{first.task} on {first.data}"
            same = sum(word.startswith(tested) for word in links)
            links[f"{tested} ({same + 1})" if same else tested] = _address(file.parent, out)
        records = distinct(of_network)
        found.append(
            Provenance(
                backbone=backbone,
                weights=weights,
                seeds=sorted({record.seed for record in records}),
                num_records=len(records),
                training=_training_in_words(run) if run else "",
                links=links,
            )
        )
    return sorted(found, key=lambda network: (network.backbone, network.seeds))


def _training_run(results: Path) -> RunDir | None:
    """The run of `pretext train` whose network a test was of, if there is one and it is on this machine."""
    test = RunDir(results.parent)
    if not test.config.exists():
        return None
    model = (read_yaml(test.config).get("backbone") or {}).get("model", "")
    path = Path(test.read_environment().get("folder", "."), model)
    candidates = (RunDir(path), RunDir(path.parent.parent))  # a run, or one of its checkpoints
    return next((run for run in candidates if run.config.exists() and run.metrics.exists()), None)


def _training_in_words(run: RunDir) -> str:
    """`2,000 steps of 64 images, 14 min on a CPU (2 threads)`."""
    batch_size = read_yaml(run.config)["batch_size"]
    last, seconds = steps_and_seconds(run)
    environment = run.read_environment()
    hardware = environment.get("gpu") or f"a CPU ({environment.get('cpu_threads')} threads)"
    if (processes := environment.get("processes", 1)) > 1:
        hardware = f"{processes} x {hardware}"
    time = f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.1f} min"
    return f"{last:,} steps of {batch_size} images, {time} on {hardware}"


def steps_and_seconds(run: RunDir) -> tuple[int, float]:
    """How many steps a training has made, and the time that they took, without validations."""
    batch_size = read_yaml(run.config)["batch_size"]
    seconds, last = 0.0, 0
    for row in read_metrics(run.metrics):
        if "images_per_second" in row:
            seconds += (row["step"] - last) * batch_size / row["images_per_second"]
            last = row["step"]
    return last, seconds


def _address(path: Path, out: Path) -> str:
    return quote(os.path.relpath(path, out))
