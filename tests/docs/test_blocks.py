"""Every code block of the pages is executed here, shown to be a tested file, or marked with the reason why not.

A block behind the comment `<!-- not run: REASON -->` is not executed; its commands are parsed all the same.
"""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_image

from eval_colorization.__main__ import COMMANDS as EVAL_COLORIZATION
from pretext.__main__ import COMMANDS as PRETEXT
from pretext.cluster.profile import split_launch_options
from tests.outside.test_docs import PAGES as SHOWN_FILES
from transfer.__main__ import COMMANDS as TRANSFER

ROOT = Path(__file__).parents[2]
PAGES = [
    path.relative_to(ROOT)
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "slurm" / "README.md",
        ROOT / "CONTRIBUTING.md",
    )
]
COMMANDS = {"pretext": PRETEXT, "eval_colorization": EVAL_COLORIZATION, "transfer": TRANSFER}
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>.+?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page):
    """Language, code and the reason why it is not executed, of each block of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        yield block["language"], textwrap.dedent(block["code"]), block["reason"]


def executed(page):
    return [
        (language, code)
        for language, code, reason in blocks(page)
        if not reason and language in ("sh", "python")
    ]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_says_its_language_and_its_commands_parse(page):
    for language, code, _ in blocks(page):
        assert language in ("sh", "python", "yaml", "json"), code
        if language == "sh":
            for line in code.replace("\\\n", " ").splitlines():
                check(shlex.split(line.partition(" > ")[0], comments=True))


def check(words):
    """Raises where a program of this project does not take such a command line."""
    while words and words[0] not in COMMANDS:
        words = words[1:]  # torchrun and its flags
    if len(words) < 2 or words[1].startswith("--") or ":" in words[1]:
        return
    program, name, *argv = words
    command, _ = split_launch_options(argv) if "--cluster" in argv else (argv, None)
    if "--help" not in argv:
        COMMANDS[program][name].parse(command, f"{program} {name}")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's home folder: a dozen photographs, and two classes of them for training and testing."""
    home = tmp_path_factory.mktemp("home")
    scenes = [
        skimage.data.chelsea(),
        skimage.data.coffee(),
        skimage.data.rocket(),
        skimage.data.astronaut(),
        load_sample_image("china.jpg"),
        load_sample_image("flower.jpg"),
    ]
    (home / "Pictures").mkdir()
    for number, scene in enumerate(scenes):
        for half, left in enumerate((0, scene.shape[1] // 2)):
            picture = (
                Image.fromarray(scene).crop((left, 0, left + scene.shape[1] // 2, 300)).resize((160, 160))
            )
            picture.save(home / "Pictures" / f"{number}{half}.jpg")
    for name, scene in (("tulip", scenes[5]), ("temple", scenes[4])):
        for number in range(12):
            folder = home / "flowers" / ("test" if number % 3 == 0 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            top, left = 12 * number, 30 * number
            Image.fromarray(scene).crop((left, top, left + 200, top + 200)).resize((96, 96)).save(
                folder / f"{number}.jpg"
            )
    return home


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if executed(page) and str(page) not in SHOWN_FILES], ids=str
)
def test_the_blocks_of_a_page_run_one_after_the_other(page, home, tmp_path):
    for folder in ("configs", "slurm"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    environment = os.environ | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for language, code in executed(page):
        argv = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
