"""Cross-entropy with soft targets on a few of many classes, without a dense target."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

HAS_TRITON = find_spec("triton") is not None  # torch for Linux brings it


class SparseCrossEntropy(torch.autograd.Function):
    """Cross-entropy of dense logits with sparse soft targets, in little memory.

    Nothing as large as the logits exists but their gradient. Computed in float32 (float64 stays): on a GPU with Triton
    by one kernel each way, else in pieces of at most an eighth of the batch, whose gradient is written in place.
    Returns the weighted loss of each image, the mean over positions of weight x cross-entropy, and the unweighted
    cross-entropy of each position, which has no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Float[Tensor, "batch bins height width"],
        index: Int[Tensor, "batch neighbours height width"],
        target: Float[Tensor, "batch neighbours height width"],
        position_weight: Float[Tensor, "batch height width"],
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch height width"]]:
        log_sum = None
        if _has_kernels(logits):
            import pretext.tasks.sparse_cross_entropy_kernels as kernels

            per_position, log_sum = kernels.forward(logits, index, target)
        else:
            log_probability = torch.cat(
                [
                    x.log_softmax(dim=1, dtype=_accumulation_type(x)).gather(1, i)
                    for x, i in _pieces(logits, index)
                ]
            )
            per_position = -(log_probability * target).sum(dim=1)
        ctx.save_for_backward(logits, index, target, position_weight, log_sum)
        ctx.mark_non_differentiable(per_position)
        return (per_position * position_weight).mean(dim=(1, 2)), per_position

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        logits, index, target, position_weight, log_sum = ctx.saved_tensors
        scale = position_weight * (grad_loss / position_weight[0].numel())[:, None, None]
        if log_sum is not None:
            import pretext.tasks.sparse_cross_entropy_kernels as kernels

            return kernels.backward(logits, index, target, log_sum, scale), None, None, None
        gradient = torch.empty_like(logits)
        scale = scale[:, None]
        for piece in _pieces(gradient, logits, scale, index, target * scale):
            _write_gradient(*piece)
        return gradient, None, None, None


def _has_kernels(logits: Tensor) -> bool:
    return logits.is_cuda and HAS_TRITON


def _write_gradient(out: Tensor, logits: Tensor, scale: Tensor, index: Tensor, scaled_target: Tensor) -> None:
    """d/dx_q of -sum_k t_k log softmax(x)_k is softmax(x)_q - t_q, as the targets sum to 1; here times scale."""
    precise = _accumulation_type(logits)
    dense = out if out.dtype == precise else torch.empty_like(out, dtype=precise)
    torch.softmax(logits, dim=1, dtype=precise, out=dense).mul_(scale)
    dense.scatter_add_(1, index, -scaled_target.to(precise))
    if dense is not out:
        out.copy_(dense)


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    size = -(-len(tensors[0]) // 8)
    return zip(*(tensor.split(size) for tensor in tensors), strict=True)


def _accumulation_type(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
