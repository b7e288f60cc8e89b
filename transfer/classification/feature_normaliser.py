"""BatchNorm without affine parameters, between a frozen backbone and the classifiers."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pretext.runtime.distributed import World


class FeatureNormaliser(nn.Module):
    """`nn.BatchNorm2d` without affine parameters, over the readable images of all processes.

    No gradient passes: what comes before is frozen.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, world: World, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self._world, self._eps, self._momentum = world, eps, momentum
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @torch.no_grad()
    def forward(
        self, features: Float[Tensor, "batch channels height width"], readable: Bool[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channels height width"]:
        """In training normalised by the batch, whose statistics are remembered; in evaluation by these."""
        if not self.training:
            return F.batch_norm(features, self.running_mean, self.running_var, eps=self._eps)
        assert readable is not None
        mean, variance, count = self._statistics(features, readable)
        self.running_mean.lerp_(mean, self._momentum)
        self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self._momentum)  # unbiased
        return F.batch_norm(features, mean, variance, eps=self._eps)

    def _statistics(self, features: Tensor, readable: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and biased variance of each channel, and the count of values."""
        # In float64 the second moment loses nothing of the variance to the square of the mean.
        values = features.double() * readable[:, None, None, None]
        count = readable.sum().double() * features[0, 0].numel()
        sums = torch.stack(
            [values.sum((0, 2, 3)), values.square().sum((0, 2, 3)), count.expand(values.shape[1])]
        )
        total, total_of_squares, counts = self._world.sum(sums)
        count = counts[0].clamp(min=1)
        mean = total / count
        variance = (total_of_squares / count - mean.square()).clamp(min=0)
        return mean.float(), variance.float(), count.float()
