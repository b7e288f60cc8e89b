import io
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
from PIL import Image, ImageCms

from pretext.images.sample import sample_source


def pictures(part: Literal["train", "validation", "held-out", "unseen"]) -> dict[str, Image.Image]:
    source = sample_source(part)
    return {source.name(i): source.open(i) for i in range(len(source))}


WHOLE = {
    "astronaut": skimage.data.astronaut(),
    "coffee": skimage.data.coffee(),
    "motorcycle": np.asarray(Image.open(Path(skimage.data.__file__).with_name("motorcycle_left.png"))),
    "china": sklearn.datasets.load_sample_image("china.jpg"),
    "flower": sklearn.datasets.load_sample_image("flower.jpg"),
}


def place_of(piece: Image.Image, photograph: np.ndarray) -> np.ndarray:
    """Which pixels of the photograph the piece shows: a mask."""
    height, width = photograph.shape[:2]
    for top in {0, height // 2}:
        for left in {0, width // 2}:
            part = photograph[top : top + piece.height, left : left + piece.width]
            if np.array_equal(part, np.asarray(piece)):
                mask = np.zeros((height, width), bool)
                mask[top : top + piece.height, left : left + piece.width] = True
                return mask
    raise AssertionError("the piece is not of this photograph")


@pytest.mark.parametrize("name", WHOLE)
def test_the_seen_halves_and_the_unseen_quarter_share_no_pixel_and_are_the_photograph(name: str) -> None:
    seen = [place_of(p, WHOLE[name]) for piece, p in pictures("train").items() if piece.startswith(name)]
    unseen = place_of(pictures("validation")[f"{name} (unseen quarter)"], WHOLE[name])
    assert len(seen) == 2
    assert not (unseen & (seen[0] | seen[1])).any()
    assert (unseen | seen[0] | seen[1]).all()


def test_held_out_photographs_are_whole_and_in_neither_split() -> None:
    held_out = pictures("held-out")
    np.testing.assert_array_equal(held_out["chelsea (held-out photograph)"], skimage.data.chelsea())
    with Image.open(Path(skimage.data.__file__).with_name("rocket.jpg")) as rocket:
        adobe_rgb = io.BytesIO(rocket.info["icc_profile"])
        in_srgb = ImageCms.profileToProfile(rocket, adobe_rgb, ImageCms.createProfile("sRGB"))
    np.testing.assert_array_equal(held_out["rocket (held-out photograph)"], np.asarray(in_srgb))
    others = pictures("train") | pictures("validation")
    assert not [name for name in others if name.startswith(("chelsea", "rocket"))]


def test_unseen_is_all_that_training_does_not_see() -> None:
    assert pictures("unseen").keys() == (pictures("held-out") | pictures("validation")).keys()
