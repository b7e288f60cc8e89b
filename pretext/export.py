"""`pretext export`: a run's weights as safetensors, with all that is needed to use them."""

import json
from pathlib import Path

from safetensors.torch import save_file

from pretext.pretrained import load_pretrained
from pretext.runtime.whole_file import whole_file


def export_weights(model: str | Path, out: Path | None = None) -> Path:
    """Write the weights of a run, or of one of its checkpoints, with bins, prior and normalisation as metadata.

    Returns:
        The file written; `weights.safetensors` in the run directory unless `out` says otherwise.
    """
    pretrained = load_pretrained(model)
    if out is None:
        folder = Path(model) if Path(model).is_dir() else Path(model).parent
        out = folder / "weights.safetensors"
    bins = pretrained.bins
    metadata = {
        "format": "pt",
        "network": pretrained.name,
        "width": str(pretrained.width),
        "objective": "regression" if bins is None else "classification",
        "input": "L in [0, 100], shape (batch, 1, height, width), D65; the network normalises it itself",
        "normalisation": pretrained.network.normalisation,
        "output": "ab / 110" if bins is None else "logits over the bins",
        "output_stride": str(pretrained.network.output_stride),
        "centres": json.dumps(None if bins is None else bins.centres.tolist()),
        "prior": json.dumps(None if bins is None else bins.prior.tolist()),
        "temperature": str(pretrained.temperature),
        "image_size": str(pretrained.image_size),
        "step": str(pretrained.step),
        "checkpoint_sha256": pretrained.sha256,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in pretrained.network.state_dict().items()}
    with whole_file(out) as temporary:
        save_file(weights, temporary, metadata)
    print(f"{pretrained.name} (width {pretrained.width:g}, step {pretrained.step}) -> {out}")
    return out
