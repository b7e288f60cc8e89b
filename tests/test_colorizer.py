import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image

from pretext.color.bins import AbBins
from pretext.colorizer import Colorizer
from pretext.networks import Backbone, build_network

BINS = AbBins.published()


@pytest.fixture(scope="module")
def colorizer():
    """Random weights, made vivid: what is tested holds for any colours."""
    torch.manual_seed(0)
    network = build_network("eccv16", num_bins=313, width=0.125).eval()
    torch.nn.init.normal_(network.model8[-1].weight, std=2.0)
    return Colorizer(network, BINS, size=64)


@pytest.mark.parametrize("size", [(64, 64), (451, 300), (33, 57), (7, 400), (1, 1), (1000, 3)])
def test_any_size_comes_back_as_it_was(colorizer, size):
    image = Image.fromarray(skimage.data.chelsea()).resize(size)
    assert colorizer(image).size == size


def test_the_lightness_of_the_original_is_kept_to_the_rounding_of_8_bits(colorizer):
    """L of scikit-image. Half a step of 8 bits in each channel moves L by up to 0.5 x (sum of its slopes)."""
    original = skimage.data.chelsea()
    painted = np.asarray(colorizer(Image.fromarray(original)))
    before, after = (skimage.color.rgb2lab(image) for image in (original, painted))
    assert np.abs(after[..., 1:]).mean() > 10, "the painting must be colourful for this to mean something"
    assert np.abs(after[..., 0] - before[..., 0]).max() < 0.5


def test_the_colours_do_not_depend_on_those_of_the_input(colorizer):
    photograph = Image.fromarray(skimage.data.coffee())
    lightness = skimage.color.rgb2lab(np.asarray(photograph))[..., :1]
    grey = skimage.color.lab2rgb(np.concatenate([lightness, np.zeros_like(lightness).repeat(2, -1)], -1))
    painted = [
        np.asarray(colorizer(image), dtype=float)
        for image in (photograph, Image.fromarray((grey * 255).round().astype(np.uint8)))
    ]
    assert np.abs(painted[0] - painted[1]).mean() < 1.5  # the grey image's lightness is rounded


def test_the_network_sees_about_the_asked_number_of_pixels_in_the_images_proportions(colorizer):
    for height, width in [(300, 451), (451, 300), (256, 256), (100, 5000)]:
        rows, columns = colorizer.network_size(height, width)
        assert rows % 8 == columns % 8 == 0
        assert rows * columns == pytest.approx(64**2, rel=0.35)


def test_a_regression_network_answers_in_units_of_110():
    class Constant(Backbone):
        output_stride, input_multiple = 4, 8

        def __init__(self):
            super().__init__()
            self.ab = torch.nn.Parameter(torch.tensor([0.2, -0.1])[None, :, None, None])

        def _run_stages(self, lightness):
            raise NotImplementedError

        def _output(self, features, grid):
            raise NotImplementedError

        def forward(self, lightness):
            height, width = lightness.shape[-2:]
            return self.ab.expand(len(lightness), -1, height // 4, width // 4)

    ab = Colorizer(Constant(), None).predict_ab(torch.full((1, 1, 16, 16), 50.0))
    torch.testing.assert_close(ab, torch.tensor([22.0, -11.0])[None, :, None, None].expand(1, -1, 16, 16))
