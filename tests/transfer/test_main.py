"""The command line of `transfer`."""

import subprocess
import sys

import pytest
import yaml

from transfer.__main__ import main
from transfer.results import read_records

HELP_OF_EVERY_COMMAND = """
import sys
from transfer.__main__ import COMMANDS, main
for name in COMMANDS:
    try:
        main([name, "--help"])
    except SystemExit as done:
        assert done.code == 0
assert "torch" not in sys.modules, "torch was imported"
"""


def test_help_of_every_command_does_not_import_torch():
    result = subprocess.run([sys.executable, "-c", HELP_OF_EVERY_COMMAND], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for key in ("--backbone.model", "--learning_rates", "--shots", "--train_from", "--out"):
        assert key in result.stdout


RETRIEVAL = """
from dataclasses import dataclass
from transfer.config import BackboneConfig, DownstreamTest

@dataclass(frozen=True, kw_only=True)
class Config:
    backbone: BackboneConfig
    out: str
    rank: int = 1

def run(config):
    from transfer.results import Record
    return [
        Record(task="retrieval", data="photos", protocol="cosine", backbone=config.backbone.model, weights="",
               stage="conv1", metric=f"recall_at_{config.rank}", value=50.0, seed=0)
    ]

Retrieval = DownstreamTest(config=Config, run=run, help="recall", title="Retrieval", headline=("recall_at_1",))
"""


@pytest.fixture
def own_test(tmp_path, monkeypatch):
    (tmp_path / "own_retrieval.py").write_text(RETRIEVAL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("own_retrieval", None)


def test_a_test_of_ones_own_is_a_command_whose_records_are_kept_and_whose_folder_no_other_run_may_use(
    own_test, tmp_path, capsys
):
    argv = ["own_retrieval:Retrieval", "--backbone.model=random:eccv16", "--out=out"]
    assert main([*argv, "--rank=5"]) == 0
    (record,) = read_records([tmp_path / "out"])
    assert (record.task, record.metric, record.value) == ("retrieval", "recall_at_5", 50.0)
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["rank"] == 5
    assert main([*argv, "--rank=6"]) == 2
    assert "rank: 5 there, 6 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_retrieval:Retrievl", "has no Retrievl (did you mean 'Retrieval'?)"),
        ("own_retrieval:run", "is a function, expected a transfer.DownstreamTest"),
        ("nowhere:Retrieval", "there is no module nowhere"),
    ],
)
def test_what_is_no_test_is_refused_in_one_line(own_test, capsys, name, message):
    assert main([name, "--out=out"]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert len(complaint.splitlines()) == 1
