"""`SparseCrossEntropy` on a GPU: one Triton kernel each way, which reads the logits once.

A program computes one position, whose logits lie side by side in channels-last memory; any other layout works, slower.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor


def forward(
    logits: Float[Tensor, "batch bins height width"],
    index: Int[Tensor, "batch neighbours height width"],
    target: Float[Tensor, "batch neighbours height width"],
) -> tuple[Float[Tensor, "batch height width"], Float[Tensor, "batch height width"]]:
    """The cross-entropy of each position, and the logarithm of the sum of its exponentiated logits."""
    batch, bins, height, width = logits.shape
    precise = torch.promote_types(logits.dtype, torch.float32)
    loss = torch.empty((batch, height, width), dtype=precise, device=logits.device)
    log_sum = torch.empty_like(loss)
    with torch.cuda.device_of(logits):
        _forward[(loss.numel(),)](
            logits, index.contiguous(), target.contiguous(), loss, log_sum,
            *logits.stride(), height * width, width, bins, index.shape[1],
            triton.next_power_of_2(bins), _precise(logits), num_warps=1,
        )  # fmt: skip
    return loss, log_sum


def backward(
    logits: Float[Tensor, "batch bins height width"],
    index: Int[Tensor, "batch neighbours height width"],
    target: Float[Tensor, "batch neighbours height width"],
    log_sum: Float[Tensor, "batch height width"],
    scale: Float[Tensor, "batch height width"],
) -> Float[Tensor, "batch bins height width"]:
    """scale x (softmax - target), in the type and memory format of the logits."""
    _, bins, height, width = logits.shape
    out = torch.empty_like(logits)
    with torch.cuda.device_of(logits):
        _backward[(log_sum.numel(),)](
            logits, index.contiguous(), target.contiguous(), log_sum, scale.contiguous(), out,
            *logits.stride(), *out.stride(), height * width, width, bins, index.shape[1],
            triton.next_power_of_2(bins), _precise(logits), num_warps=1,
        )  # fmt: skip
    return out


def _precise(logits: Tensor) -> tl.dtype:
    return tl.float64 if logits.dtype == torch.float64 else tl.float32


@triton.jit
def _forward(  # type: ignore[no-untyped-def]
    logits, index, target, loss, log_sum,
    stride_image, stride_bin, stride_y, stride_x,
    area, width, bins, neighbours: tl.constexpr, block: tl.constexpr, precise: tl.constexpr,
):  # fmt: skip
    position = tl.program_id(0).to(tl.int64)
    image, place = position // area, position % area
    row = logits + image * stride_image + (place // width) * stride_y + (place % width) * stride_x
    bin = tl.arange(0, block)
    x = tl.load(row + bin * stride_bin, mask=bin < bins, other=-float("inf")).to(precise)
    largest = tl.max(x, axis=0)
    log_of_sum = largest + tl.log(tl.sum(tl.exp(x - largest), axis=0))
    entropy = log_of_sum * 0
    for k in tl.static_range(neighbours):
        neighbour = (image * neighbours + k) * area + place
        at_bin = tl.load(row + tl.load(index + neighbour) * stride_bin).to(precise)
        entropy += tl.load(target + neighbour) * (log_of_sum - at_bin)
    tl.store(loss + position, entropy)
    tl.store(log_sum + position, log_of_sum)


@triton.jit
def _backward(  # type: ignore[no-untyped-def]
    logits, index, target, log_sum, scale, out,
    stride_image, stride_bin, stride_y, stride_x,
    out_stride_image, out_stride_bin, out_stride_y, out_stride_x,
    area, width, bins, neighbours: tl.constexpr, block: tl.constexpr, precise: tl.constexpr,
):  # fmt: skip
    position = tl.program_id(0).to(tl.int64)
    image, place = position // area, position % area
    row = logits + image * stride_image + (place // width) * stride_y + (place % width) * stride_x
    bin = tl.arange(0, block)
    x = tl.load(row + bin * stride_bin, mask=bin < bins, other=-float("inf")).to(precise)
    slope = tl.exp(x - tl.load(log_sum + position))
    for k in tl.static_range(neighbours):
        neighbour = (image * neighbours + k) * area + place
        slope -= tl.where(bin == tl.load(index + neighbour), tl.load(target + neighbour), 0.0)
    out_row = (
        out + image * out_stride_image + (place // width) * out_stride_y + (place % width) * out_stride_x
    )
    tl.store(out_row + bin * out_stride_bin, slope * tl.load(scale + position), mask=bin < bins)
