"""A downstream test of a user's own: a command like the built-in ones, whose results come into the same table."""

import pytest
import yaml

from transfer.__main__ import main
from transfer.results import read_records

WORDS = [
    "--backbone.model=random:alexnet", "--backbone.width=0.125", "--data.train=sample", "--data.test=sample",
    "--out=results/retrieval",
]  # fmt: skip


def test_a_test_from_outside_is_a_command_whose_records_come_into_the_table(project, capsys):
    assert main(["mytests:Retrieval", *WORDS, "--side=48"]) == 0
    assert "recall1" in capsys.readouterr().out
    records = read_records([project / "results"])
    assert {record.protocol for record in records} == {"48 px"}
    assert records[0].stage == "conv1"
    assert yaml.safe_load((project / "results/retrieval/config.yaml").read_text())["side"] == 48
    assert main(["table", "results", "--out", "table"]) == 0
    tables = "".join(path.read_text() for path in (project / "table").rglob("*.md"))
    assert "recall1" in tables
    assert f"{records[0].value:.1f}" in tables


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mytests:Retrieval", *WORDS, "--side=32"], "side: 64 there, 32 now"),
        (["mytests:Retrieval", *WORDS, "--sides=32"], "side"),
        (["mytests:Retreival", *WORDS], "did you mean 'Retrieval'"),
        (["mytests:retrieve", *WORDS], "is a function, expected a transfer.DownstreamTest"),
        (["yourtests:Retrieval", *WORDS], "there is no module yourtests in"),
    ],
)
def test_another_configuration_and_misspelt_names_are_one_line(project, capsys, words, message):
    assert main(["mytests:Retrieval", *WORDS]) == 0
    capsys.readouterr()
    assert main(words) != 0
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
