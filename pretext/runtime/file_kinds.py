"""What a file that cannot be opened as weights seems to be, where its content says so."""

import tarfile
import zipfile
from pathlib import Path

# How files of other kinds begin, in lower case.
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
_TORCH_SAVE = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # near the beginning of what torch.save wrote before version 1.6
_HEAD = 512  # bytes that are looked at


def describe_other_kind(path: Path) -> str | None:
    """What the file at `path` is instead of weights, with what to do about it; None where that is not certain."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "an empty file"
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
