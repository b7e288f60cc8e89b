"""The site: it builds without a warning, explains every key, and is read without a network."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eval_colorization
import pretext
import transfer
from eval_colorization.__main__ import COMMANDS as EVAL_COLORIZATION
from pretext.__main__ import COMMANDS as PRETEXT
from transfer.__main__ import COMMANDS as TRANSFER

ROOT = Path(__file__).parents[2]
COMMANDS = {"pretext": PRETEXT, "eval_colorization": EVAL_COLORIZATION, "transfer": TRANSFER}

_spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
hooks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hooks)


@pytest.mark.parametrize(
    ("program", "name"), [(program, name) for program, commands in COMMANDS.items() for name in commands]
)
def test_every_key_of_a_command_is_explained(program, name):
    for key, _, _, meaning in hooks.keys_of(COMMANDS[program][name].config):
        assert meaning, key


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert not built.stderr
    return folder


@pytest.mark.slow
def test_all_commands_and_public_names_are_in_the_reference(site):
    for program, commands in COMMANDS.items():
        page = (site / "reference" / f"{program}.html").read_text(encoding="utf-8")
        assert all(f'id="{program}-{name}"' in page for name in commands)
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    shown = {address.rpartition(".")[2] for address in re.findall(r'<h3 id="([\w.]+)"', page)}
    for package in (pretext, eval_colorization, transfer):
        assert set(package.__all__) <= shown


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    pages = [
        page for page in site.rglob("*.html") if "index.html" not in page.parts[-1] or page.parent == site
    ]
    assert len(pages) > 12
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)", text)
        assert not [address for address in loaded if "canonical" not in address], page
    assert (site / "search" / "search_index.json").exists()


@pytest.mark.slow
def test_equations_are_drawn_without_a_script(site):
    source = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    page = (site / "method.html").read_text(encoding="utf-8")
    assert page.count("<math") == len(hooks.EQUATION.findall(source)) > 10
    assert "@equation" not in page


@pytest.mark.parametrize("program", COMMANDS)
def test_every_command_names_a_page_that_explains_it(program):
    for name, command in COMMANDS[program].items():
        page = (ROOT / command.page).read_text(encoding="utf-8")
        assert f"{program} {name}" in page or f"`{name}`" in page, name
