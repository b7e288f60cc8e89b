import subprocess

import pytest

from eval_colorization.__main__ import COMMANDS as EVAL_COLORIZATION
from pretext.__main__ import COMMANDS as PRETEXT
from pretext.completion import completion_script
from pretext.runtime.command_line import key_types
from transfer.__main__ import COMMANDS as TRANSFER

PROGRAMS = {"pretext": PRETEXT, "eval_colorization": EVAL_COLORIZATION, "transfer": TRANSFER}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """What bash offers for the last word of a command line."""
    folder = tmp_path_factory.mktemp("completion")
    for program, commands in PROGRAMS.items():
        (folder / program).write_text(completion_script(program, commands, "bash"))

    def offered(*words):
        program = words[0]
        code = (
            f'source {folder / program}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_{program}; '
            'echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", code, "bash", *words], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    return offered


@pytest.mark.parametrize("program", PROGRAMS)
def test_bash_offers_every_command_and_all_its_keys(program, complete):
    assert set(PROGRAMS[program]) <= set(complete(program, ""))
    for name, command in PROGRAMS[program].items():
        assert {f"--{key}" for key in key_types(command.config)} <= set(complete(program, name, "--"))


def test_bash_offers_the_values_of_a_choice_and_the_flags_of_the_launcher(complete):
    assert complete("pretext", "train", "--optim.optimizer", "") == ["adam", "sgd"]
    assert complete("transfer", "linear", "--protocol", "z") == ["zhang16"]
    assert complete("pretext", "train", "--clu") == ["--cluster"]
    assert complete("pretext", "export", "--clu") == []


def test_a_shell_without_completion_is_refused():
    with pytest.raises(
        ValueError, match=r"no shell 'csh' \(did you mean 'tcsh'\?\); valid names are bash, zsh"
    ):
        completion_script("pretext", PRETEXT, "csh")
