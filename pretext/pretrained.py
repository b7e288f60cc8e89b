"""The one door to a trained network: shipped, run directory, checkpoint, exported weights, published weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pretext.color.bins import AbBins
from pretext.networks import Backbone, build_network
from pretext.networks.eccv16 import Eccv16
from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.run_dir import RunDir
from pretext.spelling import did_you_mean

# Name -> file inside the package; the card of each is docs/weights.md.
SHIPPED_WEIGHTS = {"eccv16-photographs": Path(__file__).parent / "weights" / "eccv16-photographs.safetensors"}
ACCEPTED_MODELS = (
    "a shipped network ({}), a run directory, a checkpoint, a file of `pretext export`, or a published .pth"
).format(", ".join(SHIPPED_WEIGHTS))


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A trained network and what belongs to it.

    Attributes:
        network: in evaluation mode, on the CPU.
        name: of the network, as in NETWORKS.
        width: of the network.
        bins: None for a regression network.
        temperature: of the annealed mean, as the run was validated.
        image_size: length in pixels of the short side of the images it was trained on; 256 as published.
        step: optimiser steps behind the weights; None where the file does not say.
        config: of the training; None where the file does not say.
        sha256: of the weights, as `state_hash` computes it.
        path: of the file.
    """

    network: Backbone
    name: str
    width: float
    bins: AbBins | None
    temperature: float
    image_size: int
    step: int | None
    config: Mapping[str, Any] | None
    sha256: str
    path: Path

    @property
    def origin(self) -> str:
        """The name of a shipped network, whose place differs between machines; otherwise the path of the file."""
        return next((name for name, path in SHIPPED_WEIGHTS.items() if path == self.path), str(self.path))


def load_pretrained(model: str | Path) -> Pretrained:
    """Open a trained network by the name or the place of its weights.

    Args:
        model: a name in SHIPPED_WEIGHTS (./NAME is a file of that name), a run directory, one of its checkpoints, a
            file of `pretext export`, or a published file: `colorization_release_v2-*.pth` (eccv16; its decoding has
            no temperature, so it is 1) or `siggraph17-*.pth` (its regression output).

    Raises:
        FileNotFoundError: nothing there; the names and forms that are accepted are listed.
        ValueError: the file is truncated or of another kind, or its weights do not fit the network it names.
    """
    path = SHIPPED_WEIGHTS.get(str(model), Path(model))
    if not path.exists():
        if str(model) in SHIPPED_WEIGHTS:
            raise FileNotFoundError(
                f"this installation lacks the weights of {model}, which belong at {path}: install "
                "colorization-benchmark again, or copy pretext/weights/ from its source to that place"
            )
        suggestion = did_you_mean(str(model), SHIPPED_WEIGHTS)
        raise FileNotFoundError(f"there are no weights {str(model)!r}{suggestion}: give {ACCEPTED_MODELS}")
    if path.is_dir():
        run_dir = RunDir(path)
        if not run_dir.last_checkpoint.exists():
            raise ValueError(f"{path} holds no checkpoints/last.pt; train it first, or name a weights file")
        path = run_dir.last_checkpoint
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    state = load_checkpoint(path)
    return _from_checkpoint(path, state) if "config" in state else _from_published(path, state)


def _from_checkpoint(path: Path, state: Mapping[str, Any]) -> Pretrained:
    config = state["config"]
    return _assemble(
        path,
        state["network"],
        name=config["network"]["name"],
        width=config["network"]["width"],
        bins=None if state["bins"] is None else AbBins(**state["bins"]),
        temperature=config["objective"]["temperature"],
        image_size=config["data"]["image_size"],
        step=state["step"],
        config=config,
    )


def _from_safetensors(path: Path) -> Pretrained:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(
            f"{path} cannot be read as safetensors (truncated, or another kind of file): {error}"
        ) from error
    if "network" not in metadata:
        raise ValueError(
            f"{path} has no metadata of `pretext export`: expected network, width, centres, prior"
        )
    bins = None
    if metadata["objective"] != "regression":
        bins = AbBins(
            centres=torch.tensor(json.loads(metadata["centres"])),
            prior=torch.tensor(json.loads(metadata["prior"])),
        )
    return _assemble(
        path,
        weights,
        name=metadata["network"],
        width=float(metadata["width"]),
        bins=bins,
        temperature=float(metadata["temperature"]),
        image_size=int(metadata["image_size"]),
        step=int(metadata["step"]),
        config=json.loads(metadata["config"]) if "config" in metadata else None,
    )


def _from_published(path: Path, weights: Mapping[str, Tensor]) -> Pretrained:
    if "model_class.0.weight" in weights:
        return _assemble(path, weights, name="siggraph17", width=1.0, bins=None)
    if "model_out.weight" not in weights:
        raise ValueError(
            f"{path} is neither a checkpoint of `pretext train` nor the published weights of eccv16 or siggraph17; "
            f"its first keys are {', '.join(list(weights)[:3])}"
        )
    opened = _assemble(path, weights, name="eccv16", width=1.0, bins=AbBins.published())
    assert isinstance(opened.network, Eccv16)
    centres = opened.network.bin_centres
    assert opened.bins is not None
    assert centres is not None
    if not torch.allclose(centres, opened.bins.centres, atol=0.5):
        raise ValueError(
            f"{path} holds other bin centres in model_out than the 313 published ones, so its prior is unknown"
        )
    return opened


def _assemble(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    name: str,
    width: float,
    bins: AbBins | None,
    temperature: float = 1.0,
    image_size: int = 256,
    step: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> Pretrained:
    network = build_network(name, num_bins=None if bins is None else len(bins.centres), width=width)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise ValueError(
            f"{path} does not hold the weights of {name} (width {width:g}): {detail[:400]}"
        ) from error
    return Pretrained(
        network=network.eval(),
        name=name,
        width=width,
        bins=bins,
        temperature=temperature,
        image_size=image_size,
        step=step,
        config=config,
        sha256=state_hash(network),
        path=path,
    )


def state_hash(network: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and values of all parameters and buffers, in hexadecimal.

    It identifies weights wherever they are kept: a checkpoint, its export in the same precision and their copies have
    the same.
    """
    return hashlib.sha256(repr(tensor_hashes(network)).encode()).hexdigest()


def tensor_hashes(network: nn.Module) -> dict[str, str]:
    """Name -> SHA-256 over dtype, shape and values of each parameter and buffer."""
    return {
        name: hashlib.sha256(
            f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
            + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    }
