"""Weights files that other projects wrote: the types of objects they hold, and what else a file may be.

Scripts save their options, scores and configurations with the weights. Nothing here needs them, so an object of a type
on this list is opened as an empty stand-in: neither its type's code nor that of its package runs or must be installed.
"""

import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

# First bytes of files of other kinds, in lower case.
_BEGINNINGS = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself with `git lfs pull`",
    b"<!doctype html": "a web page: the download went wrong",
    b"<html": "a web page: the download went wrong",
    b"<?xml": "XML: the download went wrong",
    b"\x89hdf": "an HDF5 file, as Keras writes",
    b"\x93numpy": "a NumPy array",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x04\0\0\0\x01\0\0\0\x03\0\0\0v 1": "a file of Torch7 (Lua)",
    b"\x03\0\0\0\x01\0\0\0": "a file of Torch7 (Lua)",
}
# What begins in no way of its own, in lower case.
_SUFFIXES = {
    ".caffemodel": (
        "a binary file of Caffe: of colorization_release_v2 there is the same in PyTorch, "
        "colorization_release_v2-9b330a0b.pth"
    ),
    ".tfmodel": "a graph of TensorFlow, as Dahl's: train dahl here, or compare the pictures that it made",
}
_TORCH_SAVE = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # near the beginning of what torch.save wrote before version 1.6
_HEAD = 512  # bytes that are looked at


class _Record:
    """In place of an object with attributes or keys: a dictionary, as there may be weights among its values."""

    def __new__(cls, *_args: Any) -> Any:
        return OrderedDict()


class _Sequence:
    """In place of a sequence that is filled item by item."""

    def __new__(cls, *_args: Any) -> Any:
        return []


class _Value:
    """In place of any other object, and of the type itself."""

    def __init__(self, *_args: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


_RECORDS = """
    argparse.Namespace types.SimpleNamespace collections.defaultdict
    addict.addict.Dict easydict.EasyDict munch.Munch vissl.utils.hydra_config.AttrDict
    yacs.config.CfgNode fvcore.common.config.CfgNode detectron2.config.config.CfgNode
    mmcv.utils.config.ConfigDict mmengine.config.config.ConfigDict mmengine.logging.history_buffer.HistoryBuffer
    omegaconf.dictconfig.DictConfig omegaconf.listconfig.ListConfig omegaconf.base.ContainerMetadata
    omegaconf.base.Metadata omegaconf.nodes.AnyNode omegaconf.nodes.BooleanNode omegaconf.nodes.BytesNode
    omegaconf.nodes.EnumNode omegaconf.nodes.FloatNode omegaconf.nodes.IntegerNode omegaconf.nodes.PathNode
    omegaconf.nodes.StringNode omegaconf.base.UnionNode omegaconf.nodes.InterpolationResultNode
    pytorch_lightning.utilities.parsing.AttributeDict lightning.pytorch.utilities.parsing.AttributeDict
    lightning_fabric.utilities.data.AttributeDict lightning.fabric.utilities.data.AttributeDict
"""
_SEQUENCES = "collections.deque"
_VALUES = """
    builtins.bool builtins.dict builtins.float builtins.frozenset builtins.getattr builtins.int builtins.list
    builtins.range builtins.slice builtins.str builtins.tuple
    datetime.date datetime.datetime datetime.timedelta datetime.timezone functools.partial
    pathlib.Path pathlib.PosixPath pathlib.PurePath pathlib.PurePosixPath pathlib.PureWindowsPath pathlib.WindowsPath
    pathlib._local.PosixPath pathlib._local.WindowsPath
    typing.Any typing.Dict typing.List typing.Optional typing.Tuple typing.Union
    numpy.core.multiarray.scalar numpy.core.multiarray._reconstruct
    numpy._core.multiarray.scalar numpy._core.multiarray._reconstruct
    numpy.dtype numpy.ndarray numpy.bool numpy.bool_ numpy.float16 numpy.float32 numpy.float64
    numpy.int8 numpy.int16 numpy.int32 numpy.int64 numpy.uint8 numpy.uint16 numpy.uint32 numpy.uint64
    numpy.random._pickle.__randomstate_ctor numpy.random._pickle.__bit_generator_ctor numpy.random._mt19937.MT19937
    torch.torch_version.TorchVersion
    pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint
    pytorch_lightning.callbacks.early_stopping.EarlyStopping
"""

# As `torch.serialization.safe_globals` takes them.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (stand_in, name)
    for stand_in, names in ((_Record, _RECORDS), (_Sequence, _SEQUENCES), (_Value, _VALUES))
    for name in names.split()
]


def describe_other_kind(path: Path) -> str | None:
    """What the file at `path` is instead of weights, with what to do about it; None where that is not certain."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "an empty file"
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginning, kind in _BEGINNINGS.items():
        if text.startswith(beginning):
            return kind
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return f"safetensors: rename it to {path.stem}.safetensors"
    if head[0] == 0x80 and _TORCH_SAVE not in head:
        return (
            "a Python pickle (as of Detectron2's model zoo), which runs code when it is opened: where you trust it, "
            "open it with pickle and write its tensors with torch.save"
        )
    if zipfile.is_zipfile(path):
        return _kind_of_archive(path)
    if tarfile.is_tarfile(path):
        return "a tar archive: unpack it first"
    return None


def _kind_of_archive(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript program: open it with torch.jit.load and write its state_dict() with torch.save"
    if all(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays"
    if not any(name.endswith("/data.pkl") for name in names):
        return "a zip archive: unpack it first"
    return None
