"""BatchNorm over the batch of all processes, so that a training does not depend on how many share it."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let every BatchNorm inside `network` take its training statistics over all processes of the default group.

    Parameters, buffers and their names stay the same objects, so an optimiser built before goes on, and
    checkpoints load either way. Call it with the network on its device, before compiling or wrapping it. On GPUs
    the layers become `nn.SyncBatchNorm`, which runs on GPUs only; on the CPU `SynchronisedBatchNorm2d`.
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


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` on the CPU whose statistics in training are those of the batch of all processes.

    Every process must bring a batch of the same shape. One small collective in forward, one in backward.
    Statistics have the dtype of `weight`, float32, under autocast too. In evaluation, and where there is one
    process, it is `nn.BatchNorm2d`.
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
        mean, variance = _batch_statistics(input, self.weight.dtype)
        self._update_running_statistics(mean, variance, input.numel() // len(mean) * dist.get_world_size())
        return _Normalise.apply(input, self.weight, self.bias, mean, variance, self.eps)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.momentum is not None, "the networks here use an exponential average"
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)  # unbiased


class _Normalise(torch.autograd.Function):
    """Normalise with given statistics, and differentiate as if they were computed here."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(features, weight, mean, variance)
        ctx.eps = eps
        return torch.native_batch_norm(features, weight, bias, mean, variance, False, 0.0, eps)[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, mean, variance = ctx.saved_tensors
        # With g the gradient, and x the features normalised: the layer's own gradients are sums over g x and g.
        # In the weight's dtype: torch 2.14 adds up bfloat16 in channels_last in bfloat16.
        _, weight_gradient, bias_gradient = torch.ops.aten.native_batch_norm_backward(
            gradient.to(weight.dtype),
            features.to(weight.dtype),
            weight,
            mean,
            variance,
            None,
            None,
            False,
            ctx.eps,
            [False, True, True],
        )
        count = features.numel() // len(mean)
        average_gx, average_g = _average(torch.stack([weight_gradient, bias_gradient]) / count)
        # weight / std (g - average of g - x times average of g x), as an affine map of features and g.
        inverse_std = (variance + ctx.eps).rsqrt()
        of_gradient = weight * inverse_std
        of_features = -of_gradient * inverse_std * average_gx
        shift = -of_gradient * average_g - of_features * mean
        features_gradient = torch.addcmul(_by_channel(shift), features, _by_channel(of_features))
        features_gradient.addcmul_(gradient, _by_channel(of_gradient))
        return features_gradient.to(features.dtype), weight_gradient, bias_gradient, None, None, None


def _batch_statistics(features: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel over all processes."""
    # Running statistics, thrown away here, say which dtype to compute in.
    unused = torch.zeros(2, features.shape[1], dtype=dtype)
    mean, variance = torch.batch_norm_update_stats(features.detach(), unused[0], unused[1], 0.0)
    # In float64 the second moment loses nothing of the variance to the square of the mean.
    mean, variance = mean.double(), variance.double()
    mean, second_moment = _average(torch.stack([mean, variance + mean.square()]))
    return mean.to(dtype), (second_moment - mean.square()).to(dtype)


def _average(values: Tensor) -> Tensor:
    """The average over all processes, in place."""
    dist.all_reduce(values)
    return values.div_(dist.get_world_size())


def _by_channel(values: Tensor) -> Tensor:
    return values[:, None, None]
