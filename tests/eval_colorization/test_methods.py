import numpy as np
import pytest
import torch
from PIL import Image

from eval_colorization.config import MethodConfig
from eval_colorization.images import ImageBatch
from eval_colorization.methods import Canvas, all_decodings, is_grey, open_methods
from pretext.color.lab import rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.pretrained import load_pretrained
from tests.eval_colorization.metrics.photographs import photographs

CPU = torch.device("cpu")


def canvas_of(truth, lenders=None, colorized=None):
    return Canvas(
        ImageBatch(
            positions=np.arange(len(truth)),
            truth=truth,
            lenders=lenders,
            colorized=colorized or {},
            lightness={},
            resized={},
            left_out=[],
        ),
        CPU,
    )


@pytest.fixture(scope="module")
def canvas():
    truth = photographs(64, 64)
    return canvas_of(truth, lenders=truth.roll(1, dims=0), colorized={"other": truth.flip(1)})


def lab(rgb):
    return rgb_to_lab(rgb / 255)


def test_the_truth_is_the_truth(canvas):
    assert torch.equal(open_methods({"truth": MethodConfig()}, CPU)["truth"].colorize(canvas), canvas.truth)


def test_grey_keeps_the_lightness_and_has_no_colour(canvas):
    colorized = open_methods({"grey": MethodConfig()}, CPU)["grey"].colorize(canvas)
    assert torch.equal(colorized, colorized.roll(1, dims=1)), "red, green and blue are equal"
    grey = lab(colorized)
    assert (grey[:, :1] - canvas.lab[:, :1]).abs().max() < 0.5  # the rounding of 8 bits
    assert grey[:, 1:].abs().max() < 0.02


def test_random_colours_are_those_of_the_lender_where_the_gamut_has_them(canvas):
    colorized = lab(open_methods({"random": MethodConfig()}, CPU)["random"].colorize(canvas))
    lent = canvas.lab.roll(1, dims=0)
    assert (colorized[:, :1] - canvas.lab[:, :1]).abs().max() < 1.5
    difference = torch.linalg.vector_norm(colorized[:, 1:] - lent[:, 1:], dim=1)
    assert difference.median() < 1
    lost = torch.linalg.vector_norm(lent[:, 1:], dim=1) - torch.linalg.vector_norm(colorized[:, 1:], dim=1)
    assert (lost[difference > 3] > 0).all(), "a colour may only lose chroma"


def test_a_folder_gives_its_images(canvas, tmp_path):
    method = open_methods({"other": MethodConfig(folder=str(tmp_path))}, CPU)["other"]
    assert torch.equal(method.colorize(canvas), canvas.truth.flip(1))


def test_a_network_colorizes_as_pretext_colorize_does(canvas, run):
    pretrained = load_pretrained(run)
    method = open_methods({"mean": MethodConfig(model=str(run), decoding="mean")}, CPU)["mean"]
    colorizer = Colorizer(pretrained.network, pretrained.bins, size=pretrained.image_size, decoding="mean")
    for truth, colorized in zip(canvas.truth, method.colorize(canvas), strict=True):
        expected = np.asarray(colorizer(Image.fromarray(truth.permute(1, 2, 0).numpy()))).astype(int)
        assert np.abs(colorized.permute(1, 2, 0).numpy() - expected).max() <= 1  # of 255: another batch size


def test_a_network_that_several_methods_decode_looks_at_a_batch_once(canvas, run):
    methods = open_methods(all_decodings(str(run)), CPU)
    assert list(methods) == ["annealed mean", "mean", "mode", "top-5 mean"]
    calls = []
    with methods["mode"].network.colorizer.network.register_forward_hook(lambda *_: calls.append(1)):
        pictures = [method.colorize(canvas) for method in methods.values()]
    assert len(calls) == 1
    assert all(not torch.equal(pictures[0], other) for other in pictures[1:])


def test_a_regression_network_has_one_decoding(regression_run):
    methods = open_methods(all_decodings(str(regression_run)), CPU)
    assert list(methods) == ["regression"]
    assert "regression, predicted at 40 px" in methods["regression"].description
    with pytest.raises(
        ValueError, match="is a regression network, which has no distribution to decode by mode"
    ):
        open_methods({"x": MethodConfig(model=str(regression_run), decoding="mode")}, CPU)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("x", MethodConfig(), "method 'x' needs either a model or a folder"),
        ("x", MethodConfig(model="a", folder="b"), "and not both"),
        ("grey", MethodConfig(folder="b"), "'grey' is the name of a control"),
        ("truth", MethodConfig(model="a"), "'truth' is the name of a control"),
    ],
)
def test_a_method_that_is_neither_network_nor_folder_is_an_error(name, config, message):
    with pytest.raises(ValueError, match=message):
        open_methods({name: config}, CPU)


def test_grey_truths_are_known_also_with_the_noise_of_a_jpeg():
    grey = photographs(32, 32).float().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    noisy = (grey + torch.randint(-1, 2, grey.shape, generator=torch.Generator().manual_seed(0))).clamp(
        0, 255
    )
    assert is_grey(canvas_of(noisy.byte())).all()
    assert not is_grey(canvas_of(photographs(32, 32))).any()
