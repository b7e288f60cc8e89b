"""The objectives against dense formulations, finite differences and hand-made cases."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.color.rebalancing import class_weights
from pretext.color.soft_encoding import soft_encode
from pretext.objective import ClassificationObjective, Losses, RegressionObjective, SparseCrossEntropy

BINS = AbBins.published()


@pytest.fixture(scope="module")
def objective() -> ClassificationObjective:
    return ClassificationObjective(BINS)


@pytest.fixture(scope="module")
def plain_objective() -> ClassificationObjective:
    return ClassificationObjective(BINS, uniform_share=None)


@pytest.fixture(scope="module")
def ab() -> Tensor:
    """Three crops of photographs, the last one without its colour."""
    photos = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    rgb = torch.stack([torch.from_numpy(photo[:256, 100:356]).permute(2, 0, 1) for photo in photos]) / 255
    ab = rgb_to_lab(rgb)[:, 1:, ::16, ::16]
    return ab * torch.tensor([1.0, 1.0, 0.01])[:, None, None, None]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(3, 313, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()


def dense_losses(logits: Tensor, objective: ClassificationObjective, ab: Tensor) -> tuple[Tensor, Tensor]:
    """The released layer's way: all 313 channels of the target, and F.cross_entropy on probabilities."""
    targets = objective.table.encode(ab, objective.sigma)
    target = torch.zeros_like(logits).scatter(1, targets.index, targets.weight)
    per_position = F.cross_entropy(logits, target, reduction="none")
    rarity = objective.weights[target.argmax(dim=1)]
    return (per_position * rarity).mean(dim=(1, 2)), per_position.mean(dim=(1, 2))


def gradient(losses: Losses, logits: Tensor) -> Tensor:
    return torch.autograd.grad(losses.loss.sum(), logits)[0]


def test_losses_and_gradient_are_those_of_dense_cross_entropy(
    objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    losses = objective(logits, ab)
    weighted, unweighted = dense_losses(logits, objective, ab)
    assert losses.coloured.tolist() == [True, True, False]
    torch.testing.assert_close(losses.loss[:2], weighted[:2])
    torch.testing.assert_close(losses.loss_unweighted[:2], unweighted[:2])
    expected = torch.autograd.grad(weighted[:2].sum(), logits)[0]
    torch.testing.assert_close(gradient(losses, logits), expected, atol=1e-7, rtol=1e-4)


def test_the_lookup_table_moves_the_loss_by_less_than_a_thousandth(
    objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    targets = soft_encode(ab, BINS.centres)
    target = torch.zeros_like(logits).scatter(1, targets.index, targets.weight)
    rarity = class_weights(BINS.prior)[targets.index[:, 0]]
    exact = (F.cross_entropy(logits, target, reduction="none") * rarity).mean(dim=(1, 2))
    torch.testing.assert_close(objective(logits, ab).loss[:2], exact[:2], atol=0, rtol=1e-3)


def test_an_image_without_colour_has_loss_and_gradient_exactly_zero(
    objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    losses = objective(logits, ab)
    assert losses.loss[2] == losses.loss_unweighted[2] == 0
    assert (gradient(losses, logits)[2] == 0).all()
    assert (gradient(objective(logits, ab), logits)[:2] != 0).any()


def test_without_rebalancing_both_losses_are_equal(
    plain_objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    losses = plain_objective(logits, ab)
    assert torch.equal(losses.loss, losses.loss_unweighted)


@pytest.mark.parametrize("batch", [1, 9])
def test_the_gradient_passes_gradcheck_in_double_precision(batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 4, 2, 1, generator=generator, dtype=torch.float64).requires_grad_()
    index = torch.rand(batch, 4, 2, 1, generator=generator).argsort(dim=1)[:, :2]
    target = torch.rand(batch, 2, 2, 1, generator=generator, dtype=torch.float64).softmax(dim=1)
    position_weight = torch.rand(batch, 2, 1, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: SparseCrossEntropy.apply(x, index, target, position_weight)[0], logits
    )


def test_bf16_logits_under_autocast_give_the_float32_loss_and_a_bf16_gradient(
    objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    low = logits.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(low, ab)
    assert losses.loss.dtype == torch.float32
    high = low.detach().float().requires_grad_()
    torch.testing.assert_close(losses.loss, objective(high, ab).loss)
    low_gradient = gradient(losses, low)
    assert low_gradient.dtype == torch.bfloat16
    torch.testing.assert_close(
        low_gradient.float(), gradient(objective(high, ab), high), atol=1e-9, rtol=2**-8
    )


def test_channels_last_logits_give_the_same_loss_and_gradient(
    objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    last = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(objective(last, ab).loss, objective(logits, ab).loss)
    torch.testing.assert_close(
        gradient(objective(last, ab), last), gradient(objective(logits, ab), logits), atol=1e-8, rtol=1e-4
    )


# Outside the tests it is one graph; the run-time shape checks break it, and torch warns about its own doing.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_the_compiled_objective_gives_the_same_losses_and_gradient(
    objective: ClassificationObjective, logits: Tensor, ab: Tensor
) -> None:
    compiled = torch.compile(objective, backend="aot_eager")
    losses = compiled(logits, ab)
    torch.testing.assert_close(losses.loss, objective(logits, ab).loss)
    torch.testing.assert_close(gradient(losses, logits), gradient(objective(logits, ab), logits))


@pytest.mark.parametrize("name", ["loss", "loss_unweighted"])
def test_no_constant_distribution_does_better_than_the_constant_answer(
    name: str, objective: ClassificationObjective, ab: Tensor
) -> None:
    statistics = objective.colour_statistics(ab[:1]) + objective.colour_statistics(ab[1:])
    expected = getattr(objective.constant_answer(statistics, statistics), name)

    def loss_of(logits: Tensor) -> float:
        losses = objective(logits[None, :, None, None].expand(3, 313, 16, 16), ab)
        return (getattr(losses, name).sum() / losses.coloured.sum()).item()

    mass = statistics[["loss", "loss_unweighted"].index(name)]
    best = (mass / mass.sum()).float().log().clamp(min=-100)
    assert loss_of(best) == pytest.approx(expected, rel=1e-4)
    nudge = 0.1 * torch.randn(313, generator=torch.Generator().manual_seed(1))
    assert min(loss_of(best + nudge), loss_of(best - nudge)) > expected


def test_regression_is_half_the_squared_distance_in_units_of_110() -> None:
    ab = torch.tensor([[30.0, 40.0], [3.0, 4.0]])[:, :, None, None].expand(2, 2, 4, 4)
    output = torch.zeros(2, 2, 4, 4, requires_grad=True)
    losses = RegressionObjective()(output, ab)
    assert losses.coloured.tolist() == [True, False]
    assert losses.loss.tolist() == pytest.approx([0.5 * (50 / 110) ** 2, 0])
    assert torch.equal(losses.loss_unweighted, losses.loss)
    assert (gradient(losses, output)[1] == 0).all()


def test_the_constant_answer_of_regression_is_the_mean_colour(ab: Tensor) -> None:
    objective = RegressionObjective()
    statistics = objective.colour_statistics(ab[:1]) + objective.colour_statistics(ab[1:])
    mean_colour = ab[:2].mean(dim=(0, 2, 3), keepdim=True) / 110
    expected = objective(mean_colour.expand_as(ab), ab).loss.sum().item() / 2
    answer = objective.constant_answer(statistics, statistics)
    assert answer.loss == answer.loss_unweighted == pytest.approx(expected, rel=1e-5)


def test_an_output_with_other_channels_or_another_grid_is_an_error(
    objective: ClassificationObjective, ab: Tensor
) -> None:
    with pytest.raises(ValueError, match="give the network 313 output channels"):
        objective(torch.zeros(3, 2, 16, 16), ab)
    with pytest.raises(ValueError, match="give the network 2 output channels"):
        RegressionObjective()(torch.zeros(3, 313, 16, 16), ab)


def test_a_constant_answer_learnt_elsewhere_is_that_of_always_giving_its_prior(
    objective: ClassificationObjective, ab: Tensor
) -> None:
    learnt, asked = objective.colour_statistics(ab[:1]), objective.colour_statistics(ab[1:2])
    answer = objective.constant_answer(learnt, asked)
    for mass, name in zip(learnt, ("loss", "loss_unweighted"), strict=True):
        prior = (mass / mass.sum()).float().clamp(min=1e-6)
        losses = objective(prior.log()[None, :, None, None].expand(1, 313, 16, 16), ab[1:2])
        # log_softmax renormalises what the floor of 1e-6 has added.
        assert getattr(answer, name) == pytest.approx(getattr(losses, name).item(), rel=1e-3)
    assert answer.loss > objective.constant_answer(asked, asked).loss


def test_a_regressions_constant_answer_learnt_elsewhere_is_its_mean_colour(ab: Tensor) -> None:
    objective = RegressionObjective()
    learnt, asked = objective.colour_statistics(ab[:1]), objective.colour_statistics(ab[1:2])
    mean_colour = ab[:1].mean(dim=(0, 2, 3), keepdim=True) / 110
    expected = objective(mean_colour.expand(1, 2, 16, 16), ab[1:2]).loss.item()
    assert objective.constant_answer(learnt, asked).loss == pytest.approx(expected, rel=1e-5)
