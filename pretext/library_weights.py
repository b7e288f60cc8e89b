"""Weights of other libraries' networks that are on this machine already; nothing here is downloaded."""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from pretext.optional import NotAvailableError
from pretext.runtime.checkpoint import DamagedFileError, verify_archive


def downloaded_weights(owner: str, url: str) -> Path:
    """The file to which torch.hub downloads `url`: $TORCH_HOME/hub/checkpoints/NAME.

    Raises:
        NotAvailableError: it is not there; `owner` says in the reason whose weights are missing.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        # A report that is published need not say whose machine it was.
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path raises where a container's user has no home)
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


@contextmanager
def named_when_damaged(path: Path) -> Iterator[None]:
    """Around a library's reading of downloaded weights: its errors become a ValueError that names `path`."""
    try:
        verify_archive(path)
        yield
    except (RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError, DamagedFileError) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} is damaged or holds other weights ({detail}): delete it and download it again"
        ) from error
