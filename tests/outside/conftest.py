import shutil
import sys
from pathlib import Path

import pytest
from skimage import data

HERE = Path(__file__).parent
PHOTOGRAPHS = {"astronaut": data.astronaut, "chelsea": data.chelsea, "coffee": data.coffee}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder, which is the working directory: the project's files, and some photographs that a text lists."""
    from PIL import Image

    shutil.copytree(HERE / "project", tmp_path, dirs_exist_ok=True)
    (tmp_path / "photographs").mkdir()
    for name, photograph in PHOTOGRAPHS.items():
        Image.fromarray(photograph()[::4, ::4]).save(tmp_path / "photographs" / f"{name}.png")
    (tmp_path / "photos.txt").write_text("".join(f"photographs/{name}.png\n" for name in PHOTOGRAPHS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as for a script in that folder
    yield tmp_path
    for name in {file.stem for file in (HERE / "project").glob("*.py")}:
        sys.modules.pop(name, None)
