from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image

from pretext.data.sample import sample_source


def pictures(split: str) -> dict[str, Image.Image]:
    source = sample_source("train" if split == "train" else "validation")
    return {source.name(i): source.open(i) for i in range(len(source))}


def test_training_has_five_regions_and_validation_five_others_and_two_whole_photographs() -> None:
    assert [name.split(" ", 1)[1] for name in pictures("train")] == ["(training region)"] * 5
    kinds = [name.split(" ", 1)[1] for name in pictures("validation")]
    assert kinds == ["(unseen region)"] * 5 + ["(held-out photograph)"] * 2


def test_training_and_unseen_regions_together_are_the_photograph_and_share_no_pixel() -> None:
    whole = {
        "astronaut": skimage.data.astronaut(),
        "coffee": skimage.data.coffee(),
        "motorcycle": np.asarray(Image.open(Path(skimage.data.__file__).with_name("motorcycle_left.png"))),
        "china": sklearn.datasets.load_sample_image("china.jpg"),
        "flower": sklearn.datasets.load_sample_image("flower.jpg"),
    }
    seen, unseen = pictures("train"), pictures("validation")
    for name, photograph in whole.items():
        sides = [np.asarray(seen[f"{name} (training region)"]), np.asarray(unseen[f"{name} (unseen region)"])]
        assert any(np.array_equal(np.hstack(order), photograph) for order in (sides, sides[::-1]))


def test_held_out_photographs_are_whole() -> None:
    held_out = pictures("validation")
    np.testing.assert_array_equal(held_out["chelsea (held-out photograph)"], skimage.data.chelsea())
    np.testing.assert_array_equal(held_out["rocket (held-out photograph)"], skimage.data.rocket())
