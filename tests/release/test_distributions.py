"""The wheel and the source distribution hold what they should, and say the version that everything else says."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml

from pretext.__main__ import main

ROOT = Path(__file__).parents[2]
PACKAGES = ("pretext", "eval_colorization", "transfer")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions):
    (path,) = distributions.glob("*.whl")
    return zipfile.ZipFile(path)


def of_packages():
    """Every file of the packages that belongs to the source."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == of_packages()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "pretext/weights/eccv16-photographs.safetensors" in names


def test_the_source_distribution_has_them_too(distributions):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*of_packages(), "pyproject.toml", "README.md", "LICENSE"} <= names


def test_an_index_would_take_both(distributions):
    files = sorted(map(str, distributions.iterdir()))
    subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, check=True
    )


def test_the_version_is_the_same_everywhere(wheel, capsys):
    (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    version = HeaderParser().parsestr(wheel.read(name).decode())["Version"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pretext {version}\n"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version
