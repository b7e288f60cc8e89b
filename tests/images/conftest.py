"""Photographs of scikit-image and scikit-learn, written to disk as a user's files would be."""

from pathlib import Path

import pytest
from PIL import Image

from pretext.images.sample import sample_source


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """Chelsea the cat, 451 x 300, RGB."""
    source = sample_source("held-out")
    names = [source.name(i) for i in range(len(source))]
    return source.open(names.index("chelsea (held-out photograph)"))


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    """Eleven different small JPEG files in two sub-folders."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(11):
        path = folder / f"part{i % 2}" / f"photo{i:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        photograph.crop((10 * i, 5 * i, 10 * i + 150, 5 * i + 100)).save(path, quality=90)
    return folder
