"""The losses of colorization against dense formulations, finite differences and hand-made cases."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.color.rebalancing import class_weights
from pretext.color.soft_encoding import NeighbourTable, soft_encode
from pretext.tasks.colorization import Colorization, ColorizationRegression
from pretext.tasks.sparse_cross_entropy import SparseCrossEntropy
from pretext.tasks.task import Losses

BINS = AbBins.published()


@pytest.fixture(scope="module")
def task() -> Colorization:
    return Colorization()


@pytest.fixture(scope="module")
def plain_task() -> Colorization:
    return Colorization(uniform_share=None)


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


def dense_losses(logits: Tensor, task: Colorization, ab: Tensor) -> tuple[Tensor, Tensor]:
    """The released layer's way: all 313 channels of the target, and F.cross_entropy on probabilities."""
    targets = NeighbourTable(BINS.centres).encode(ab)
    target = torch.zeros_like(logits).scatter(1, targets.index, targets.weight)
    per_position = F.cross_entropy(logits, target, reduction="none")
    rarity = class_weights(BINS.prior)[target.argmax(dim=1)]
    return (per_position * rarity).mean(dim=(1, 2)), per_position.mean(dim=(1, 2))


def gradient(losses: Losses, logits: Tensor) -> Tensor:
    return torch.autograd.grad(losses.optimised.sum(), logits)[0]


def test_losses_and_gradient_are_those_of_dense_cross_entropy(
    task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    losses = task.losses(logits, ab)
    weighted, unweighted = dense_losses(logits, task, ab)
    assert losses.counted.tolist() == [True, True, False]
    torch.testing.assert_close(losses.optimised[:2], weighted[:2])
    torch.testing.assert_close(losses.by_name["loss_unweighted"][:2], unweighted[:2])
    expected = torch.autograd.grad(weighted[:2].sum(), logits)[0]
    torch.testing.assert_close(gradient(losses, logits), expected, atol=1e-7, rtol=1e-4)


def test_the_lookup_table_moves_the_loss_by_less_than_a_thousandth(
    task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    targets = soft_encode(ab, BINS.centres)
    target = torch.zeros_like(logits).scatter(1, targets.index, targets.weight)
    rarity = class_weights(BINS.prior)[targets.index[:, 0]]
    exact = (F.cross_entropy(logits, target, reduction="none") * rarity).mean(dim=(1, 2))
    torch.testing.assert_close(task.losses(logits, ab).optimised[:2], exact[:2], atol=0, rtol=1e-3)


def test_an_image_without_colour_has_loss_and_gradient_exactly_zero(
    task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    losses = task.losses(logits, ab)
    assert losses.optimised[2] == losses.by_name["loss_unweighted"][2] == 0
    assert (gradient(losses, logits)[2] == 0).all()
    assert (gradient(task.losses(logits, ab), logits)[:2] != 0).any()


def test_without_rebalancing_both_losses_are_equal(
    plain_task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    losses = plain_task.losses(logits, ab)
    assert torch.equal(losses.optimised, losses.by_name["loss_unweighted"])


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
    task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    low = logits.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        losses = task.losses(low, ab)
    assert losses.optimised.dtype == torch.float32
    high = low.detach().float().requires_grad_()
    torch.testing.assert_close(losses.optimised, task.losses(high, ab).optimised)
    low_gradient = gradient(losses, low)
    assert low_gradient.dtype == torch.bfloat16
    torch.testing.assert_close(
        low_gradient.float(), gradient(task.losses(high, ab), high), atol=1e-9, rtol=2**-8
    )


def test_channels_last_logits_give_the_same_loss_and_gradient(
    task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    last = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(task.losses(last, ab).optimised, task.losses(logits, ab).optimised)
    torch.testing.assert_close(
        gradient(task.losses(last, ab), last), gradient(task.losses(logits, ab), logits), atol=1e-8, rtol=1e-4
    )


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch warns about its own doing
def test_the_compiled_task_gives_the_same_losses_and_gradient(
    task: Colorization, logits: Tensor, ab: Tensor
) -> None:
    compiled = torch.compile(task.losses, backend="aot_eager")
    losses = compiled(logits, ab)
    torch.testing.assert_close(losses.optimised, task.losses(logits, ab).optimised)
    torch.testing.assert_close(gradient(losses, logits), gradient(task.losses(logits, ab), logits))


@pytest.mark.parametrize("name", ["loss", "loss_unweighted"])
def test_no_constant_distribution_does_better_than_the_constant_answer(
    name: str, task: Colorization, ab: Tensor
) -> None:
    statistics = task.statistics(ab[:1]) + task.statistics(ab[1:])
    expected = task.constant_answer(statistics, statistics)[name.replace("loss", "constant_answer")]

    def loss_of(logits: Tensor) -> float:
        losses = task.losses(logits[None, :, None, None].expand(3, 313, 16, 16), ab)
        return (losses.by_name[name].sum() / losses.counted.sum()).item()

    mass = statistics[["loss", "loss_unweighted"].index(name)]
    best = (mass / mass.sum()).float().log().clamp(min=-100)
    assert loss_of(best) == pytest.approx(expected, rel=1e-4)
    nudge = 0.1 * torch.randn(313, generator=torch.Generator().manual_seed(1))
    assert min(loss_of(best + nudge), loss_of(best - nudge)) > expected


def test_regression_is_half_the_squared_distance_in_units_of_110() -> None:
    ab = torch.tensor([[30.0, 40.0], [3.0, 4.0]])[:, :, None, None].expand(2, 2, 4, 4)
    output = torch.zeros(2, 2, 4, 4, requires_grad=True)
    losses = ColorizationRegression().losses(output, ab)
    assert losses.counted.tolist() == [True, False]
    assert losses.optimised.tolist() == pytest.approx([0.5 * (50 / 110) ** 2, 0])
    assert torch.equal(losses.by_name["loss_unweighted"], losses.optimised)
    assert (gradient(losses, output)[1] == 0).all()


def test_the_constant_answer_of_regression_is_the_mean_colour(ab: Tensor) -> None:
    task = ColorizationRegression()
    statistics = task.statistics(ab[:1]) + task.statistics(ab[1:])
    mean_colour = ab[:2].mean(dim=(0, 2, 3), keepdim=True) / 110
    expected = task.losses(mean_colour.expand_as(ab), ab).optimised.sum().item() / 2
    answer = task.constant_answer(statistics, statistics)
    assert (
        answer["constant_answer"] == answer["constant_answer_unweighted"] == pytest.approx(expected, rel=1e-5)
    )


def test_an_output_with_other_channels_or_another_grid_is_an_error(task: Colorization, ab: Tensor) -> None:
    with pytest.raises(ValueError, match="give the network 313 output channels"):
        task.losses(torch.zeros(3, 2, 16, 16), ab)
    with pytest.raises(ValueError, match="give the network 2 output channels"):
        ColorizationRegression().losses(torch.zeros(3, 313, 16, 16), ab)


def test_a_constant_answer_learnt_elsewhere_is_that_of_always_giving_its_prior(
    task: Colorization, ab: Tensor
) -> None:
    learnt, asked = task.statistics(ab[:1]), task.statistics(ab[1:2])
    answer = task.constant_answer(learnt, asked)
    for mass, name in zip(learnt, ("loss", "loss_unweighted"), strict=True):
        prior = (mass / mass.sum()).float().clamp(min=1e-6)
        losses = task.losses(prior.log()[None, :, None, None].expand(1, 313, 16, 16), ab[1:2])
        # log_softmax renormalises what the floor of 1e-6 has added.
        expected = losses.by_name[name].item()
        assert answer[name.replace("loss", "constant_answer")] == pytest.approx(expected, rel=1e-3)
    assert answer["constant_answer"] > task.constant_answer(asked, asked)["constant_answer"]


def test_a_regressions_constant_answer_learnt_elsewhere_is_its_mean_colour(ab: Tensor) -> None:
    task = ColorizationRegression()
    learnt, asked = task.statistics(ab[:1]), task.statistics(ab[1:2])
    mean_colour = ab[:1].mean(dim=(0, 2, 3), keepdim=True) / 110
    expected = task.losses(mean_colour.expand(1, 2, 16, 16), ab[1:2]).optimised.item()
    assert task.constant_answer(learnt, asked)["constant_answer"] == pytest.approx(expected, rel=1e-5)
