"""What training minimises: rebalanced classification of ab bins, or L2 regression on ab.

Both objectives are called as `objective(output, ab)` on the output's own grid and answer with per-image
losses. Both also know the loss of a constant answer (one distribution or colour for every pixel of every
image), which is what a network that ignores its input can reach: sum `colour_statistics` over the images to
learn from and over those to answer, then ask `constant_answer`.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pretext.color.bins import AbBins
from pretext.color.rebalancing import class_weights
from pretext.color.soft_encoding import NeighbourTable, SoftTargets
from pretext.networks.backbone import AB_SCALE

GREY_LIMIT = 5.0


class Losses(NamedTuple):
    """Per image: the loss that is optimised, the same without class weights, and whether the image counts.

    Losses are means over positions. An image without colour has loss and gradient exactly 0.
    """

    loss: Float[Tensor, "batch"]
    loss_unweighted: Float[Tensor, "batch"]
    coloured: Bool[Tensor, "batch"]


class ConstantAnswer(NamedTuple):
    """Mean losses over the coloured images if every pixel gets the same answer (NaN without images)."""

    loss: float
    loss_unweighted: float


class ClassificationObjective(nn.Module):
    """Cross-entropy with soft-encoded ab, each position weighted by the rarity of its nearest bin.

    Paper, equations 2 to 4. `neighbours` and `sigma` (ab units) shape the soft targets; `uniform_share` is
    the paper's lambda, None leaves every position's weight at 1.
    """

    centres: Float[Tensor, "bins 2"]
    weights: Float[Tensor, "bins"]

    def __init__(
        self, bins: AbBins, neighbours: int = 5, sigma: float = 5.0, uniform_share: float | None = 0.5
    ) -> None:
        super().__init__()
        plain = torch.ones_like(bins.prior)
        weights = plain if uniform_share is None else class_weights(bins.prior, uniform_share)
        self.register_buffer("weights", weights, persistent=False)
        self.table = NeighbourTable(bins.centres, neighbours)
        self.sigma = sigma

    def forward(
        self, logits: Float[Tensor, "batch bins height width"], ab: Float[Tensor, "batch 2 height width"]
    ) -> Losses:
        """Losses in nats per position, for logits of any float type and `ab` in ab units.

        Raises ValueError if the logits do not fit the bins or the grid of `ab`.
        """
        _check_shape(logits, ab, channels=len(self.weights))
        coloured = is_coloured(ab)
        targets = self.table.encode(ab, self.sigma)
        rarity = self._rarity(targets) * coloured[:, None, None]
        loss, per_position = SparseCrossEntropy.apply(logits, targets.index, targets.weight, rarity)
        return Losses(loss, per_position.mean(dim=(1, 2)) * coloured, coloured)

    def _rarity(self, targets: SoftTargets) -> Float[Tensor, "batch height width"]:
        # The likeliest bin, not neighbour 0: the table orders by the distance to the cell, not to the colour.
        nearest = targets.index.gather(1, targets.weight.argmax(dim=1, keepdim=True))
        return self.weights[nearest[:, 0]]

    def colour_statistics(self, ab: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "2 bins"]:
        """The target mass of each bin over the coloured images, with and without class weights (float64)."""
        targets = self.table.encode(ab, self.sigma)
        mass = targets.weight.double() * is_coloured(ab)[:, None, None, None]
        empty = mass.new_zeros(len(self.weights))
        index = targets.index.flatten()
        weighted = mass * self._rarity(targets)[:, None]
        return torch.stack([empty.scatter_add(0, index, part.flatten()) for part in (weighted, mass)])

    def constant_answer(
        self, learnt: Float[Tensor, "2 bins"], asked: Float[Tensor, "2 bins"]
    ) -> ConstantAnswer:
        """The losses on `asked` of the distributions that are best for `learnt`, both summed statistics.

        A bin that `learnt` has never seen is answered with probability 1e-6.
        """
        # The unweighted mass of a position is 1, so that its sum is the number of positions.
        num_positions = asked[1].sum()
        answers = (learnt / learnt.sum(dim=1, keepdim=True)).clamp_min(1e-6).log()
        loss, loss_unweighted = (-(asked * answers).sum(dim=1) / num_positions).tolist()
        return ConstantAnswer(loss, loss_unweighted)


class RegressionObjective(nn.Module):
    """Half the squared Euclidean distance between predicted and true ab, in units of 110 (paper, equation 1)."""

    def forward(
        self, output: Float[Tensor, "batch channels height width"], ab: Float[Tensor, "batch 2 height width"]
    ) -> Losses:
        """Losses for `output` in ab / 110 and `ab` in ab units; there are no class weights to leave out.

        Raises ValueError if the output does not fit the grid of `ab`.
        """
        _check_shape(output, ab, channels=2)
        coloured = is_coloured(ab)
        distance = 0.5 * (output.float() - ab.float() / AB_SCALE).square().sum(dim=1)
        loss = distance.mean(dim=(1, 2)) * coloured
        return Losses(loss, loss.detach(), coloured)

    def colour_statistics(self, ab: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "4"]:
        """Over the coloured images (float64): the number of positions, the sums of a, of b, and of a² + b²."""
        colours = (ab[is_coloured(ab)].double() / AB_SCALE).transpose(0, 1).flatten(1)
        count = colours.new_full((1,), colours.shape[1])
        return torch.cat([count, colours.sum(dim=1), colours.square().sum()[None]])

    def constant_answer(self, learnt: Float[Tensor, "4"], asked: Float[Tensor, "4"]) -> ConstantAnswer:
        """The loss on `asked` of answering everywhere the mean colour of `learnt`, both summed statistics."""
        answer = learnt[1:3] / learnt[0]
        mean_colour, mean_square = asked[1:3] / asked[0], asked[3] / asked[0]
        loss = 0.5 * (mean_square - 2 * (answer * mean_colour).sum() + answer.square().sum()).item()
        return ConstantAnswer(loss, loss)


Objective = ClassificationObjective | RegressionObjective


class SparseCrossEntropy(torch.autograd.Function):
    """Cross-entropy of dense logits with sparse soft targets, in little memory.

    Nothing as large as the logits exists but their gradient: both passes go over the batch in pieces of at
    most an eighth, in float32 (float64 stays), and the backward pass writes the gradient in place. Returns the
    weighted loss of each image, the mean over positions of weight x cross-entropy, and the unweighted
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
        ctx.save_for_backward(logits, index, target, position_weight)
        log_probability = torch.cat(
            [
                x.log_softmax(dim=1, dtype=_accumulation_type(x)).gather(1, i)
                for x, i in _pieces(logits, index)
            ]
        )
        per_position = -(log_probability * target).sum(dim=1)
        ctx.mark_non_differentiable(per_position)
        return (per_position * position_weight).mean(dim=(1, 2)), per_position

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        logits, index, target, position_weight = ctx.saved_tensors
        scale = (position_weight * (grad_loss / position_weight[0].numel())[:, None, None])[:, None]
        gradient = torch.empty_like(logits)
        for piece in _pieces(gradient, logits, scale, index, target * scale):
            _write_gradient(*piece)
        return gradient, None, None, None


def _write_gradient(out: Tensor, logits: Tensor, scale: Tensor, index: Tensor, scaled_target: Tensor) -> None:
    """d/dx_q of -sum_k t_k log softmax(x)_k is softmax(x)_q - t_q, as the targets sum to 1; here times scale."""
    precise = _accumulation_type(logits)
    dense = out if out.dtype == precise else torch.empty_like(out, dtype=precise)
    torch.softmax(logits, dim=1, dtype=precise, out=dense).mul_(scale)
    dense.scatter_add_(1, index, -scaled_target.to(precise))
    if dense is not out:
        out.copy_(dense)


def _pieces(*tensors: Tensor) -> "zip[tuple[Tensor, ...]]":
    size = -(-len(tensors[0]) // 8)
    return zip(*(tensor.split(size) for tensor in tensors), strict=True)


def _accumulation_type(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


def is_coloured(ab: Float[Tensor, "batch 2 height width"]) -> Bool[Tensor, "batch"]:
    """Whether a or b of any pixel is more than GREY_LIMIT from grey, for each image."""
    return ab.abs().amax(dim=(1, 2, 3)) > GREY_LIMIT


def _check_shape(output: Tensor, ab: Tensor, channels: int) -> None:
    expected = (len(ab), channels, *ab.shape[2:])
    if tuple(output.shape) != expected:
        raise ValueError(
            f"this objective expects an output of shape {expected} (images, channels and the grid of ab) but "
            f"got {tuple(output.shape)}: give the network {channels} output channels and sub-sample ab to its grid"
        )
