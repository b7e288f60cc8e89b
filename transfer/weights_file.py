"""A backbone's weights in the files that others publish: nested, prefixed, and with more beside them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pretext.library_weights import read_weights

# MoCo's key encoder and DINO's student: their papers evaluate the query encoder and the teacher.
NOT_EVALUATED = ("encoder_k", "student")
NUM_SHOWN = 4


def read_backbone_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the names and shapes of `expected`, from wherever in the file they lie together.

    That may be inside dictionaries (`state_dict`, `model`) and behind a prefix (`module.encoder_q.` of MoCo,
    `module.backbone.` of DINO). What else the file holds is counted and named in a line of output. BatchNorm's
    `num_batches_tracked`, which old files lack, is optional.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read, lacks a tensor, has one of another shape, or holds the network twice.
    """
    tensors = dict(_flatten(read_weights(path)))
    prefix = _place(path, tensors, [name for name in expected if not name.endswith("num_batches_tracked")])
    found = {name: tensors[prefix + name] for name in expected if prefix + name in tensors}
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path} holds {prefix + name} of shape {tuple(tensor.shape)}, but the backbone's is "
                f"{tuple(expected[name].shape)}: the weights are of another network"
            )
    others = [
        name for name in tensors if name.removeprefix(prefix) not in found or not name.startswith(prefix)
    ]
    if others and (not dist.is_initialized() or dist.get_rank() == 0):
        print(
            f"{path}: {len(found)} tensors under '{prefix}' are the backbone's; left out {_some(others)}",
            flush=True,
        )
    return found


def _flatten(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")


def _place(path: Path, tensors: Mapping[str, Tensor], needed: list[str]) -> str:
    """The prefix under which all tensors of the network are."""
    places = Counter(
        key.removesuffix(name)
        for name in needed
        for key in tensors
        if key == name or key.endswith(f".{name}")
    )
    whole = [prefix for prefix, count in places.items() if count == len(needed)]
    evaluated = [prefix for prefix in whole if not any(word in prefix for word in NOT_EVALUATED)] or whole
    if len(evaluated) > 1:
        raise ValueError(
            f"{path} holds the backbone {len(evaluated)} times, under {', '.join(map(repr, evaluated))}: "
            "save the one you mean to a file of its own"
        )
    if evaluated:
        return evaluated[0]
    best = max(places, key=places.__getitem__, default="")
    missing = [name for name in needed if best + name not in tensors]
    raise ValueError(
        f"{path} lacks of the backbone's {len(needed)} tensors under '{best}' these {_some(missing)}; "
        f"its first keys are {', '.join(list(tensors)[:3])}"
    )


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > NUM_SHOWN else ""
    return f"{len(names)}: {', '.join(names[:NUM_SHOWN])}{more}"
