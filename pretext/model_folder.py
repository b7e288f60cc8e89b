"""A network in a folder as timm and the Hugging Face Hub have it: config.json, model.safetensors and a model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pretext.pretrained import Pretrained, describe_network
from pretext.runtime.whole_file import write_whole

CARD_FILE = "README.md"


def write_model_folder(
    pretrained: Pretrained, facts: Mapping[str, str], card: Mapping[str, Any], out: Path
) -> None:
    """Write `config.json` and, where there is none, a model card beside the weights.

    Args:
        pretrained: the network.
        facts: about it, for the card.
        card: what the user says of it: `title`, `licence`, `data`, ...
        out: the folder, which holds the weights.
    """
    network, described = pretrained.network, describe_network(pretrained.network)
    side = pretrained.image_size
    config = {
        "architecture": "colorization_backbone",
        "num_classes": 0,
        "model_args": {
            "network": described.name,
            "width": described.width,
            "network_args": dict(described.args),
            "network_output": network.output,
        },
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
            "num_classes": 0,
            "first_conv": None,
            "classifier": "head.fc",
            **({"license": card["licence"]} if "licence" in card else {}),
        },
    }
    write_whole(out / "config.json", json.dumps(config, indent=2) + "\n")
    if (out / CARD_FILE).exists():
        print(f"{out / CARD_FILE} stays as it is; delete it for a new one")
    else:
        write_whole(out / CARD_FILE, _model_card(pretrained, facts, card))


def _model_card(pretrained: Pretrained, facts: Mapping[str, str], card: Mapping[str, Any]) -> str:
    title = card.get("title", f"{pretrained.name}, trained for {pretrained.task_name}")
    header = {
        "library_name": "timm",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["image-feature-extraction", "self-supervised-learning", "colorization", "timm"],
    }
    stages = pretrained.network.stages
    rows = "\n".join(f"| {name} | {spec.channels} | {spec.stride} |" for name, spec in stages.items())
    facts_list = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    said = {name: value for name, value in card.items() if name != "title"}
    of_user = f"```yaml\n{yaml.safe_dump(said, sort_keys=False, width=110)}```\n" if said else ""
    return f"""---
{yaml.safe_dump(header, sort_keys=False)}---

# {title}

A network trained without labels by colorization-benchmark.

{facts_list}

It takes RGB in [0, 1] and does the rest inside.

| stage | channels | stride |
|---|---:|---:|
{rows}

## Use

In timm, and in whatever takes its backbones:

```python
import pretext.timm_models  # pip install 'colorization-benchmark[timm]'
import timm

backbone = timm.create_model("local-dir:.", pretrained=True, features_only=True)  # or hf-hub:USER/NAME
```

With all that the training knew:

```python
import pretext

trained = pretext.load_pretrained(".")  # this folder
```

{of_user}"""
