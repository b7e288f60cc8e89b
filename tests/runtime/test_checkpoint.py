"""Checkpoints of this project and of others: safe to open, verified, and named with the reason where they cannot be."""

import argparse
import builtins
import collections
import datetime
import gzip
import os
import pathlib
import pickle
import resource
import signal
import sys
import tarfile
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_comes_back_equal(tmp_path):
    state = {"step": 7, "network": {"w": torch.randn(3, 4)}, "config": {"lr": 1e-3, "betas": (0.9, 0.99)}}
    save_checkpoint(tmp_path / "last.pt", state)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded["network"]["w"], state["network"]["w"])
    assert (loaded["step"], loaded["config"]) == (7, state["config"])


@pytest.fixture
def small_files():
    """The kernel refuses to let any file of this process grow beyond 64 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_says_why_and_leaves_the_previous_checkpoint_whole(tmp_path, request):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})
    request.getfixturevalue("small_files")
    with pytest.raises(
        OSError, match=r"cannot write .*last\.pt: File too large; what was there before is whole"
    ):
        save_checkpoint(path, {"step": 2, "network": torch.zeros(1_000_000)})
    assert load_checkpoint(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named_as_such(tmp_path, kept):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"network": torch.zeros(10_000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"last\.pt cannot be read as a checkpoint.*(truncated|empty)"):
        load_checkpoint(path)


def test_no_flipped_byte_changes_what_is_read_in_silence(tmp_path):
    """CRC-32 finds every error of up to 32 bits in a row, but covers neither headers nor the table of contents."""
    path = tmp_path / "last.pt"
    state = {"step": 7, "network": {"w": torch.arange(40.0)}}
    save_checkpoint(path, state)
    whole = path.read_bytes()
    refusals = []
    table = whole.index(b"PK\x01\x02")
    places = [*range(0, table, 5), *range(table, len(whole))]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            loaded = load_checkpoint(path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert loaded["step"] == 7
            assert torch.equal(loaded["network"]["w"], state["network"]["w"])
    assert len(refusals) > len(places) / 4
    assert all("last.pt" in refusal for refusal in refusals)


def test_files_without_checksums_open(tmp_path):
    torch.save({"step": 1}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"step": 2}, tmp_path / "fast.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_checkpoint(tmp_path / "old.pth") == {"step": 1}
    assert load_checkpoint(tmp_path / "fast.pth") == {"step": 2}


BESIDE_WEIGHTS = {
    "options of DINO's script": argparse.Namespace(
        lr=np.float64(5e-4), out=pathlib.Path("out"), betas=(0.9, 0.999)
    ),
    "a NumPy scalar": np.float32(71.2),
    "a NumPy array": np.zeros((2, 3)),
    "a NumPy array of objects": np.array(["a", None], dtype=object),
    "a NumPy type": np.dtype("float32"),
    "NumPy's random state": np.random.RandomState(0),
    "a default dictionary": collections.defaultdict(list, {"loss": [1.0]}),
    "a deque": collections.deque([1.0, 2.0], maxlen=20),
    "a time": datetime.datetime(2024, 1, 2),
    "a namespace": types.SimpleNamespace(lr=1),
    "torch's version": torch.__version__,
    "a bound method": collections.Counter.most_common,
}


@pytest.mark.parametrize("beside", BESIDE_WEIGHTS.values(), ids=BESIDE_WEIGHTS)
def test_weights_beside_objects_that_scripts_save_open(beside, tmp_path):
    torch.save({"model": {"w": torch.arange(3.0)}, "epoch": 99, "args": beside}, tmp_path / "weights.pth")
    loaded = load_checkpoint(tmp_path / "weights.pth")
    assert torch.equal(loaded["model"]["w"], torch.arange(3.0))
    assert loaded["epoch"] == 99


@pytest.mark.parametrize("name", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_of_numpy_1_and_2_open(name, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(
        {"w": torch.ones(2), "a": np.ones(2), "s": np.int64(3)}, path, _use_new_zipfile_serialization=False
    )
    written = path.read_bytes()
    assert (stored := written.count(b"numpy._core.multiarray") + written.count(b"numpy.core.multiarray")) == 2
    path.write_bytes(
        written.replace(b"numpy._core.multiarray", name.encode()).replace(
            b"numpy.core.multiarray", name.encode()
        )
    )
    assert path.read_bytes().count(name.encode()) == stored
    assert torch.equal(load_checkpoint(path)["w"], torch.ones(2))


@pytest.fixture
def package_of_another_machine(monkeypatch):
    """A function that makes an instance of a class, in a module that only the writing machine has."""

    def make(name, base=object):
        module, _, qualified = name.rpartition(".")
        stored = type(qualified, (base,), {"__module__": module})
        for end in [i for i, c in enumerate(module + ".") if c == "."]:
            monkeypatch.setitem(sys.modules, module[:end], types.ModuleType(module[:end]))
        setattr(sys.modules[module], qualified, stored)
        return stored()

    return make


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("omegaconf.dictconfig.DictConfig", object),
        ("pytorch_lightning.utilities.parsing.AttributeDict", dict),
        ("lightning.fabric.utilities.data.AttributeDict", dict),
        ("vissl.utils.hydra_config.AttrDict", dict),
        ("mmengine.logging.history_buffer.HistoryBuffer", object),
    ],
)
def test_configurations_of_frameworks_that_are_not_installed_open(
    name, base, package_of_another_machine, monkeypatch, tmp_path
):
    options = package_of_another_machine(name, base)
    options.__dict__["lr"] = 0.1
    callbacks = {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(1.0)}}
    state = {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": options, "callbacks": callbacks}
    torch.save(state, tmp_path / "last.ckpt")
    monkeypatch.delitem(sys.modules, name.rpartition(".")[0])
    assert torch.equal(load_checkpoint(tmp_path / "last.ckpt")["state_dict"]["w"], torch.ones(2))


class Calling:
    """Unpickled, it calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.mkdir, ("made",), r"posix\.mkdir"),
        (builtins.eval, ("__import__('os').mkdir('made')",), "eval"),
        (pathlib.Path.mkdir, (pathlib.Path("made"),), "a call of a method"),
        (pickle.loads, (pickle.dumps(Calling(os.mkdir, "made")),), "loads"),
    ],
)
def test_a_file_with_code_in_it_is_never_run(function, arguments, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"network": Calling(function, *arguments)}, "evil.pt")
    with pytest.raises(ValueError, match=rf"evil\.pt cannot be read as a checkpoint: it holds \S*{name},"):
        load_checkpoint(pathlib.Path("evil.pt"))
    assert not pathlib.Path("made").exists()


def test_an_object_of_an_unknown_type_is_refused_in_one_whole_line_that_names_the_type(tmp_path):
    torch.save({"state_dict": {}, "model": torch.nn.ReLU()}, tmp_path / "whole_model.pth")
    with pytest.raises(ValueError, match="cannot be read") as caught:
        load_checkpoint(tmp_path / "whole_model.pth")
    message = str(caught.value)
    assert "it holds torch.nn.modules.activation.ReLU," in message
    assert message.endswith("torch.save({'state_dict': ...}, FILE)")
    assert message.isprintable()


def write_npz(path):
    with path.open("wb") as file:
        np.savez(file, w=np.ones(2))


def write_tar(path):
    (path.parent / "weights.pth").write_bytes(b"0")
    with tarfile.open(path, "w") as archive:
        archive.add(path.parent / "weights.pth", "weights.pth")


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (
            lambda path: path.write_text(
                "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"
            ),
            r"a pointer of Git LFS: .*`git lfs pull`",
        ),
        (lambda path: path.write_text("\n<!DOCTYPE html>\n<title>Sign in"), "a web page"),
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_bytes(gzip.compress(b"weights")), "compressed with gzip"),
        (
            lambda path: path.write_bytes(pickle.dumps({"model": {}, "__author__": "MSRA"})),
            "a Python pickle .*Detectron2",
        ),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file"),
        (lambda path: torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), path), "TorchScript"),
        (
            lambda path: save_file({"w": torch.ones(2)}, path),
            r"safetensors: rename it to w\.pth\.safetensors",
        ),
        (write_npz, "an archive of NumPy arrays"),
        (write_tar, "a tar archive"),
        (lambda path: torch.save({"step": 1}, path, pickle_protocol=4), "pickle_protocol=3 or higher"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_file_of_another_kind_is_named_as_what_it_is(write, kind, tmp_path):
    path = tmp_path / "w.pth.tar"
    write(path)
    with pytest.raises(
        ValueError, match=rf"w\.pth\.tar cannot be read as a checkpoint: it (is|was) .*{kind}"
    ):
        load_checkpoint(path)


def test_a_folder_and_a_bare_tensor_are_no_checkpoints(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*nowhere\.pt"):
        load_checkpoint(tmp_path / "nowhere.pt")
    torch.save(torch.ones(2), tmp_path / "tensor.pt")
    with pytest.raises(ValueError, match=r"tensor\.pt holds a Tensor, expected the dictionary"):
        load_checkpoint(tmp_path / "tensor.pt")
