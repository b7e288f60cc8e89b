"""What mkdocs calls while it builds the site: pages made of the code, and files that lie beside docs.

The home page is README.md. The reference of commands is made of the dataclasses that they are read into.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from docstring_parser import parse
from latex2mathml.converter import convert as latex_to_mathml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EQUATION = re.compile(r"(\$\$?)(.+?)\1")
PROGRAMS = ("pretext", "eval_colorization", "transfer")
LINKED = (  # by pages, from outside of docs
    "configs/**/*.yaml",
    "slurm/**/*",
    "benchmarks/results/**/*",
    "pretext/config.py",
    "pretext/color/*.py",
    "pretext/networks/eccv16.py",
    "LICENSE",
    "C*",
    "SECURITY.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the home page, the reference, and the files outside of docs that pages link to."""
    home = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {"index.md": home, "reference/python.md": python_reference()}
    pages |= {f"reference/{program}.md": command_reference(program) for program in PROGRAMS}
    for address, content in pages.items():
        files.append(File.generated(config, address, content=content))
    for pattern in LINKED:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                address = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, address, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of docs, as they are right on a code host, lead to the same files inside the site.

    A folder, which a code host lists, is no page: it keeps its words alone.
    """
    source = page.file.src_uri
    if source.startswith("slurm/"):
        markdown = markdown.replace("](../docs/", "](../")
    else:
        markdown = re.sub(r"\]\((?:docs/|\.\./(?=\w+/))", "](", markdown)

    def without_folder(link: re.Match[str]) -> str:
        return link[1] if any((of / link[2]).is_dir() for of in (ROOT, DOCS)) else link[0]

    markdown = re.sub(r"\[([^]]*)\]\(([\w/]+)\)", without_folder, markdown)
    if page.meta.get(
        "equations"
    ):  # between dollars, as code hosts draw them; out of Markdown's reach until it is done
        page.meta["equations"] = [equation[0] for equation in EQUATION.finditer(markdown)]
        places = itertools.count()
        markdown = EQUATION.sub(lambda _: f"@equation{next(places)}@", markdown)
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations become MathML, which browsers draw without a script."""

    def drawn(place: re.Match[str]) -> str:
        dollars, equation = EQUATION.fullmatch(page.meta["equations"][int(place[1])]).groups()  # type: ignore[union-attr]
        return str(latex_to_mathml(equation, display="block" if dollars == "$$" else "inline"))

    return re.sub(r"@equation(\d+)@", drawn, html)


def python_reference() -> str:
    """The public names of each package, as its stub lists them."""
    blocks = ["# Python"]
    for program in PROGRAMS:
        stub = (ROOT / program / "__init__.pyi").read_text(encoding="utf-8")
        names = re.findall(r"^from (\S+) import (\w+)", stub, flags=re.MULTILINE)
        blocks += [f"## {program}", *(f"::: {program}{module}.{name}" for module, name in names)]
    return "\n\n".join(blocks)


def command_reference(program: str) -> str:
    """Every command of a program with all its keys."""
    module = import_module(f"{program}.__main__")
    blocks = [f"# {program}", (module.__doc__ or "").partition("\n\n")[0]]
    for name, command in module.COMMANDS.items():
        meaning = f"{command.help.capitalize()}: [explained here](../{command.page.removeprefix('docs/')})."
        blocks += [f"## {program} {name}", meaning, keys(command.config)]
    return "\n\n".join(blocks)


def keys(config: type[Any]) -> str:
    """The keys of a configuration: type, default, meaning."""
    return "\n\n".join(
        f"`{key}` {kind}{default}\n:   {meaning}" for key, kind, default, meaning in keys_of(config)
    )


def keys_of(config: type[Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each key, also of those that a configuration inherits."""
    documented = [parse(cls.__doc__ or "").params for cls in reversed(config.__mro__)]
    meanings = {of.arg_name: of.description or "" for params in documented for of in params}
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if group := next(filter(dataclasses.is_dataclass, options), None):
            yield from keys_of(group, f"{prefix}{field.name}.")
            continue
        meaning = " ".join(meanings.get(field.name, "").split())
        yield f"{prefix}{field.name}", _type_name(hint), _default(field), meaning


def _type_name(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return re.sub(r"\b(?:typing|pathlib|collections\.abc|\w+\.config)\.", "", name).replace("|", "or")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f", `{'null' if field.default is None else field.default}` by default"
    if field.default_factory is not dataclasses.MISSING:
        return f", `{field.default_factory()}` by default"
    return ", needed"
