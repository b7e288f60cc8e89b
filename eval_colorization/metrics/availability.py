"""What a metric says that cannot be computed here, and where downloaded weights are looked for."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError


class NotAvailableError(Exception):
    """A metric lacks a package, weights or images. The report lists it with `reason` and `remedy`, a line each."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


def missing_package(metric: str, error: ModuleNotFoundError, extra: str) -> NotAvailableError:
    """That the import behind `metric` failed, and the extra of this project that brings the package."""
    return NotAvailableError(
        f"{metric} needs the package {error.name}, which is not installed",
        f"pip install 'colorization-benchmark[{extra}]'",
    )


def downloaded_weights(owner: str, url: str) -> Path:
    """The file to which torch.hub downloads `url`: $TORCH_HOME/hub/checkpoints/NAME. Nothing is downloaded here.

    Raises:
        NotAvailableError: it is not there; `owner` says in the reason whose weights are missing.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        home = Path.home()  # a report that is published need not say whose machine it was
        shown = Path("~", path.relative_to(home)) if path.is_relative_to(home) else path
        raise NotAvailableError(f"the weights of {owner} are not in {shown}", f"download {url} to that path")
    return path


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
