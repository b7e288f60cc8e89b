"""What `turing-export` takes of a folder that another system has colorized."""

import pytest
import skimage.data
from PIL import Image

from eval_colorization.config import MethodConfig, TuringConfig
from eval_colorization.turing.export import export_test
from eval_colorization.turing.key import read_key
from tests.eval_colorization.reporting import recoloured


@pytest.fixture
def config(tmp_path):
    """Photographs and a folder of their colorized versions, whole."""
    for index, name in enumerate(("astronaut", "coffee", "chelsea", "rocket")):
        photograph = Image.fromarray(getattr(skimage.data, name)()[60:260, 50:350])
        for folder, picture in (("photographs", photograph), ("colorized", recoloured(photograph))):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture.save(tmp_path / folder / f"{index}.png")
    return TuringConfig(
        data=str(tmp_path / "photographs"),
        out=str(tmp_path / "out"),
        methods={"other": MethodConfig(folder=str(tmp_path / "colorized"))},
        practice_trials=0,
        vigilance_trials=0,
        test_trials=3,
        device="cpu",
    )


def test_a_photograph_whose_colorized_version_is_another_picture_is_left_out_and_named(
    config, tmp_path, capsys
):
    Image.open(tmp_path / "colorized" / "1.png").transpose(Image.Transpose.ROTATE_180).save(
        tmp_path / "colorized" / "2.png"
    )
    export_test(config)
    assert "left out: 2.png (other has another lightness)" in capsys.readouterr().out
    key = read_key(tmp_path / "out" / "key.json")
    assert {trial.photo for trial in key.forms[0].trials} == {"0.png", "1.png", "3.png"}


def test_squeezed_squares_are_an_error(config, tmp_path):
    for file in (tmp_path / "colorized").iterdir():
        Image.open(file).resize((256, 256)).save(file)
    with pytest.raises(ValueError, match="set protocol: resize"):
        export_test(config)
