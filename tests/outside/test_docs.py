"""The pages for those who build on this project show the files that the tests here run."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("docs/extending.md", "docs/python.md")
FOLDERS = ("tests/outside/project", "tests/outside/python")
BLOCK = re.compile(r"^<!-- (\S+\.py) -->\n+```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_pages_show_each_file_once_and_as_it_is():
    files = {
        str(file.relative_to(ROOT)): file.read_text()
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
    }
    shown = [block for page in PAGES for block in BLOCK.findall((ROOT / page).read_text())]
    assert sorted(name for name, _ in shown) == sorted(files)
    for name, code in shown:
        assert code == files[name], f"{name} is shown differently"
