"""A network's weights in the files that others publish: nested, prefixed, and with more beside them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pretext.runtime.checkpoint import load_checkpoint, printable
from pretext.runtime.foreign_files import describe_other_kind
from pretext.spelling import first_few

# DINO's student, MoCo's key encoder, and others' momentum encoders: their papers evaluate the network beside them.
NOT_EVALUATED = ("student", "encoder_k", "momentum")


def read_weights(path: Path) -> dict[str, Any]:
    """The contents of a .safetensors file, or of what `torch.save` wrote, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or of another kind.
    """
    return read_safetensors(path)[0] if path.suffix == ".safetensors" else load_checkpoint(path)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata in a file; raises as `read_weights`."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        kind = describe_other_kind(path)
        reason = (
            f": it is {kind}" if kind else f" (truncated, or another kind of file): {printable(str(error))}"
        )
        raise ValueError(f"{path} cannot be read as safetensors{reason}") from error


def find_weights(
    path: Path, contents: Mapping[str, Any], expected: Mapping[str, Tensor], owner: str = "the backbone"
) -> dict[str, Tensor]:
    """The tensors with the names and shapes of `expected`, from wherever in a file they lie together.

    That may be inside dictionaries (`state_dict`, `model`) and behind a prefix (`module.` of DataParallel,
    `module.encoder_q.` of MoCo, `_orig_mod.` of torch.compile). What else the file holds is counted and named in a line
    of output. BatchNorm's `num_batches_tracked`, which old files lack, is optional.

    Args:
        path: of the file, for messages.
        contents: of the file, as `read_weights` returns them.
        expected: a state dict of the network.
        owner: what messages call the network.

    Raises:
        ValueError: the file lacks a tensor, has one of another shape or with a NaN or infinite value, or holds the
            network twice.
    """
    tensors = dict(flatten_tensors(contents))
    needed = [name for name in expected if not name.endswith("num_batches_tracked")]
    prefix = _find_prefix(path, contents, tensors, needed, owner)
    weights = {name: tensors[prefix + name] for name in expected if prefix + name in tensors}
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path} does not hold the weights of {owner}: its {printable(prefix + name)} has the shape "
                f"{tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
            )
    wrong = [name for name, tensor in weights.items() if not _is_finite(tensor)]
    if wrong:
        raise ValueError(
            f"{path} holds NaN or infinite values in {_counted(wrong)}; the training that wrote it has diverged: take "
            "an earlier checkpoint"
        )
    used = {prefix + name for name in weights}
    others = [name for name in tensors if name not in used]
    if others and (not dist.is_initialized() or dist.get_rank() == 0):
        where = f" under {prefix!r}" if prefix else ""
        print(
            f"{path}: {len(weights)} tensors{where} are those of {owner}; left out {_counted(others)}",
            flush=True,
        )
    return weights


def flatten_tensors(contents: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Each tensor in nested dictionaries, with its name: {"model": {"fc.bias": b}} yields ("model.fc.bias", b)."""
    for name, value in contents.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from flatten_tensors(value, f"{prefix}{name}.")


def is_named(key: str, name: str) -> bool:
    """Whether `key` is `name`, maybe behind a prefix."""
    return key == name or key.endswith(f".{name}")


def _find_prefix(
    path: Path, contents: Mapping[str, Any], tensors: Mapping[str, Tensor], needed: list[str], owner: str
) -> str:
    """The prefix under which all tensors of the network are."""
    places = Counter(key.removesuffix(name) for name in needed for key in tensors if is_named(key, name))
    whole = [prefix for prefix, count in places.items() if count == len(needed)]
    evaluated = [prefix for prefix in whole if not any(word in prefix for word in NOT_EVALUATED)] or whole
    if len(evaluated) > 1:
        raise ValueError(
            f"{path} holds {owner} {len(evaluated)} times, under {', '.join(map(repr, evaluated))}: "
            "save the one you mean to a file of its own"
        )
    if evaluated:
        return evaluated[0]
    best = max(places, key=places.__getitem__, default="")
    missing = [name for name in needed if best + name not in tensors]
    raise ValueError(
        f"{path} does not hold the weights of {owner}: of their {len(needed)} tensors it lacks, under {best!r}, "
        f"{_counted(missing)}; its first keys are {printable(', '.join(map(str, list(tensors or contents)[:3])))}"
    )


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.float().isfinite().all())


def _counted(names: list[str]) -> str:
    """How many, and the first of them."""
    return f"{len(names)}: {printable(first_few(names, 4))}"
