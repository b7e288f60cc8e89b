"""`colorize_files`: what it keeps of a file, what it says, and what it refuses. The network has random weights."""

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base

import pretext.colorize_files
from pretext.colorize_files import colorize_files
from pretext.config import ColorizeConfig
from pretext.networks import build_network
from pretext.outside import name_of
from pretext.pretrained import Pretrained
from pretext.runtime.command_line import RunFailedError
from pretext.tasks import TASKS, Colorization, ColorizationRegression

with Image.open(Path(skimage.data.__file__).with_name("rocket.jpg")) as rocket:
    ADOBE_RGB = rocket.info["icc_profile"]
PHOTOGRAPH = Image.fromarray(skimage.data.coffee()).resize((96, 64))


def pretrained(task):
    torch.manual_seed(0)
    network = build_network("eccv16", output=task.output, width=0.125).eval()
    return Pretrained(
        network=network,
        task_name=name_of(type(task), TASKS),
        task_args={},
        task_state=task.state(),
        image_size=64,
        step=None,
        config=None,
        sha256="",
        path=Path("some.pth"),
    )


@pytest.fixture(autouse=True)
def _weights(monkeypatch):
    known = {"eccv16-photographs": Colorization(), "regression": ColorizationRegression()}
    monkeypatch.setattr(pretext.colorize_files, "load_pretrained", lambda name: pretrained(known[name]))


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def colorized(path):
    """The file that becomes of `path`, opened."""
    out = path.parent.parent / "out"
    colorize_files(ColorizeConfig(images=[path], out=out))
    image = Image.open(out / path.name)
    image.load()
    return image


def as_shown(image):
    """In sRGB, as a viewer with colour management shows it."""
    profile = io.BytesIO(image.info["icc_profile"])
    return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")


def lightness(image):
    return skimage.color.rgb2lab(np.asarray(image.convert("RGB")))[..., 0]


@pytest.mark.parametrize("name", ["wide.png", "wide.jpg", "wide.tif", "wide.webp"])
def test_a_viewer_shows_the_lightness_of_an_original_in_adobe_rgb(photos, name):
    PHOTOGRAPH.save(photos / name, icc_profile=ADOBE_RGB, quality=100)
    with colorized(photos / name) as result, Image.open(photos / name) as original:
        assert np.abs(lightness(as_shown(result)) - lightness(as_shown(original))).mean() < 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("name", ["cut_out.png", "cut_out.tif", "cut_out.webp"])
def test_transparency_is_kept(photos, name, mode):
    original = PHOTOGRAPH.convert("RGBA")
    original.putalpha(
        Image.linear_gradient("L").resize(original.size).point(lambda level: 255 * (level > 99))
    )
    if mode == "P" and name.endswith("png"):
        original = original.quantize()
    original = original if mode == "P" else original.convert(mode)
    original.save(photos / name, lossless=True)
    with colorized(photos / name) as result, Image.open(photos / name) as stored:
        assert result.mode == "RGBA"
        assert result.getchannel("A").tobytes() == stored.convert("RGBA").getchannel("A").tobytes()


@pytest.mark.parametrize("name", ["scan.png", "scan.jpg", "scan.tif", "scan.bmp"])
def test_the_resolution_is_kept(photos, name):
    PHOTOGRAPH.save(photos / name, dpi=(300, 300))
    with colorized(photos / name) as result:
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("name", ["phone.png", "phone.jpg", "phone.tif", "phone.webp"])
def test_exif_is_kept_but_for_orientation_colour_space_and_thumbnail(photos, name):
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Orientation] = "Maker", 6
    exif[IFD.Exif] = {
        Base.DateTimeOriginal: "2001:02:03 04:05:06",
        Base.ExifImageWidth: 96,
        Base.ExifImageHeight: 64,
        Base.ColorSpace: 65535,
        Base.UserComment: b"ASCII\0\0\0at the sea",
    }
    exif[IFD.GPSInfo] = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (52.0, 31.0, 12.0)}
    content = exif.tobytes()
    if name.endswith("jpg"):  # a second directory, as cameras write it
        thumbnail = b"\0\1\1\3\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
        content = _with_next_directory(content, thumbnail)
    PHOTOGRAPH.save(photos / name, exif=content, dpi=(300, 200))
    with colorized(photos / name) as result:
        kept = result.getexif()
        assert result.size == (64, 96)
        assert (kept[Base.Make], kept.get(Base.Orientation, 1)) == ("Maker", 1)
        assert kept.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2001:02:03 04:05:06"
        assert kept.get_ifd(IFD.Exif)[Base.UserComment] == b"ASCII\0\0\0at the sea"
        size = [kept.get_ifd(IFD.Exif)[tag] for tag in (Base.ExifImageWidth, Base.ExifImageHeight)]
        assert (size, kept.get_ifd(IFD.Exif)[Base.ColorSpace]) == ([64, 96], 1)
        assert kept.get_ifd(IFD.GPSInfo) == {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (52, 31, 12)}
        assert not kept.get_ifd(IFD.IFD1)
        if name.endswith(("png", "jpg")):
            assert result.info["dpi"] == pytest.approx((200, 300), abs=0.01)


def _with_next_directory(exif, directory):
    """EXIF (big-endian, one directory) with another one behind it."""
    start = len(b"Exif\0\0")
    (count,) = (int.from_bytes(exif[start + 8 : start + 10]),)
    link = start + 10 + 12 * count
    return exif[:link] + (len(exif) - start).to_bytes(4) + exif[link + 4 :] + directory + bytes(4)


def test_a_plain_file_gets_nothing_that_it_did_not_have(photos):
    PHOTOGRAPH.save(photos / "plain.png")
    with colorized(photos / "plain.png") as result:
        assert result.mode == "RGB"
        assert not result.info
        assert not result.getexif()


@pytest.mark.parametrize("name", ["book.tif", "film.gif", "film.webp", "film.png"])
def test_of_several_pages_it_says_that_one_was_read(photos, name, capsys):
    PHOTOGRAPH.save(
        photos / name, save_all=True, append_images=[PHOTOGRAPH.rotate(90 * turn) for turn in (1, 2, 3)]
    )
    colorize_files(ColorizeConfig(images=[photos], out=photos.parent / "out"))
    assert f"{photos / name}: 1 of 4 pages was read" in capsys.readouterr().out


def test_a_gain_map_behind_a_photograph_of_a_telephone_is_no_page(photos, capsys):
    PHOTOGRAPH.save(photos / "phone.jpg", "MPO", save_all=True, append_images=[PHOTOGRAPH])
    colorize_files(ColorizeConfig(images=[photos], out=photos.parent / "out"))
    assert "pages" not in capsys.readouterr().out


def test_files_that_are_left_out_of_folders_are_counted_by_extension(photos, capsys):
    PHOTOGRAPH.save(photos / "photo.jpg")
    (photos / "more").mkdir()
    for name in ("a.heic", "more/b.HEIC", "raw.CR2", "clip.mp4", "README", ".DS_Store"):
        (photos / name).touch()
    colorize_files(ColorizeConfig(images=[photos], out=photos.parent / "out"))
    left_out = "left out, as no images that Pillow reads: 2 .heic, 1 "
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("left out"))
    assert line.startswith(left_out)
    assert {*line.removeprefix(left_out[:-2]).split(", ")} == {"1 .cr2", "1 .mp4", "1 without extension"}


@pytest.mark.parametrize("out", [".", "out", "more/out"])
def test_an_output_folder_inside_an_input_folder_is_refused(photos, out):
    PHOTOGRAPH.save(photos / "photo.jpg")
    with pytest.raises(
        ValueError, match="would be colorized again by the next run; give --out a folder outside"
    ):
        colorize_files(ColorizeConfig(images=[photos], out=photos / out))
    assert [file.name for file in photos.iterdir()] == ["photo.jpg"]


def test_an_output_folder_that_an_input_folder_links_to_is_refused(photos):
    out = photos.parent / "out"
    PHOTOGRAPH.save(photos / "photo.jpg")
    colorize_files(ColorizeConfig(images=[photos], out=out))
    (photos / "linked").symlink_to(out)
    with pytest.raises(ValueError, match=r"photo.jpg is a link into .*out"):
        colorize_files(ColorizeConfig(images=[photos], out=out))


def test_an_output_folder_that_is_a_file_is_refused(photos):
    PHOTOGRAPH.save(photos / "photo.jpg")
    with pytest.raises(ValueError, match=r"photo\.jpg is a file; give --out a folder"):
        colorize_files(ColorizeConfig(images=[photos], out=photos / "photo.jpg"))


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ("regression", {"decoding": "mode"}, "no distribution to decode; leave out --decoding"),
        ("regression", {"temperature": 0.5}, "no distribution to decode; leave out --temperature"),
        ("regression", {"top_k": 3}, "no distribution to decode; leave out --top_k"),
        ("eccv16-photographs", {"top_k": 3}, "--top_k has no effect on annealed_mean"),
        (
            "eccv16-photographs",
            {"decoding": "mode", "temperature": 0.5},
            "--temperature has no effect on mode",
        ),
        ("eccv16-photographs", {"size": 0}, "must be at least 1 pixel but is 0"),
    ],
)
def test_options_that_the_network_cannot_follow_are_refused(photos, weights, options, message):
    PHOTOGRAPH.save(photos / "photo.jpg")
    with pytest.raises(ValueError, match=message):
        colorize_files(ColorizeConfig(images=[photos], out=photos.parent / "out", weights=weights, **options))


def test_a_regression_network_colorizes_without_options(photos):
    PHOTOGRAPH.save(photos / "photo.jpg")
    colorize_files(ColorizeConfig(images=[photos], out=photos.parent / "out", weights="regression"))
    assert (photos.parent / "out" / "photo.jpg").exists()


def test_a_picture_that_the_memory_does_not_hold_is_named_and_the_others_go_on(photos, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        PHOTOGRAPH.save(photos / name)
    PHOTOGRAPH.resize((200, 200)).save(photos / "b.png")
    convert = pretext.colorizer.rgb_to_lab

    def allocating(rgb):
        if rgb.shape[-1] == 200:
            torch.empty(2**50)
        return convert(rgb)

    monkeypatch.setattr("pretext.colorizer.rgb_to_lab", allocating)
    out = photos.parent / "out"
    with pytest.raises(RunFailedError, match=r"1 of 3 images .*b.png: not enough memory for it"):
        colorize_files(ColorizeConfig(images=[photos], out=out))
    assert {file.name for file in out.iterdir()} == {"a.png", "c.png"}


def test_an_error_of_the_program_is_not_taken_for_one_of_the_picture(photos, monkeypatch):
    PHOTOGRAPH.save(photos / "photo.jpg")

    def wrong(rgb):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("pretext.colorizer.rgb_to_lab", wrong)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        colorize_files(ColorizeConfig(images=[photos], out=photos.parent / "out"))
