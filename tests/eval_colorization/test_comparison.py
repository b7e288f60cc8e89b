"""Folders of other systems in a report: by which protocol they are measured, and which cannot be compared."""

import numpy as np
import pytest
import skimage.color
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from torchvision import transforms

from tests.eval_colorization.reporting import SIDE, colorize_photos, options, pale, read, rows


def squares(photos, out, cut, change=pale):
    """A folder of another system that cut every photograph to a square first."""
    colorize_photos(photos, out, change)
    for file in out.rglob("*.png"):
        with Image.open(file) as picture:
            square = cut(picture)
        square.save(file)
    return out


CUTS = {
    "central_crop": transforms.Compose([transforms.CenterCrop(100), transforms.Resize((SIDE, SIDE))]),
    "resize": transforms.Resize((SIDE, SIDE)),
}


@pytest.mark.parametrize("protocol", CUTS)
def test_whole_images_and_squares_are_measured_by_the_protocol(evaluate, photos, tmp_path, protocol):
    """As torchvision cuts and scikit-image measures them; torchvision alone resamples a crop without its surround."""
    cut = CUTS[protocol]
    folders = {
        "whole": colorize_photos(photos, tmp_path / "whole", pale),
        "squares": squares(photos, tmp_path / "squares", cut),
    }
    named = [x for name, folder in folders.items() for x in (f"--methods.{name}.folder", folder)]
    out = tmp_path / "report"
    status, _, complaint = evaluate("report", *options(photos, out, "--protocol", protocol, *named))
    assert status == 0, complaint
    measured = rows(out)
    for file in photos.rglob("*.png"):
        name = str(file.relative_to(photos))
        truth = np.asarray(cut(Image.open(file).convert("RGB")))
        for method, folder in folders.items():
            colorized = Image.open(folder / name)
            colorized = np.asarray(colorized if method == "squares" else cut(colorized))
            expected = peak_signal_noise_ratio(truth, colorized)
            assert float(measured[name, method]["psnr"]) == pytest.approx(expected, abs=0.1), (name, method)
        chroma = np.hypot(*np.moveaxis(skimage.color.rgb2lab(truth)[..., 1:], -1, 0))
        expected = np.sqrt((chroma**2).mean())
        assert float(measured[name, "grey"]["ab_rmse"]) == pytest.approx(expected, abs=0.1)
    manifest = read(out)["manifest"]
    assert (manifest["images"]["protocol"], manifest["config"]["protocol"]) == (protocol, protocol)
    words = {
        "central_crop": "central squares of 48 x 48",
        "resize": "whole images squeezed into squares of 48 x 48",
    }
    assert words[protocol] in read(out)["protocol"]
    assert words[protocol] in (out / "index.html").read_text()


@pytest.mark.parametrize("tried", [16, 1])
def test_squares_cut_by_the_other_protocol_are_an_error_wherever_they_lie(
    evaluate, photos, tmp_path, monkeypatch, tried
):
    monkeypatch.setattr("eval_colorization.comparison.TRIED_IMAGES", tried)
    folder = colorize_photos(photos, tmp_path / "colorized", pale)
    squares(photos / "coffee", folder / "coffee", CUTS["resize"])
    out = tmp_path / "report"
    status, _, complaint = evaluate("report", *options(photos, out, "--methods.other.folder", folder))
    assert status == 2
    assert "/coffee/0.png looks like the whole photograph squeezed into a square" in complaint
    assert "set protocol: resize" in complaint
    assert (out / "parts").exists() == (tried == 1)


def test_a_folder_of_other_photographs_is_an_error_before_anything_is_measured(evaluate, photos, tmp_path):
    folder = colorize_photos(photos, tmp_path / "colorized", pale)
    (folder / "chelsea").rename(folder / "moved")
    (folder / "coffee").rename(folder / "chelsea")
    (folder / "astronaut").rename(folder / "coffee")
    (folder / "moved").rename(folder / "astronaut")
    out = tmp_path / "report"
    status, _, complaint = evaluate("report", *options(photos, out, "--methods.other.folder", folder))
    assert status == 2
    assert f"{folder} does not hold colorized versions of these photographs: of 6 tried 6 have" in complaint
    assert "astronaut/0.png" in complaint
    assert not (out / "parts").exists()


def test_a_few_images_of_another_lightness_are_measured_and_named(evaluate, photos, tmp_path):
    folder = colorize_photos(photos, tmp_path / "colorized", pale)
    with Image.open(folder / "coffee" / "150.png") as picture:
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(folder / "coffee" / "150.png")
    out = tmp_path / "report"
    status, printed, complaint = evaluate("report", *options(photos, out, "--methods.other.folder", folder))
    assert status == 0, complaint
    assert read(out)["other_lightness"] == [["coffee/150.png", "other"]]
    assert "another lightness than the truth: coffee/150.png of other" in printed
    assert "another lightness than the truth: 1 image, named in the report" in printed
    assert "<code>coffee/150.png</code>: other" in (out / "index.html").read_text()
    correlations = {key: row["lightness_correlation"] for key, row in rows(out).items()}
    assert float(correlations["coffee/150.png", "other"]) < 0.9 < float(correlations["coffee/0.png", "other"])
    assert correlations["coffee/150.png", "grey"] == ""
