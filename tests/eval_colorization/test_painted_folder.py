import pytest
from PIL import Image

from eval_colorization.painted_folder import PaintedFolder
from pretext.data.images import BrokenImageError


@pytest.fixture
def folder(tmp_path):
    """Saves pictures of a size under names."""

    def save(*names, size=(60, 40)):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, "teal").save(tmp_path / name)
        return tmp_path

    return save


def test_painted_images_are_found_by_path_and_name_whatever_their_format(folder):
    painted = PaintedFolder(folder("a.png", "b/c.jpg.png", "b/d.jpg"), ["a.jpg", "b/c.jpg", "b/d.jpg"])
    assert painted.painted == ["a.png", "b/c.jpg.png", "b/d.jpg"]
    assert (painted.missing, painted.extra) == ([], [])


def test_an_exact_name_goes_before_one_with_another_extension(folder):
    painted = PaintedFolder(folder("a.jpg", "a.png"), ["a.jpg", "a.png"])
    assert painted.painted == ["a.jpg", "a.png"]


def test_missing_and_extra_images_are_named(folder):
    painted = PaintedFolder(folder("a.png", "z.png"), ["a.jpg", "b.jpg"])
    assert (painted.missing, painted.extra) == (["b.jpg"], ["z.png"])


def test_two_images_for_one_original_are_an_error_that_names_both(folder):
    with pytest.raises(ValueError, match=r"a\.png and a\.webp both match a\.jpg"):
        PaintedFolder(folder("a.png", "a.webp"), ["a.jpg"])


@pytest.mark.parametrize("size", [(60, 40), (30, 20), (61, 41), (120, 80), (32, 32)])
def test_an_image_of_the_original_size_its_proportions_or_the_square_is_taken(folder, size):
    painted = PaintedFolder(folder("a.png", size=size), ["a.jpg"])
    assert painted.open("a.jpg", Image.new("RGB", (60, 40)), 32).size == size


@pytest.mark.parametrize("size", [(40, 60), (60, 60), (33, 33), (60, 44)])
def test_an_image_of_another_shape_is_an_error_that_says_what_was_expected(folder, size):
    painted = PaintedFolder(folder("a.png", size=size), ["a.jpg"])
    with pytest.raises(
        ValueError, match=rf"a\.png has {size[0]} x {size[1]} pixels, its original a\.jpg 60 x 40"
    ):
        painted.open("a.jpg", Image.new("RGB", (60, 40)), 32)


def test_a_broken_painted_image_is_named(folder):
    root = folder("a.png")
    (root / "a.png").write_bytes((root / "a.png").read_bytes()[:50])
    with pytest.raises(BrokenImageError, match=r"a\.png cannot be read"):
        PaintedFolder(root, ["a.jpg"]).open("a.jpg", Image.new("RGB", (60, 40)), 32)


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        PaintedFolder(tmp_path, ["a.jpg"])
    with pytest.raises(ValueError, match="is not a folder"):
        PaintedFolder(tmp_path / "nowhere", ["a.jpg"])


def test_the_fingerprint_changes_with_a_file(folder):
    before = PaintedFolder(folder("a.png"), ["a.jpg"]).fingerprint
    assert PaintedFolder(folder(), ["a.jpg"]).fingerprint == before
    assert PaintedFolder(folder("a.png", size=(30, 20)), ["a.jpg"]).fingerprint != before
