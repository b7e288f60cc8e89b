"""BatchNorm over the batch of all processes, so that a training does not depend on how many share it."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let every BatchNorm inside `network` take its training statistics over all processes of the default group.

    Parameters, buffers and their names stay the same objects, so an optimiser built before stays valid, and
    checkpoints load either way. Call it with the network on its device, before compiling or wrapping it. On GPUs
    the layers become `nn.SyncBatchNorm`, which runs on GPUs only; on the CPU `SynchronisedBatchNorm2d`.

    Raises:
        ValueError: a layer is of a kind of BatchNorm that cannot be synchronised, as some of timm's are.
    """
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                parent.add_module(
                    name,
                    nn.SyncBatchNorm.convert_sync_batchnorm(layer)
                    if layer.weight.is_cuda
                    else SynchronisedBatchNorm2d.from_layer(layer),
                )
            elif isinstance(layer, nn.BatchNorm2d) and not isinstance(layer, SynchronisedBatchNorm2d):
                raise ValueError(
                    f"the network's {type(layer).__name__} cannot take its statistics over several processes; train on "
                    "one, or choose a network with torch.nn.BatchNorm2d"
                )


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` on the CPU whose statistics in training are those of the batch of all processes.

    Every process must bring a batch of the same shape. One small collective in forward, one in backward. Statistics
    have the dtype of `weight`, float32, under autocast too. In evaluation, and where there is one process, it is
    `nn.BatchNorm2d`.
    """

    @classmethod
    def from_layer(cls, layer: nn.BatchNorm2d) -> "SynchronisedBatchNorm2d":
        """A layer of this kind that shares the parameters and buffers of `layer`."""
        new = cls(layer.num_features, layer.eps, layer.momentum)
        new.weight, new.bias = layer.weight, layer.bias
        new.running_mean, new.running_var = layer.running_mean, layer.running_var
        new.num_batches_tracked = layer.num_batches_tracked
        return new.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        features = input.to(self.weight.dtype)
        normalised, mean, variance = _Normalise.apply(features, self.weight, self.bias, self.eps)
        self._update_running_statistics(mean, variance, input.numel() // len(mean) * dist.get_world_size())
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.momentum is not None, "the networks here use an exponential average"
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        self.num_batches_tracked.add_(1)


class _Normalise(torch.autograd.Function):
    """BatchNorm by the statistics of all processes; returns these too, the biased variance, without gradients."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = (each.double() for each in torch.batch_norm_update_stats(input, None, None, 0.0))
        # In float64 the second moment loses nothing of the variance to the square of the mean.
        mean, second_moment = _average(torch.stack([mean, variance + mean.square()]))
        variance = (second_moment - mean.square()).to(input.dtype)
        mean = mean.to(input.dtype)
        ctx.save_for_backward(input, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(input, mean, variance, weight, bias, eps=eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        input, weight, mean, variance = ctx.saved_tensors
        # As if mean and variance were constants; what flows through them follows, an affine function of the input.
        to_input, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, input, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        count = input.numel() // len(mean)
        scale = -weight * (variance + ctx.eps).rsqrt() / count
        through_variance, through_mean = scale * _average(torch.stack([to_weight, to_bias]))
        to_input += F.batch_norm(input, mean, variance, through_variance, through_mean, eps=ctx.eps)
        return to_input, to_weight, to_bias, None


def _average(values: Tensor) -> Tensor:
    """The average of `values` over all processes, the same bits in each."""
    # Each process sends its values to every other, which takes gloo a third of the time of an all-reduce.
    sent = values.expand(dist.get_world_size(), *values.shape).contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent)
    return received.mean(dim=0)
