"""On the photographs inside scikit-image and scikit-learn."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps
from scipy.stats import pearsonr
from skimage.color import rgb2lab
from sklearn.datasets import load_sample_image

from eval_colorization.squares import SAME_PICTURE, lightness_correlation, lightness_grid
from tests.eval_colorization.reporting import recoloured

Transpose = Image.Transpose


def photographs():
    pixels = {name: getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")}
    pixels |= {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    return {name: Image.fromarray(np.ascontiguousarray(array)) for name, array in pixels.items()}


PHOTOGRAPHS = photographs()
NEXT = dict(zip(PHOTOGRAPHS, [*list(PHOTOGRAPHS)[1:], "astronaut"], strict=True))


@pytest.fixture(params=PHOTOGRAPHS)
def name(request):
    return request.param


def correlation(one, other):
    return lightness_correlation(lightness_grid(one), lightness_grid(other))


def as_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def in_yuv(image, colours):
    """The luma of one picture with the chroma of another."""
    luma = image.convert("YCbCr").getchannel("Y")
    _, *chroma = colours.resize(image.size).convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, *chroma)).convert("RGB")


def test_a_grid_is_scikit_images_lightness_of_the_mean_colours():
    image = PHOTOGRAPHS["chelsea"].crop((0, 0, 160, 96))
    means = np.asarray(image, float).reshape(16, 6, 16, 10, 3).mean(axis=(1, 3))
    grid = lightness_grid(image).reshape(16, 16).numpy()
    np.testing.assert_allclose(
        grid, rgb2lab(means / 255)[..., 0], atol=0.3
    )  # the means are rounded to 8 bits


def test_the_correlation_is_pearsons():
    one, other = (lightness_grid(PHOTOGRAPHS[name]) for name in ("coffee", "rocket"))
    assert lightness_correlation(one, other) == pytest.approx(pearsonr(one, other).statistic, abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda image, _: as_jpeg(image, 50),
        lambda image, _: image.resize((image.width // 4, image.height // 4)),
        lambda image, _: image.resize((image.width * 2, image.height * 2)),
        lambda image, _: image.crop((1, 1, image.width, image.height)),
        lambda image, _: image.convert("L").convert("RGB"),
        lambda image, _: image.point([round(255 * (value / 255) ** 0.7) for value in range(256)] * 3),
        lambda image, _: image.point([64 + value // 2 for value in range(256)] * 3),
        lambda image, _: recoloured(image),
        in_yuv,
        lambda image, other: as_jpeg(in_yuv(image, other).resize((image.width // 2, image.height // 2)), 30),
    ],
    ids=[
        "JPEG",
        "reduced",
        "enlarged",
        "cropped by 1",
        "grey",
        "gamma",
        "contrast",
        "ab",
        "YUV",
        "everything",
    ],
)
def test_whatever_a_colorization_or_its_file_may_do_keeps_the_lightness(name, change):
    image = PHOTOGRAPHS[name]
    assert correlation(image, change(image, PHOTOGRAPHS[NEXT[name]])) > SAME_PICTURE


@pytest.mark.parametrize(
    "change",
    [
        lambda image, other: other.resize(image.size),
        lambda image, _: image.transpose(Transpose.FLIP_LEFT_RIGHT),
        lambda image, _: image.transpose(Transpose.ROTATE_180),
        lambda image, _: ImageOps.invert(image),
        lambda image, _: Image.new("RGB", image.size),
    ],
    ids=["another photograph", "mirrored", "turned", "negative", "black"],
)
def test_a_picture_that_is_not_a_colorization_has_another_lightness(name, change):
    image = PHOTOGRAPHS[name]
    assert correlation(image, change(image, PHOTOGRAPHS[NEXT[name]])) < SAME_PICTURE


def test_flat_pictures_agree_but_not_with_one_that_is_not():
    fog, noise = Image.new("RGB", (64, 48), (200, 205, 210)), Image.effect_noise((64, 48), 9).convert("RGB")
    assert correlation(fog, fog) == correlation(fog, noise) == 1
    assert correlation(fog, PHOTOGRAPHS["coffee"]) == correlation(PHOTOGRAPHS["coffee"], fog) == 0
