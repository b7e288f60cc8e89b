import numpy as np
import pytest
import torch

from eval_colorization.distribution import TEMPERATURES, DistributionStatistics, network_result
from eval_colorization.measure import to_host
from eval_colorization.methods import DecodedNetwork
from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.pretrained import load_pretrained
from tests.eval_colorization.metrics.photographs import photographs
from tests.eval_colorization.test_methods import CPU, canvas_of

SIZE = 64


class Answers(DecodedNetwork):
    """A network whose logits are given."""

    def __init__(self, pretrained, logits_of):
        super().__init__(**trained_network(pretrained))
        object.__setattr__(self, "logits_of", logits_of)  # the class is frozen

    def output(self, canvas):
        stride = self.colorizer.network.output_stride
        return self.logits_of(canvas.lab[:, 1:, ::stride, ::stride])


def trained_network(pretrained):
    """The arguments of a DecodedNetwork."""
    colorizer = Colorizer(pretrained.network, pretrained.bins, size=SIZE)
    return {"colorizer": colorizer, "name": "run", "weights": pretrained.sha256, "origin": None}


@pytest.fixture(scope="module")
def canvas():
    return canvas_of(photographs(SIZE, SIZE))


def result(trained, canvas):
    per_image, sums = DistributionStatistics(trained, CPU, AbBins.published()).measure(canvas)
    return per_image, network_result("run", ["method"], to_host(sums))


def test_the_cross_entropy_is_the_unweighted_loss_of_training(canvas, run):
    pretrained = load_pretrained(run)
    per_image, _ = result(DecodedNetwork(**trained_network(pretrained)), canvas)
    lab = rgb_to_lab(canvas.truth / 255)
    stride = pretrained.network.output_stride
    losses = pretrained.task.losses(pretrained.network(lab[:, :1]), lab[:, 1:, ::stride, ::stride])
    np.testing.assert_allclose(per_image, losses.by_name["loss_unweighted"].detach(), rtol=1e-5)


def test_an_answer_without_knowledge_costs_the_logarithm_of_the_number_of_bins(canvas, run):
    trained = Answers(load_pretrained(run), lambda ab: ab.new_zeros(len(ab), 313, *ab.shape[2:]))
    per_image, found = result(trained, canvas)
    np.testing.assert_allclose(per_image, np.log(313), rtol=1e-5)
    chroma = [point.mean_chroma for point in found.sweep]
    assert chroma == pytest.approx([chroma[0]] * len(TEMPERATURES)), "a flat distribution has one mean"


def test_the_right_bin_everywhere_is_perfectly_calibrated_and_within_half_a_bin(canvas, run):
    """A bin's half diagonal is 7.1 ab units."""

    def right(ab):
        distance = torch.cdist(ab.permute(0, 2, 3, 1), AbBins.published().centres)
        return 1000.0 * torch.nn.functional.one_hot(distance.argmin(dim=-1), 313).permute(0, 3, 1, 2)

    _, found = result(Answers(load_pretrained(run), right), canvas)
    assert found.calibration_error == pytest.approx(0, abs=2e-3)
    assert found.accuracy[-1] == pytest.approx(1, abs=2e-3)  # the table of bins errs near their borders
    for point in found.sweep:
        assert point.ab_rmse < 7.1
        assert point.mean_chroma == pytest.approx(found.truth_mean_chroma, abs=2)
        assert point.auc > 96


def test_calibration_is_that_of_a_constructed_answer(canvas, run):
    """Always the same bin with probability 0.62: the error is |share of positions where it is right - 0.62|."""

    def always(ab):
        logits = torch.full((len(ab), 313, *ab.shape[2:]), float(np.log(0.38 / 312)))
        logits[:, 112] = float(np.log(0.62))
        return logits

    _, found = result(Answers(load_pretrained(run), always), canvas)
    cell = int(0.62 * 15)
    assert found.count[cell] == found.count.sum() == 4 * (SIZE // 4) ** 2
    assert found.confidence[cell] == pytest.approx(0.62, abs=1e-4)
    nearest = torch.cdist(canvas.lab[:, 1:, ::4, ::4].permute(0, 2, 3, 1), AbBins.published().centres).argmin(
        -1
    )
    assert found.accuracy[cell] == pytest.approx((nearest == 112).float().mean().item(), abs=0.01)
    assert found.calibration_error == pytest.approx(abs(found.accuracy[cell] - 0.62), abs=1e-4)


def test_a_lower_temperature_is_more_vivid(canvas, run):
    trained = DecodedNetwork(**trained_network(load_pretrained(run)))
    output = trained.output

    class Sharper(DecodedNetwork):
        def output(self, canvas):
            noise = torch.randn(4, 313, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(0))
            return output(canvas) + 3 * noise

    _, found = result(Sharper(**trained_network(load_pretrained(run))), canvas)
    chroma = [point.mean_chroma for point in found.sweep]
    assert chroma == sorted(chroma, reverse=True)
    assert [point.temperature for point in found.sweep] == sorted(TEMPERATURES)
