"""Decoding against its limits and the plain formula."""

import pytest
import torch
from torch import Tensor

from pretext.color.bins import published_grid
from pretext.color.decoding import annealed_mean, mode, top_k_mean

CENTRES = published_grid()


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(2, 313, 5, 7, generator=torch.Generator().manual_seed(0))


def close(colour: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(colour, expected, atol=1e-4, rtol=1e-5)  # of colours of up to 100 units


def expectation(probabilities: Tensor) -> Tensor:
    return torch.einsum("bqhw,qc->bchw", probabilities, CENTRES)


def test_the_annealed_mean_is_the_expectation_of_the_tempered_softmax(logits: Tensor) -> None:
    close(annealed_mean(logits, CENTRES), expectation((logits / 0.38).softmax(1)))


def test_temperature_1_is_the_mean(logits: Tensor) -> None:
    close(annealed_mean(logits, CENTRES, 1.0), expectation(logits.softmax(1)))


@pytest.mark.parametrize("temperature", [1e-4, 1e-30])
def test_temperature_towards_0_becomes_the_mode(logits: Tensor, temperature: float) -> None:
    close(annealed_mean(logits, CENTRES, temperature), mode(logits, CENTRES))


def test_the_mode_is_the_centre_of_the_likeliest_bin(logits: Tensor) -> None:
    assert mode(logits, CENTRES)[1, :, 2, 3].tolist() == CENTRES[logits[1, :, 2, 3].argmax()].tolist()


def test_the_top_k_mean_runs_from_the_mode_to_the_mean(logits: Tensor) -> None:
    close(top_k_mean(logits, CENTRES, 1), mode(logits, CENTRES))
    close(top_k_mean(logits, CENTRES, 313), annealed_mean(logits, CENTRES, 1.0))


def test_the_top_k_mean_renormalises_the_kept_bins(logits: Tensor) -> None:
    probabilities = logits.softmax(1)
    kept = probabilities >= probabilities.topk(3, dim=1).values[:, 2:]
    expected = expectation(probabilities * kept) / (probabilities * kept).sum(1, keepdim=True)
    close(top_k_mean(logits, CENTRES, 3), expected)


def test_decoding_under_autocast_and_of_bf16_logits_is_in_float32(logits: Tensor) -> None:
    expected = annealed_mean(logits.bfloat16().float(), CENTRES)
    with torch.autocast("cpu", torch.bfloat16):
        colour = annealed_mean(logits.bfloat16(), CENTRES)
    assert colour.dtype == torch.float32
    close(colour, expected)


def test_the_annealed_mean_does_not_alter_the_logits_and_has_their_gradient(logits: Tensor) -> None:
    before = logits.clone()
    logits.requires_grad_()
    annealed_mean(logits, CENTRES).square().sum().backward()
    reference = before.double().requires_grad_()
    probabilities = (reference / 0.38).softmax(1)
    torch.einsum("bqhw,qc->bchw", probabilities, CENTRES.double()).square().sum().backward()
    assert torch.equal(logits.detach(), before)
    assert logits.grad is not None
    assert reference.grad is not None
    torch.testing.assert_close(
        logits.grad.double(), reference.grad, atol=1e-5 * reference.grad.abs().max().item(), rtol=0
    )
