from pathlib import Path

import pytest

from tests.transfer.data.small_data import write_image_folders


@pytest.fixture
def image_folders(tmp_path: Path) -> Path:
    """train/ and val/ with two and one image of each of three classes."""
    return write_image_folders(tmp_path / "imagenet")
