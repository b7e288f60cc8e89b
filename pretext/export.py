"""`pretext export`: a trained network for others to use, with all that they need to know of it."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from pretext.config import ExportConfig
from pretext.describe_weights import facts_of, output_in_words
from pretext.image_graph import export_graph
from pretext.model_folder import write_model_folder
from pretext.pretrained import (
    MODEL_FILE,
    Pretrained,
    content_hash,
    describe_network,
    in_words,
    load_pretrained,
)
from pretext.runtime.whole_file import whole_file

INPUTS = {
    "lightness": "L in [0, 100], shape (batch, 1, height, width), D65",
    "luma": "Y of ITU-R 601 in [0, 1], of sRGB, shape (batch, 1, height, width)",
    "intensity": "mean of R, G and B in [0, 1], of sRGB, shape (batch, 1, height, width)",
    "ab": "ab in ab units, shape (batch, 2, height, width), D65",
    "lab": "Lab, L in [0, 100] and ab in ab units, shape (batch, 3, height, width), D65",
    "rgb": "RGB in [0, 1], shape (batch, 3, height, width), sRGB",
}

_NAMES = {
    "safetensors": "weights.safetensors",
    "hub": "hub",
    "onnx": "network.onnx",
    "torch_export": "network.pt2",
}


def export_weights(config: ExportConfig) -> Path:
    """Write a trained network as `config.format` says, with task, bins, prior and normalisation as metadata.

    Returns:
        The file or folder written.

    Raises:
        FileNotFoundError: no such model or card.
        ValueError: the model cannot be opened; the card is not a mapping, or has a key that is written anyway; or a key
            means nothing for the format, or names no output of the network; or a package is missing.
    """
    is_graph = config.format in ("onnx", "torch_export")
    for key, refused in (
        ("outputs", config.outputs is not None and not is_graph),
        ("size", config.size is not None and not is_graph),
        ("precision", config.precision != "float32" and is_graph),
    ):
        if refused:
            raise ValueError(f"{key} means nothing for --format {config.format}; leave --{key} out")
    pretrained = load_pretrained(config.model)
    out = config.out or _folder_of(Path(config.model)) / _NAMES[config.format]
    metadata = _metadata(pretrained)
    card = _read_card(config.card, metadata) if config.card else {}
    metadata |= {
        key: value.strip() if isinstance(value, str) else json.dumps(value) for key, value in card.items()
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    if config.format == "safetensors":
        _save_weights(pretrained, config.precision, metadata, out)
    elif config.format == "hub":
        out.mkdir(exist_ok=True)
        _save_weights(pretrained, config.precision, metadata, out / MODEL_FILE)
        written = load_pretrained(out)  # rounded, so of another hash
        write_model_folder(written, facts_of(written), card, out)
    else:
        export_graph(pretrained, config.format, config.outputs, config.size, metadata, out)
    print(f"{in_words(describe_network(pretrained.network))}, step {pretrained.step} -> {out}")
    return out


def _folder_of(model: Path) -> Path:
    """Where an export lies unless the user says otherwise: beside what it was made of, or here if that is shipped."""
    return model if model.is_dir() else model.parent


def _metadata(pretrained: Pretrained) -> dict[str, str]:
    network = pretrained.network
    described = describe_network(network)
    return {
        "format": "pt",
        "network": described.name,
        "width": str(described.width),
        "network_args": json.dumps(dict(described.args)),
        "network_output": json.dumps(network.output),
        "input": f"{INPUTS[network.input]}; the network normalises it itself",
        "normalisation": network.normalisation,
        "output": output_in_words(network.output),
        "output_stride": str(network.output_stride),
        "task": pretrained.task_name,
        "task_args": json.dumps(dict(pretrained.task_args)),
        "task_state": json.dumps({name: value.tolist() for name, value in pretrained.task_state.items()}),
        "image_size": str(pretrained.image_size),
        "step": str(pretrained.step),
        "config": json.dumps(pretrained.config),
        "sha256": "",  # of the file's content, when it is written
    }


def _save_weights(pretrained: Pretrained, precision: str, metadata: dict[str, str], out: Path) -> None:
    weights = {
        name: tensor.to(getattr(torch, precision)) if tensor.is_floating_point() else tensor
        for name, tensor in pretrained.network.state_dict().items()
    }
    metadata |= {"sha256": content_hash(weights, metadata)}
    with whole_file(out) as temporary:
        save_file(weights, temporary, metadata)


def _read_card(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """The card; raises as `export_weights` does."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no card {path}")
    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{path} holds a {type(card).__name__}, expected keys with values")
    taken = [str(key) for key in card if key in metadata]
    if taken:
        raise ValueError(
            f"{path} has the keys {', '.join(taken)}, which an export writes itself; rename them"
        )
    return {str(key): value for key, value in card.items()}
