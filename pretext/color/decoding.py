"""From a distribution over bins to one ab colour (paper, section 2.3)."""

import torch
from jaxtyping import Float
from torch import Tensor


def annealed_mean(
    logits: Float[Tensor, "batch bins height width"],
    centres: Float[Tensor, "bins 2"],
    temperature: float = 0.38,
) -> Float[Tensor, "batch 2 height width"]:
    """Expected ab of softmax(logits / temperature), in ab units (equation 5).

    Temperature 1 is the mean, towards 0 it becomes the mode; the paper's 0.38 lies between vivid and smooth.
    """
    assert temperature > 0
    # The maximum goes before the division: a tiny temperature would make large logits overflow.
    odds = logits.float() - logits.amax(dim=1, keepdim=True).float()
    odds = odds.div_(temperature).exp_()
    with torch.autocast(logits.device.type, enabled=False):  # it would round this product to 8 bits
        colour = torch.matmul(centres.float().T, odds.flatten(2)).unflatten(2, odds.shape[2:])
    return colour / odds.sum(dim=1, keepdim=True)


def mode(
    logits: Float[Tensor, "batch bins height width"], centres: Float[Tensor, "bins 2"]
) -> Float[Tensor, "batch 2 height width"]:
    """Centre of the most likely bin, in ab units ("classification-centroid")."""
    return centres.float()[logits.argmax(dim=1)].permute(0, 3, 1, 2)


def top_k_mean(
    logits: Float[Tensor, "batch bins height width"], centres: Float[Tensor, "bins 2"], k: int
) -> Float[Tensor, "batch 2 height width"]:
    """Expected ab over the `k` most likely bins, renormalised, in ab units ("classification-softmax")."""
    top, index = logits.topk(k, dim=1)
    weight = top.float().softmax(dim=1)
    return torch.stack([(weight * centres.float()[:, axis][index]).sum(dim=1) for axis in (0, 1)], dim=1)
