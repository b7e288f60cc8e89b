import pytest
import torch

from pretext.__main__ import main
from pretext.runtime.distributed import choose_precision
from tests.end_to_end.small_run import small

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"neon": True}, "float32"),
    ],
)
def test_auto_takes_bfloat16_where_the_processor_has_its_instructions(monkeypatch, capabilities, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("auto", CPU) == precision


def test_a_precision_that_is_asked_for_is_taken_whatever_the_processor_has(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert choose_precision("float32", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"


def test_apples_gpus_are_refused_in_one_line(tmp_path, capsys):
    assert main(small(tmp_path / "run", device="mps")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no device 'mps'; valid names are auto, cpu, cuda" in line


def test_older_torch_which_does_not_tell_takes_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", CPU) == "float32"
