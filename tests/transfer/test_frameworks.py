"""`transfer doctor`, and the commands whose framework is not there."""

import importlib

import pytest

from transfer import frameworks
from transfer.__main__ import COMMANDS, main
from transfer.config import DoctorConfig
from transfer.frameworks import FRAMEWORKS, Framework, doctor, require_framework

ABSENT = Framework(
    name="Painter",
    command="paint",
    modules=("no_such_painter", "no_such_brush"),
    make="make painting",
    install=("pip install paint", "pip install brush"),
)


@pytest.fixture
def of(monkeypatch):
    def use(*used):
        monkeypatch.setattr(frameworks, "FRAMEWORKS", {framework.command: framework for framework in used})

    return use


def test_every_framework_belongs_to_a_command():
    assert FRAMEWORKS.keys() == {"detect", "segment"}
    assert {framework.command for framework in FRAMEWORKS.values()} <= COMMANDS.keys()


def test_what_is_missing_is_said_with_the_commands_that_bring_it(of):
    of(ABSENT)
    with pytest.raises(
        ValueError,
        match=r"transfer paint needs Painter, and no_such_painter, no_such_brush is not installed: make painting, or "
        r"pip install paint && pip install brush",
    ):
        require_framework("paint")


@pytest.mark.parametrize("command", FRAMEWORKS)
def test_a_command_without_its_framework_ends_in_one_line(command, monkeypatch, capsys, tmp_path):
    own = FRAMEWORKS[command]
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, find=importlib.util.find_spec: None if name in own.modules else find(name),
    )
    argv = [
        "--backbone.model=random:eccv16",
        "--data.train=voc:a:b",
        "--data.test=voc:a:b",
        f"--out={tmp_path}/run",
    ]
    assert main([command, *argv]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"transfer {command}: error: transfer {command} needs {own.name}")
    assert own.make in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_doctor_names_what_is_there_with_its_version(of, capsys):
    of(Framework(name="Arrays", command="count", modules=("numpy",), make="make arrays", install=()))
    doctor(DoctorConfig())
    said = capsys.readouterr().out
    assert said.startswith("Arrays, for transfer count: usable\n  found numpy ")
    assert "make arrays" not in said


def test_the_doctor_says_what_is_missing_and_ends_with_status_1(of, capsys):
    of(ABSENT)
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "Painter, for transfer paint: not usable",
        "  no_such_painter is not installed",
        "  no_such_brush is not installed",
        "  make painting    # in a clone of this project; or by hand:",
        "  pip install paint",
        "  pip install brush",
    ]
    assert said.err == "transfer doctor: error: Painter cannot be used here\n"


def test_an_installation_that_cannot_be_imported_is_not_usable(of, capsys, monkeypatch, tmp_path):
    (tmp_path / "broken_painter.py").write_text("import numpy\nnumpy.bool_that_was\n")
    monkeypatch.syspath_prepend(tmp_path)
    of(
        Framework(
            name="Painter", command="paint", modules=("broken_painter",), make="make painting", install=()
        )
    )
    assert main(["doctor"]) == 1
    assert "broken_painter is installed, but importing it fails: AttributeError: " in capsys.readouterr().out
