import unicodedata

import numpy as np
import pytest
import skimage.data
from PIL import Image

from eval_colorization.colorized_folder import ColorizedFolder, match_names
from eval_colorization.squares import SAME_PICTURE
from pretext.colorize_files import plan_outputs
from pretext.images.image_file import BrokenImageError
from tests.eval_colorization.reporting import recoloured

COFFEE = Image.fromarray(skimage.data.coffee()).resize((300, 200))
RECOLOURED = recoloured(COFFEE)
NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture
def folder(tmp_path):
    """Saves pictures of a size under names."""

    def save(*names, size=(60, 40)):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, "teal").save(tmp_path / name)
        return tmp_path

    return save


def matches(originals, colorized):
    return match_names(originals, colorized, set(originals))


def test_an_image_is_matched_by_path_and_name_whatever_its_format():
    originals, colorized = ["a.jpg", "b/a.jpg", "b/d.jpg"], ["a.png", "b/a.webp", "b/d.jpg"]
    assert matches(originals, colorized) == dict(zip(originals, colorized, strict=True))


@pytest.mark.parametrize(
    ("originals", "colorized", "expected"),
    [
        (["a.jpg", "a.png"], ["a.png"], {"a.png": "a.png"}),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"], {"a.jpg": "a.jpg", "a.png": "a.png"}),
        (["a.jpg"], ["a.jpg", "a.png"], {"a.jpg": "a.jpg"}),
        (["a.JPG", "a.png"], ["a.jpg"], {"a.JPG": "a.jpg"}),
        (["a.JPG", "a.jpg"], ["a.jpg"], {"a.jpg": "a.jpg"}),
        (["a.gif", "a.jpg"], ["a.gif.png"], {"a.gif": "a.gif.png"}),
        (["a.jpg", "a.jpg.png"], ["a.jpg.png"], {"a.jpg.png": "a.jpg.png"}),
        (["a/x.jpg", "b/x.jpg"], ["b/x.png"], {"b/x.jpg": "b/x.png"}),
        (["a.jpg"], ["A.jpg"], {}),
        (["v1.2.jpg", "v1.3.jpg"], ["v1.3.png"], {"v1.3.jpg": "v1.3.png"}),
    ],
)
def test_the_image_of_one_original_is_never_taken_for_that_of_another(originals, colorized, expected):
    assert matches(originals, colorized) == expected


@pytest.mark.parametrize(
    ("original", "colorized"),
    [
        (f"{NFD}/{NFC}.jpg", f"{NFC}/{NFD}.jpg"),
        (f"{NFD}.JPG", f"{NFC}.png"),
        (f"{NFC}.gif", f"{NFD}.gif.png"),
    ],
)
def test_a_name_is_one_name_in_both_unicode_forms(original, colorized):
    assert matches([original], [colorized]) == {original: colorized}


def test_two_files_whose_names_differ_in_unicode_form_alone_are_two_if_they_are_for_both():
    names = [f"{NFC}.jpg", f"{NFD}.jpg"]
    assert matches(names, names) == dict(zip(names, names, strict=True))


def test_what_pretext_colorize_writes_is_matched_with_what_it_read(tmp_path):
    names = ["a.JPG", "a.gif", "a.png", "b.ppm", "b.avif", f"{NFD}.bmp"]
    (tmp_path / "originals").mkdir()
    for name in names:
        (tmp_path / "originals" / name).touch()
    targets, _ = plan_outputs([tmp_path / "originals"], tmp_path / "out")
    written = {source.name: target.name for target, source in targets.items()}
    assert len(written) == len(names)
    assert matches(names, list(written.values())) == written


@pytest.mark.parametrize(
    ("originals", "colorized", "message"),
    [
        (["a.jpg"], ["a.png", "a.webp"], r"a\.png and a\.webp both match a\.jpg; keep one"),
        (["a.jpg", "a.bmp"], ["a.png"], r"a\.png matches both a\.jpg and a\.bmp; give it the whole name"),
        (["a.png"], [f"{NFC}.png", f"{NFD}.png", "a.png"], None),
        ([f"{NFC}.jpg"], [f"{NFC}.png", f"{NFD}.png"], r"'caf\\xe9\.png' and 'cafe\\u0301\.png' both match"),
    ],
)
def test_names_that_match_more_than_one_way_are_an_error_that_names_both(originals, colorized, message):
    if message is None:
        assert matches(originals, colorized) == {"a.png": "a.png"}
        return
    with pytest.raises(ValueError, match=message):
        matches(originals, colorized)


def test_originals_that_are_not_measured_keep_their_images_and_are_no_reason_for_an_error(folder):
    root = folder("a.png", "b.webp", "c.png")
    colorized = ColorizedFolder(root, ["a.jpg", "a.png", "b.jpg", "b.png", "c.jpg"], ["a.jpg", "c.jpg"])
    assert (colorized.colorized, colorized.missing) == (["c.png"], ["a.jpg"])


def test_missing_and_extra_images_are_named(folder):
    colorized = ColorizedFolder(folder("a.png", "z.png"), ["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"])
    assert (colorized.missing, colorized.extra) == (["b.jpg"], ["z.png"])


def opened(tmp_path, image, protocol="central_crop", truth=COFFEE):
    image.save(tmp_path / "a.png")
    return ColorizedFolder(tmp_path, ["a.jpg"], ["a.jpg"]).open("a.jpg", truth, protocol)


@pytest.mark.parametrize("protocol", ["central_crop", "resize"])
@pytest.mark.parametrize("size", [(300, 200), (150, 100), (301, 201), (600, 400)])
def test_a_whole_image_of_the_original_proportions_is_taken(tmp_path, size, protocol):
    image, correlation = opened(tmp_path, RECOLOURED.resize(size), protocol)
    assert image.size == size
    assert correlation > 0.99


@pytest.mark.parametrize("size", [(200, 300), (300, 210)])
def test_an_image_of_another_shape_is_an_error_that_says_what_was_expected(tmp_path, size):
    with pytest.raises(
        ValueError, match=rf"a\.png has {size[0]} x {size[1]} pixels, its original a\.jpg 300 x 200"
    ):
        opened(tmp_path, COFFEE.resize(size))


SQUARES = {"central_crop": (50, 0, 250, 200), "resize": (0, 0, 300, 200)}
OTHER = {"central_crop": "resize", "resize": "central_crop"}


@pytest.mark.parametrize("protocol", SQUARES)
@pytest.mark.parametrize("side", [32, 96, 256, 512])
def test_a_square_of_any_size_is_taken_if_it_is_that_of_the_protocol(tmp_path, side, protocol):
    image, correlation = opened(tmp_path, RECOLOURED.resize((side, side), box=SQUARES[protocol]), protocol)
    assert image.size == (side, side)
    assert correlation > 0.98


@pytest.mark.parametrize("side", [32, 96, 256, 512])
@pytest.mark.parametrize(
    ("protocol", "looks_like"),
    [("central_crop", "the whole photograph squeezed into a square"), ("resize", "the central square")],
)
def test_the_square_of_the_other_protocol_is_an_error_that_names_it(tmp_path, side, protocol, looks_like):
    square = RECOLOURED.resize((side, side), box=SQUARES[OTHER[protocol]])
    with pytest.raises(
        ValueError,
        match=rf"a\.png looks like {looks_like} \(its original a\.jpg .*set protocol: {OTHER[protocol]}$",
    ):
        opened(tmp_path, square, protocol)


@pytest.mark.parametrize("size", [(500, 400), (440, 400), (421, 400), (400, 500), (400, 711)])
def test_the_protocols_are_told_apart_even_where_the_original_is_nearly_square(tmp_path, size):
    """By the differences that 4 % of the side make, in a file that JPEG at quality 50 has damaged."""
    truth = Image.fromarray(skimage.data.astronaut()).resize(size)
    recoloured(truth).resize((256, 256)).save(tmp_path / "a.jpg", quality=50)
    colorized = ColorizedFolder(tmp_path, ["a.jpg"], ["a.jpg"])
    assert colorized.open("a.jpg", truth, "resize")[1] > 0.99
    with pytest.raises(ValueError, match="set protocol: resize"):
        colorized.open("a.jpg", truth, "central_crop")


@pytest.mark.parametrize("protocol", SQUARES)
def test_a_square_of_another_photograph_has_another_lightness_under_either_protocol(tmp_path, protocol):
    other = Image.fromarray(skimage.data.chelsea()).resize((256, 256))
    assert opened(tmp_path, other, protocol)[1] < SAME_PICTURE


def test_a_picture_with_alpha_in_grey_or_with_16_bits_is_compared_as_what_it_shows(tmp_path):
    """Opaque alpha changes nothing; grey is a colorization too; 16-bit grey is read in its nominal range."""
    grey = COFFEE.convert("L")
    deep = Image.fromarray(257 * np.asarray(grey, np.uint16))
    for image in (COFFEE.convert("RGBA"), grey, deep):
        assert opened(tmp_path, image)[1] > 0.95


def test_a_picture_is_compared_with_its_original_as_viewers_turn_it(tmp_path):
    """EXIF orientation 6: the stored rows are the columns of what is seen."""
    exif = Image.Exif()
    exif[274] = 6
    turned = COFFEE.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "a.jpg", exif=exif, quality=95)
    colorized = ColorizedFolder(tmp_path, ["a.jpg"], ["a.jpg"])
    assert colorized.open("a.jpg", COFFEE, "central_crop")[1] > 0.99
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"has 200 x 300 pixels, its original a\.jpg 300 x 200"):
        opened(tmp_path, turned)


def test_a_broken_colorized_image_is_named(folder):
    root = folder("a.png")
    (root / "a.png").write_bytes((root / "a.png").read_bytes()[:50])
    with pytest.raises(BrokenImageError, match=r"a\.png cannot be read"):
        ColorizedFolder(root, ["a.jpg"], ["a.jpg"]).open("a.jpg", Image.new("RGB", (60, 40)), "central_crop")


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        ColorizedFolder(tmp_path, ["a.jpg"], ["a.jpg"])
    with pytest.raises(ValueError, match="is not a folder"):
        ColorizedFolder(tmp_path / "nowhere", ["a.jpg"], ["a.jpg"])


def test_the_fingerprint_changes_with_a_file(folder):
    def fingerprint(root):
        return ColorizedFolder(root, ["a.jpg"], ["a.jpg"]).fingerprint

    before = fingerprint(folder("a.png"))
    assert fingerprint(folder()) == before
    assert fingerprint(folder("a.png", size=(30, 20))) != before
