"""The loss of classification."""

import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor


def classification_losses(
    logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch *classes"]
) -> Float[Tensor, " batch"]:
    """Each image's loss: cross-entropy; of multi-label images the sum over classes of binary cross-entropies.

    Args:
        labels: class indices; or for each class 1 positive, -1 negative, 0 of no consequence.
    """
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels, reduction="none")
    losses = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), reduction="none")
    return (losses * (labels != 0)).sum(1)
