"""Every configuration in the repository is one that the command in its header takes."""

import re
import shlex
from pathlib import Path

import pytest

from eval_colorization.config import ReportConfig, TuringConfig
from pretext.config import TrainConfig
from pretext.runtime.command_line import parse_config
from transfer.benchmark.config import BenchmarkConfig
from transfer.detection.config import DetectConfig
from transfer.finetuning.config import FinetuneConfig
from transfer.linear_probes.config import LinearConfig
from transfer.linear_svms.config import SvmConfig
from transfer.nearest_neighbours.config import KnnConfig
from transfer.segmentation.config import SegmentConfig

CONFIGS = sorted(Path("configs").rglob("*.yaml"))
COMMANDS = {
    "pretext train": TrainConfig,
    "eval_colorization report": ReportConfig,
    "eval_colorization turing-export": TuringConfig,
    "transfer benchmark": BenchmarkConfig,
    "transfer linear": LinearConfig,
    "transfer knn": KnnConfig,
    "transfer svm": SvmConfig,
    "transfer finetune": FinetuneConfig,
    "transfer detect": DetectConfig,
    "transfer segment": SegmentConfig,
}


def test_every_package_has_configurations():
    assert {file.parts[1] for file in CONFIGS} == {"pretext", "eval_colorization", "transfer"}


@pytest.mark.parametrize("file", CONFIGS, ids=str)
def test_a_configuration_is_taken_by_the_command_in_its_header(file):
    header = re.sub(r"\\\n#\s+", "", re.match(r"(#.*\n)+", file.read_text())[0])
    command, arguments = re.search(
        rf"({'|'.join(COMMANDS)}) ({re.escape(str(file))}.*?)(?:   .*)?\n", header
    ).groups()
    assert command.startswith(file.parts[1])
    parse_config(command, COMMANDS[command], shlex.split(arguments))
