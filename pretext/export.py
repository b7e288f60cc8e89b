"""`pretext export`: a run's weights as safetensors, with all that is needed to use them."""

import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

from pretext.config import ExportConfig
from pretext.networks.backbone import Output
from pretext.pretrained import content_hash, describe_network, load_pretrained
from pretext.runtime.whole_file import whole_file

INPUTS = {
    "lightness": "L in [0, 100], shape (batch, 1, height, width), D65",
    "luma": "Y of ITU-R 601 in [0, 1], of sRGB, shape (batch, 1, height, width)",
    "intensity": "mean of R, G and B in [0, 1], of sRGB, shape (batch, 1, height, width)",
    "ab": "ab in ab units, shape (batch, 2, height, width), D65",
    "lab": "Lab, L in [0, 100] and ab in ab units, shape (batch, 3, height, width), D65",
    "rgb": "RGB in [0, 1], shape (batch, 3, height, width), sRGB",
}

_OUTPUTS: dict[str | None, str] = {
    None: "the deepest stage",
    "ab": "ab / 110",
    "rgb": "RGB, in [0, 1] and a little beyond",
    "uv": "U and V of Y'UV, squashed into [0, 1]",
}


def export_weights(config: ExportConfig) -> Path:
    """Write the weights of a run, or of one of its checkpoints, with task, bins, prior and normalisation as metadata.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: no such model or card.
        ValueError: the model cannot be opened, or the card is not a mapping, or has a key that is written anyway.
    """
    model, out = Path(config.model), config.out
    pretrained = load_pretrained(config.model)
    if out is None:
        out = (model if model.is_dir() else model.parent) / "weights.safetensors"
    network = pretrained.network
    described = describe_network(network)
    metadata = {
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
        "sha256": "",  # below, of all else
    }
    metadata |= _read_card(config.card, metadata) if config.card else {}
    weights = {
        name: tensor.to(getattr(torch, config.precision)) if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    metadata["sha256"] = content_hash(weights, metadata)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as temporary:
        save_file(weights, temporary, metadata)
    print(f"{described.name} (width {described.width:g}, step {pretrained.step}) -> {out}")
    return out


def output_in_words(output: Output) -> str:
    """What the numbers are that a network answers with."""
    if isinstance(output, dict):
        return f"several, by name, with their channels: {', '.join(f'{name} {of}' for name, of in output.items())}"
    return "logits over the bins" if isinstance(output, int) else _OUTPUTS[output]


def _read_card(path: Path, metadata: dict[str, str]) -> dict[str, str]:
    """The card's metadata; raises as `export_weights` does."""
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
    return {
        str(key): value.strip() if isinstance(value, str) else json.dumps(value)
        for key, value in card.items()
    }
