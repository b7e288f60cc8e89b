"""Linear classifiers of all stages and learning rates, trained side by side on one forward pass of the backbone."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from pretext.runtime.distributed import World
from transfer.classification import classification_losses
from transfer.features.protocols import LinearProtocol
from transfer.linear_probes.lars import Lars
from transfer.linear_probes.probes import Probe

INITIAL_STD = 0.01  # of the weights; biases start at zero


class FeatureNormaliser(nn.Module):
    """`nn.BatchNorm2d` without affine parameters, over the readable images of all processes.

    It stands between backbone and classifiers. No gradient passes: what comes before is frozen.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, world: World, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self._world, self.eps, self._momentum = world, eps, momentum
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @torch.no_grad()
    def forward(
        self, features: Float[Tensor, "batch channels height width"], readable: Bool[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channels height width"]:
        """In training normalised by the batch, whose statistics are remembered; in evaluation by these."""
        if not self.training:
            return F.batch_norm(features, self.running_mean, self.running_var, eps=self.eps)
        assert readable is not None
        mean, variance, count = self._statistics(features, readable)
        self.running_mean.lerp_(mean, self._momentum)
        self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self._momentum)  # unbiased
        return F.batch_norm(features, mean, variance, eps=self.eps)

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


class StageHeads(nn.Module):
    """The linear classifiers of one stage, one for each learning rate: one matrix product for all of them.

    All start from the same weights, a function of the seed and the stage's name: the result does not depend on which
    other stages and learning rates are trained.
    """

    def __init__(
        self, stage: str, channels: int, grid: int, num_classes: int, num_rates: int, seed: int,
        normaliser: FeatureNormaliser | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normaliser = normaliser
        digest = hashlib.sha256(f"{seed} {stage}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        weight = torch.empty(num_classes, channels * grid**2).normal_(std=INITIAL_STD, generator=generator)
        self.weight = nn.Parameter(weight.repeat(num_rates, 1, 1), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(num_rates, num_classes), requires_grad=False)

    def features(
        self, pooled: Float[Tensor, "batch channels grid grid"], readable: Bool[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch dimensions"]:
        """What the classifiers see."""
        normalised = pooled.float() if self.normaliser is None else self.normaliser(pooled.float(), readable)
        return normalised.flatten(1)

    def forward(self, features: Float[Tensor, "batch dimensions"]) -> Float[Tensor, "batch rates classes"]:
        """Scores (logits) of each learning rate's classifier."""
        logits = F.linear(features, self.weight.flatten(0, 1), self.bias.flatten())
        return logits.unflatten(1, self.bias.shape)

    def differentiate(
        self, features: Float[Tensor, "batch dimensions"], slopes: Float[Tensor, "batch rates classes"]
    ) -> list[Tensor]:
        """The gradients, given those of the logits; written where they were before, since fresh memory is slow."""
        assert self.weight.grad is not None
        assert self.bias.grad is not None
        torch.mm(slopes.flatten(1).T, features, out=self.weight.grad.view(-1, features.shape[1]))
        torch.sum(slopes, 0, out=self.bias.grad)
        return [self.weight.grad, self.bias.grad]


class LinearHeads(nn.Module):
    """The classifiers of all `stages` and `learning_rates`, and the optimiser that trains them.

    Attributes:
        optimizer: with a group of parameters for each learning rate; they are views of the stages' weights.
    """

    def __init__(
        self,
        grids: Mapping[str, tuple[int, int]],
        num_classes: int,
        learning_rates: Sequence[float],
        protocol: LinearProtocol,
        *,
        seed: int,
        world: World,
    ) -> None:
        """`grids`: stage -> channels, and side of the grid that they are pooled to."""
        super().__init__()
        self.stages = list(grids)
        self.learning_rates = list(learning_rates)
        self.num_classes = num_classes
        self._world = world
        self._heads = [
            StageHeads(
                stage,
                channels,
                grid,
                num_classes,
                len(learning_rates),
                seed,
                FeatureNormaliser(channels, world, eps=protocol.batch_norm_eps)
                if protocol.batch_norm
                else None,
            )
            for stage, (channels, grid) in grids.items()
        ]
        self.by_stage = nn.ModuleList(self._heads)
        self.to(world.device)
        groups: list[dict[str, Any]] = [{"params": [], "lr": lr} for lr in learning_rates]
        for parameter in self.parameters():
            parameter.grad = torch.zeros_like(parameter)
            for rate, group in enumerate(groups):
                view = parameter.detach()[rate]
                view.grad = parameter.grad[rate]
                group["params"].append(view)
        self.optimizer: torch.optim.Optimizer
        if protocol.optimizer == "lars":
            self.optimizer = Lars(groups, momentum=protocol.momentum)
        else:
            self.optimizer = torch.optim.SGD(
                groups,
                momentum=protocol.momentum,
                nesterov=protocol.nesterov,
                weight_decay=protocol.weight_decay,
                fused=True,
            )

    @property
    def names(self) -> list[str]:
        """What logs call the classifiers: a stage's, or of several learning rates that of each."""
        if len(self.learning_rates) == 1:
            return self.stages
        return [f"{stage} at lr {lr:g}" for stage in self.stages for lr in self.learning_rates]

    def forward(
        self, pooled: Mapping[str, Tensor], readable: Bool[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch stages rates classes"]:
        """Scores (logits) of all classifiers from the pooled features of all stages; `readable` is for training."""
        return self._scores(self._features(pooled, readable))

    def probe(self, stage: str, lr: float) -> Probe:
        """A copy of one classifier as it is now."""
        head, rate = self._heads[self.stages.index(stage)], self.learning_rates.index(lr)
        normaliser = head.normaliser
        tensors = [head.weight[rate], head.bias[rate]]
        if normaliser is not None:
            tensors += [normaliser.running_mean, (normaliser.running_var + normaliser.eps).sqrt()]
        return Probe(*(tensor.detach().clone() for tensor in tensors))

    def train_step(
        self,
        pooled: Mapping[str, Tensor],
        labels: Shaped[Tensor, "batch *classes"],
        readable: Bool[Tensor, " batch"],
        lr_factor: float,
    ) -> Float[Tensor, "stages rates"]:
        """One step of every classifier with its learning rate times `lr_factor`; this process's sums of the losses.

        Args:
            labels: see `classification_losses`.
            readable: the other images count in nothing but the size of the batch.
        """
        features = self._features(pooled, readable)
        logits = self._scores(features).requires_grad_()
        heads = logits.shape[1:3]
        losses = classification_losses(logits.flatten(0, 2), labels.repeat_interleave(heads.numel(), dim=0))
        sums = (losses.unflatten(0, (-1, *heads)) * readable[:, None, None]).sum(0)
        # Over the batch of all processes, so that their gradients only have to be added.
        (slopes,) = torch.autograd.grad(sums.sum() / (len(labels) * self._world.size), logits)
        for head, seen, slope in zip(self._heads, features, slopes.unbind(1), strict=True):
            for gradient in head.differentiate(seen, slope):
                self._world.sum(gradient)
        for group, lr in zip(self.optimizer.param_groups, self.learning_rates, strict=True):
            group["lr"] = lr * lr_factor
        self.optimizer.step()
        return sums.detach()

    def _features(self, pooled: Mapping[str, Tensor], readable: Tensor | None) -> list[Tensor]:
        heads = zip(self.stages, self._heads, strict=True)
        return [head.features(pooled[stage], readable) for stage, head in heads]

    def _scores(self, features: Sequence[Tensor]) -> Tensor:
        return torch.stack([head(seen) for head, seen in zip(self._heads, features, strict=True)], dim=1)
