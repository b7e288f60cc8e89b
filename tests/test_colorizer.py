import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image

import pretext.colorizer
from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.networks import Backbone, build_network

BINS = AbBins.published()


@pytest.fixture(scope="module")
def colorizer():
    """Random weights, made vivid: what is tested holds for any colours."""
    torch.manual_seed(0)
    network = build_network("eccv16", output=313, width=0.125).eval()
    torch.nn.init.normal_(network.model8[-1].weight, std=2.0)
    return Colorizer(network, BINS, size=64)


@pytest.mark.parametrize("size", [(64, 64), (451, 300), (33, 57), (7, 400), (1, 1), (1000, 3)])
def test_any_size_comes_back_as_it_was(colorizer, size):
    image = Image.fromarray(skimage.data.chelsea()).resize(size)
    assert colorizer(image).size == size


def test_the_lightness_of_the_original_is_kept_to_the_rounding_of_8_bits(colorizer):
    """L of scikit-image. Half a step of 8 bits in each channel moves L by up to 0.5 x (sum of its slopes)."""
    original = skimage.data.chelsea()
    colorized = np.asarray(colorizer(Image.fromarray(original)))
    before, after = (skimage.color.rgb2lab(image) for image in (original, colorized))
    assert np.abs(after[..., 1:]).mean() > 10, "the painting must be colourful for this to mean something"
    assert np.abs(after[..., 0] - before[..., 0]).max() < 0.5


def test_the_colours_do_not_depend_on_those_of_the_input(colorizer):
    photograph = Image.fromarray(skimage.data.coffee())
    lightness = skimage.color.rgb2lab(np.asarray(photograph))[..., :1]
    grey = skimage.color.lab2rgb(np.concatenate([lightness, np.zeros_like(lightness).repeat(2, -1)], -1))
    colorized = [
        np.asarray(colorizer(image), dtype=float)
        for image in (photograph, Image.fromarray((grey * 255).round().astype(np.uint8)))
    ]
    assert np.abs(colorized[0] - colorized[1]).mean() < 1.5  # the grey image's lightness is rounded


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

        def run_stages(self, x):
            raise NotImplementedError

        def forward(self, lightness):
            height, width = lightness.shape[-2:]
            return self.ab.expand(len(lightness), -1, height // 4, width // 4)

    ab = Colorizer(Constant(), None).predict_ab(torch.full((1, 1, 16, 16), 50.0))
    torch.testing.assert_close(ab, torch.tensor([22.0, -11.0])[None, :, None, None].expand(1, -1, 16, 16))


@pytest.mark.parametrize("size", [(451, 300), (1, 90), (90, 1), (300, 3), (57, 40)])
def test_strip_by_strip_a_picture_is_as_in_one(colorizer, size, monkeypatch):
    """As the whole is at once for the report, but for what rounding adds to values next to a half."""
    monkeypatch.setattr("pretext.colorizer.STRIP_PIXELS", 7 * 57)  # 7 rows of the last size, and 5 in the end
    image = Image.fromarray(skimage.data.chelsea()).resize(size)
    lightness = rgb_to_lab(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255)[:, :1]
    whole = colorizer.colorize(lightness, colorizer.network_output(lightness))[0].permute(1, 2, 0).numpy()
    difference = np.abs(np.asarray(colorizer(image), dtype=int) - whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_a_large_picture_takes_no_more_memory_than_a_strip(colorizer, monkeypatch):
    """Beside the picture, its result, and the columns that the network sees."""
    monkeypatch.setattr("pretext.colorizer.STRIP_PIXELS", 2000)
    converted = []

    def counted(convert):
        def count(image):
            converted.append(image[..., :1, :, :].numel())
            return convert(image)

        return count

    for name in ("rgb_to_lab", "fit_chroma_to_gamut", "lab_to_rgb"):
        monkeypatch.setattr(f"pretext.colorizer.{name}", counted(getattr(pretext.colorizer, name)))
    colorizer(Image.fromarray(skimage.data.chelsea()))
    assert max(converted) <= 2000
    assert sum(converted) == 4 * 300 * 451  # lightness for the network and for the result, and two steps back


def test_transparency_is_kept_and_what_it_hides_is_white_to_the_network(colorizer):
    photograph = Image.fromarray(skimage.data.chelsea())
    faded = photograph.copy()
    faded.putalpha(Image.linear_gradient("L").resize(photograph.size))
    colorized = colorizer(faded)
    assert colorized.getchannel("A").tobytes() == faded.getchannel("A").tobytes()
    before, after = (
        skimage.color.rgb2lab(np.asarray(image)[..., :3])[..., 0] for image in (faded, colorized)
    )
    assert np.abs(after - before).max() < 0.5
    halves = []
    for hidden in ("black", "yellow"):
        half = Image.new("RGB", (64, 64), hidden)
        half.paste(photograph.crop((200, 100, 232, 164)))
        half.putalpha(Image.fromarray(np.repeat(np.uint8([[255], [0]]), 32, axis=0).T.repeat(64, axis=0)))
        halves.append(np.asarray(colorizer(half))[:, :32])
    np.testing.assert_array_equal(*halves)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "at least 1 pixel but is 0"),
        ({"size": -256}, "at least 1 pixel but is -256"),
        ({"temperature": 0.0}, "temperature must be positive but is 0"),
        ({"temperature": float("nan")}, "temperature must be positive but is nan"),
        ({"decoding": "top_k_mean", "top_k": 0}, "between 1 and the number of bins, 313, but is 0"),
        ({"decoding": "top_k_mean", "top_k": 314}, "between 1 and the number of bins, 313, but is 314"),
    ],
)
def test_options_out_of_range_are_errors_before_an_image_is_opened(colorizer, options, message):
    with pytest.raises(ValueError, match=message):
        Colorizer(colorizer.network, BINS, **options)
