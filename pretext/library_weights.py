"""Weights of other libraries' networks that are on this machine already; nothing here is downloaded."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pretext.runtime.checkpoint import load_checkpoint


class NotAvailableError(Exception):
    """Something lacks a package, weights or images: why, and what the user does about it, a line each."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


def missing_package(owner: str, error: ModuleNotFoundError, extra: str) -> NotAvailableError:
    """That the import behind `owner` failed, and the extra of this project that brings the package."""
    return NotAvailableError(
        f"{owner} needs the package {error.name}, which is not installed",
        f"pip install 'colorization-benchmark[{extra}]'",
    )


def downloaded_weights(owner: str, url: str) -> Path:
    """The file to which torch.hub downloads `url`: $TORCH_HOME/hub/checkpoints/NAME.

    Raises:
        NotAvailableError: it is not there; `owner` says in the reason whose weights are missing.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        home = Path.home()  # a report that is published need not say whose machine it was
        shown = Path("~", path.relative_to(home)) if path.is_relative_to(home) else path
        raise NotAvailableError(f"the weights of {owner} are not in {shown}", f"download {url} to that path")
    return path


def cached_timm_weights(architecture: str, hub_id: str | None) -> Path:
    """The file in the Hugging Face cache to which timm downloads the weights of `architecture`.

    Raises:
        NotAvailableError: it is not there, or timm publishes none.
    """
    from huggingface_hub import constants, try_to_load_from_cache  # comes with timm

    if not hub_id:
        raise NotAvailableError(
            f"timm publishes no weights of timm:{architecture}", "name a tag of it, or a weights file"
        )
    cached = try_to_load_from_cache(hub_id, "model.safetensors")
    if not isinstance(cached, str):
        raise NotAvailableError(
            f"the weights of timm:{architecture} are not in {constants.HF_HUB_CACHE}",
            f"hf download {hub_id} model.safetensors",
        )
    return Path(cached)


def read_weights(path: Path) -> dict[str, Any]:
    """The contents of a .safetensors file, or of what `torch.save` wrote, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or of another kind.
    """
    if path.suffix != ".safetensors":
        return load_checkpoint(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} cannot be read as safetensors (truncated, or another kind of file): {error}"
        ) from error


@contextmanager
def named_when_damaged(path: Path) -> Iterator[None]:
    """Around a library's reading of downloaded weights: its errors become a ValueError that names `path`."""
    try:
        yield
    except (RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} is damaged or holds other weights ({detail}): delete it and download it again"
        ) from error
