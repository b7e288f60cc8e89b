"""Random weights in the files of LPIPS and FID: the networks are real, what they have learnt is nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor
from torchmetrics.image.fid import NoTrainInceptionV3

ALEXNET = "hub/checkpoints/alexnet-owt-7be5be79.pth"
INCEPTION = "hub/checkpoints/weights-inception-2015-12-05-6726825d.pth"


def save_learned_weights(home: Path) -> None:
    """Write both files into `home`, for the environment variable TORCH_HOME."""
    (home / ALEXNET).parent.mkdir(parents=True)
    torch.save(random_weights(torchvision.models.alexnet), home / ALEXNET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {}
        )
        patch.setattr(NoTrainInceptionV3, "load_state_dict", lambda *_: None)
        torch.save(random_weights(lambda: NoTrainInceptionV3("inception", ["2048"])), home / INCEPTION)


def random_weights(build: Callable[[], torch.nn.Module]) -> dict[str, Tensor]:
    """Weights of a built network's shapes that keep activations alive; all but convolutions take no room on disk."""
    with torch.device("meta"):
        shapes = build().state_dict()
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, like in shapes.items():
        if like.ndim == 4:
            spread = (2 / like[0].numel()) ** 0.5
            weights[name] = torch.randn(like.shape, generator=generator) * spread
        else:
            neutral = float(name.endswith(("bn.weight", "running_var")))
            weights[name] = torch.tensor(neutral, dtype=like.dtype).expand(like.shape)
    return weights
