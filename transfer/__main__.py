"""`transfer`: linear, knn, svm, finetune, detect, segment, table, doctor, sample-voc.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pretext.runtime.command_line import Command, Launchable, parse_config, run_command
from transfer.config import DetectConfig, FinetuneConfig, KnnConfig, LinearConfig, SegmentConfig, SvmConfig


def parse_linear(argv: Sequence[str]) -> LinearConfig:
    return parse_config("transfer linear", LinearConfig, argv)


def parse_knn(argv: Sequence[str]) -> KnnConfig:
    return parse_config("transfer knn", KnnConfig, argv)


def parse_svm(argv: Sequence[str]) -> SvmConfig:
    return parse_config("transfer svm", SvmConfig, argv)


def parse_finetune(argv: Sequence[str]) -> FinetuneConfig:
    return parse_config("transfer finetune", FinetuneConfig, argv)


def parse_detect(argv: Sequence[str]) -> DetectConfig:
    return parse_config("transfer detect", DetectConfig, argv)


def parse_segment(argv: Sequence[str]) -> SegmentConfig:
    return parse_config("transfer segment", SegmentConfig, argv)


def linear(argv: Sequence[str]) -> None:
    config = parse_linear(argv)
    from transfer.classification.linear import linear

    linear(config)


def knn(argv: Sequence[str]) -> None:
    config = parse_knn(argv)
    from transfer.classification.knn import knn

    knn(config)


def svm(argv: Sequence[str]) -> None:
    config = parse_svm(argv)
    from transfer.classification.svm import svm

    svm(config)


def finetune(argv: Sequence[str]) -> None:
    config = parse_finetune(argv)
    from transfer.classification.finetune import finetune

    finetune(config)


def detect(argv: Sequence[str]) -> None:
    config = parse_detect(argv)
    from transfer.frameworks import require_framework

    require_framework("detect")
    from transfer.detection.train import detect

    detect(config)


def segment(argv: Sequence[str]) -> None:
    config = parse_segment(argv)
    from transfer.frameworks import require_framework

    require_framework("segment")
    from transfer.segmentation.train import segment

    segment(config)


def table(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="transfer table",
        description="One table of all results, with mean and deviation over seeds, beside the published numbers: "
        "Markdown, LaTeX and a page with a plot of accuracy by stage.",
    )
    parser.add_argument(
        "results",
        metavar="RESULTS",
        nargs="+",
        type=Path,
        help="--out folders of transfer commands, or above them",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    options = parser.parse_args(argv)
    from transfer.table.make import make_table

    make_table(options.results, options.out)


def doctor(argv: Sequence[str]) -> None:
    argparse.ArgumentParser(
        prog="transfer doctor",
        description="Say whether Detectron2 (detect) and mmsegmentation (segment) can be used here, in which versions, "
        "and what to type where they cannot.",
    ).parse_args(argv)
    from transfer.frameworks import doctor

    doctor()


def sample_voc(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="transfer sample-voc",
        description="Write a small data set in PASCAL VOC's layout, with boxes and masks, made of the bundled "
        "photographs: splits train and val, to try detection and segmentation on.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder")
    options = parser.parse_args(argv)
    from transfer.data.sample_voc import write_sample_voc

    write_sample_voc(options.folder)
    print(f"the splits voc:{options.folder}:train and voc:{options.folder}:val")


COMMANDS = {
    "linear": Command(
        linear,
        "linear probes on every stage of a frozen backbone",
        Launchable(parse=parse_linear, folder="out", progress="checkpoints/last.pt"),
    ),
    "knn": Command(
        knn,
        "nearest neighbours in the features of every stage",
        Launchable(parse=parse_knn, folder="out", progress="results.jsonl"),
    ),
    "svm": Command(
        svm,
        "linear SVMs on every stage, on all images or on a few",
        Launchable(parse=parse_svm, folder="out", progress="results.jsonl"),
    ),
    "finetune": Command(
        finetune,
        "train the backbone or its last layers with labels",
        Launchable(parse=parse_finetune, folder="out", progress="checkpoints/last.pt"),
    ),
    "detect": Command(
        detect,
        "train a detector on the backbone, with Detectron2",
        Launchable(parse=parse_detect, folder="out", progress="detectron2/last_checkpoint"),
    ),
    "segment": Command(
        segment,
        "train a segmentation network on the backbone, with mmsegmentation",
        Launchable(parse=parse_segment, folder="out", progress="checkpoints/last.pt"),
    ),
    "table": Command(table, "all results in one table, beside the published numbers"),
    "doctor": Command(doctor, "whether Detectron2 and mmsegmentation can be used here"),
    "sample-voc": Command(
        sample_voc, "write a small data set with boxes and masks, of the bundled photographs"
    ),
}


def main() -> int:
    return run_command("transfer", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
