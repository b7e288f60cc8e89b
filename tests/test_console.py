"""The console scripts' shell: commands, exit statuses and help."""

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from pretext.__main__ import COMMANDS, main
from pretext.console import run_command
from pretext.runtime.command_line import Command, RunFailedError, StoppedError


@dataclass
class Nothing:
    """No keys."""


@pytest.fixture
def pretext(capsys):
    """Runs a command line in this process; returns exit status, standard output and standard error."""

    def run(*argv):
        status = main(argv)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_exit_statuses_tell_bad_input_failure_and_signals_apart(capsys):
    def raising(error):
        def run(config):
            raise error

        return {"x": Command(config=Nothing, run=run, help="")}

    assert run_command("pretext", {"x": Command(config=Nothing, run=print, help="")}, ["x"]) == 0
    assert run_command("pretext", raising(ValueError("bad value")), ["x"]) == 2
    assert run_command("pretext", raising(FileNotFoundError("no file")), ["x"]) == 2
    assert run_command("pretext", raising(RunFailedError("NaN")), ["x"]) == 1
    assert run_command("pretext", raising(StoppedError("saved", 15)), ["x"]) == 143
    assert run_command("pretext", raising(KeyboardInterrupt()), ["x"]) == 130
    assert "pretext x: error: bad value\n" in capsys.readouterr().err


def test_the_version_is_that_of_pyproject(pretext):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert pretext("--version") == (0, f"pretext {project['version']}\n", "")


def test_an_unknown_command_is_refused_with_the_nearest_one(pretext):
    status, _, complaint = pretext("trian")
    assert status == 2
    assert "did you mean 'train'?" in complaint


def test_words_without_a_flag_go_to_the_key_that_takes_them_wherever_they_stand():
    colorize = COMMANDS["colorize"]
    config = colorize.parse(["a.jpg", "--out", "colorized", "b c.jpg", "--top_k=3", "[d].jpg"])
    assert config.images == [Path("a.jpg"), Path("b c.jpg"), Path("[d].jpg")]
    assert (config.out, config.top_k, config.weights) == (Path("colorized"), 3, "eccv16-photographs")
    assert COMMANDS["prior"].parse(["sample", "--out=bins.json"]).data == "sample"
    with pytest.raises(ValueError, match="unexpected 'photos'"):
        COMMANDS["prior"].parse(["sample", "photos", "--out=bins.json"])


@pytest.mark.parametrize(
    ("prog", "keys"),
    [
        ("pretext", ["--optim.lr"]),
        ("transfer", ["--backbone.model", "--learning_rates", "--shots", "--train_from", "--out"]),
        ("eval_colorization", ["--methods", "--display_seconds"]),
    ],
)
def test_help_of_every_command_does_not_import_torch(prog, keys):
    code = f"""
import sys
from {prog}.__main__ import COMMANDS, main
for name in COMMANDS:
    try:
        main([name, "--help"])
    except SystemExit as done:
        assert done.code == 0
assert "torch" not in sys.modules, "torch was imported"
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for key in keys:
        assert key in result.stdout
