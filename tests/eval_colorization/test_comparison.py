"""Folders of other systems in a report: by which protocol they are measured, and which cannot be compared."""

import numpy as np
import pytest
import skimage.color
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from torchvision import transforms

from tests.eval_colorization.reporting import SIDE, colorize_photos, image_value, measure, pale


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
def test_whole_images_and_squares_are_measured_by_the_protocol(photos, tmp_path, protocol):
    """As torchvision cuts and scikit-image measures them; torchvision alone resamples a crop without its surround."""
    cut = CUTS[protocol]
    folders = {
        "whole": colorize_photos(photos, tmp_path / "whole", pale),
        "squares": squares(photos, tmp_path / "squares", cut),
    }
    results = measure(photos, folders, protocol=protocol)
    for file in photos.rglob("*.png"):
        name = str(file.relative_to(photos))
        truth = np.asarray(cut(Image.open(file).convert("RGB")))
        for method, folder in folders.items():
            picture = Image.open(folder / name)
            colorized = np.asarray(picture if method == "squares" else cut(picture))
            expected = peak_signal_noise_ratio(truth, colorized)
            assert image_value(results, name, method, "psnr") == pytest.approx(expected, abs=0.1), (
                name,
                method,
            )
        chroma = np.hypot(*np.moveaxis(skimage.color.rgb2lab(truth)[..., 1:], -1, 0))
        expected = np.sqrt((chroma**2).mean())
        assert image_value(results, name, "grey", "ab_rmse") == pytest.approx(expected, abs=0.1)
    manifest = results.manifest
    assert (manifest["images"]["protocol"], manifest["config"]["protocol"]) == (protocol, protocol)


@pytest.mark.parametrize("tried", [16, 1])
def test_squares_cut_by_the_other_protocol_are_an_error_wherever_they_lie(
    photos, tmp_path, monkeypatch, tried
):
    monkeypatch.setattr("eval_colorization.comparison.TRIED_IMAGES", tried)
    folder = colorize_photos(photos, tmp_path / "colorized", pale)
    squares(photos / "coffee", folder / "coffee", CUTS["resize"])
    out = tmp_path / "report"
    message = r"/coffee/0.png looks like the whole photograph squeezed into a square.* set protocol: resize"
    with pytest.raises(ValueError, match=message):
        measure(photos, {"other": folder}, resume_dir=out)
    assert (out / "parts").exists() == (tried == 1)


def test_a_folder_of_other_photographs_is_an_error_before_anything_is_measured(photos, tmp_path):
    folder = colorize_photos(photos, tmp_path / "colorized", pale)
    (folder / "chelsea").rename(folder / "moved")
    (folder / "coffee").rename(folder / "chelsea")
    (folder / "astronaut").rename(folder / "coffee")
    (folder / "moved").rename(folder / "astronaut")
    out = tmp_path / "report"
    message = r"does not hold colorized versions of these photographs: of 6 tried 6 have .*astronaut/0.png"
    with pytest.raises(ValueError, match=message):
        measure(photos, {"other": folder}, resume_dir=out)
    assert not out.exists()


def test_a_few_images_of_another_lightness_are_measured_and_named(photos, tmp_path, capsys):
    folder = colorize_photos(photos, tmp_path / "colorized", pale)
    with Image.open(folder / "coffee" / "150.png") as picture:
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(folder / "coffee" / "150.png")
    results = measure(photos, {"other": folder})
    assert results.other_lightness == (("coffee/150.png", "other"),)
    assert "another lightness than the truth: coffee/150.png of other" in capsys.readouterr().out
    correlations = [
        image_value(results, f"coffee/{name}.png", "other", "lightness_correlation") for name in (150, 0)
    ]
    assert correlations[0] < 0.9 < correlations[1]
    assert np.isnan(image_value(results, "coffee/150.png", "grey", "lightness_correlation"))
