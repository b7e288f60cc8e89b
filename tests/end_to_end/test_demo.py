"""The README's demo, as it stands in the Makefile, to its end: some minutes on two cores."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from pretext.runtime.metrics_log import read_metrics
from tests.end_to_end.small_run import finish


def demo_commands():
    """The command lines of `make demo`, with files of the repository by their whole paths."""
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", Path("Makefile").read_text(), re.MULTILINE)[1]
    for line in recipe.splitlines():
        command, *argv = shlex.split(line.replace("$(BIN)/", ""))
        yield command, [str(Path(word).resolve()) if Path(word).exists() else word for word in argv]


@pytest.mark.slow
def test_the_demo_colorizes_unseen_parts_of_its_photographs_better_than_their_prior(tmp_path):
    output = "".join(
        finish(argv, launcher=(sys.executable, "-m", command), threads=2, folder=tmp_path)
        for command, argv in demo_commands()
    )
    run, report = Path("runs/sample"), Path("reports/sample")
    for place in (
        run / "samples" / "step_0000500.png",
        run / "curves.png",
        run / "checkpoints" / "last.pt",
        report / "index.html",
    ):
        assert str(place) in output
        assert (tmp_path / place).is_file()
    validation = read_metrics(tmp_path / run / "metrics.jsonl")[-1]
    # Another processor's rounding is another training: seen were margins of 0.47 to 0.81 nats, and of 0.3 to 1.5 dB,
    # which wander more, since vivid colours (paper, section 2.2) that are wrong cost more than grey.
    assert validation["validation_loss"] < validation["validation_constant_answer"] - 0.4
    assert validation["validation_psnr"] > validation["validation_psnr_grey"]
    methods = json.loads((tmp_path / report / "report.json").read_text())["methods"]
    names = {method["name"] for method in methods}
    assert names == {"short training", "shipped network", "grey", "random", "truth"}
