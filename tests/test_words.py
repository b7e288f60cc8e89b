"""What people read beside the code: docstrings, and the words in them, in the documentation and in messages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = [
    file
    for package in ("pretext", "eval_colorization", "transfer")
    for file in sorted((ROOT / package).rglob("*.py"))
]
MODULES = {file.relative_to(ROOT): ast.parse(file.read_text()) for file in SOURCE}
CLASSES = {
    node.name: node for tree in MODULES.values() for node in tree.body if isinstance(node, ast.ClassDef)
}
# Methods that a framework calls, and whose meaning it documents.
FRAMEWORK_METHODS = {
    "forward", "backward", "train", "state_dict", "load_state_dict",  # torch
    "output_shape", "before_step", "after_step",  # Detectron2
    "transform", "after_train_iter",  # mmsegmentation
}  # fmt: skip

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """The public classes and functions of a module or a class, without those inside functions."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def is_stub(node: Definition) -> bool:
    """Whether the body is `...`: a protocol's member, or an overload."""
    return len(node.body) == 1 and ast.unparse(node.body[0]) == "..."


def is_documented(node: Definition) -> bool:
    return ast.get_docstring(node) is not None or is_stub(node)


def inherits_docstring(cls: ast.ClassDef, method: str) -> bool:
    """Whether a class of this project among the bases of `cls`, or of their bases, documents `method`."""
    bases = [CLASSES[name] for name in map(ast.unparse, cls.bases) if name in CLASSES]
    return any(
        inherits_docstring(base, method)
        or any(member.name == method and ast.get_docstring(member) for member in public(base.body))
        for base in bases
    )


def undocumented(tree: ast.Module) -> Iterator[str]:
    for node in public(tree.body):
        if not is_documented(node):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for member in public(node.body):
                if not (
                    is_documented(member)
                    or member.name in FRAMEWORK_METHODS
                    or inherits_docstring(node, member.name)
                ):
                    yield f"{node.name}.{member.name}"


def test_every_public_class_function_and_method_has_a_docstring() -> None:
    assert [f"{file}: {name}" for file, tree in MODULES.items() for name in undocumented(tree)] == []


TEXTS = [
    ROOT / "README.md",
    *(file for folder in ("docs", "slurm") for file in (ROOT / folder).glob("*.md")),
    *SOURCE,
    *(ROOT / "configs").rglob("*.yaml"),
]
COUNTED = (
    "run|class|image|line|method|resample|batch|network|process|experiment|cluster|GPU|step|epoch|split|file"
)
# Turns of phrase that no engineer of the field writes -> what to write.
INSTEAD_OF = {
    r"\b(go|goes|going|gone|went) on\b": "resume, continue",
    r"\bpaint(s|ed|ing|er)?\b": "colorize",
    r"\b(is|are|was|were) begun\b": "start",
    r"\bthat (is|are) (none|no)\b": "is not a ...",
    r"\botherwise than\b": "overrides",
    rf"\b(one|an?) (?!(at|and|in|is|CPU)\b)\w+ an? ({COUNTED})\b(?!'s)": "one ... per ...",
}


@pytest.mark.parametrize("phrase", INSTEAD_OF, ids=INSTEAD_OF.values())
def test_the_text_is_in_the_words_of_the_field(phrase: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in TEXTS
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(phrase, line)
    ]
    assert found == [], f"write: {INSTEAD_OF[phrase]}"
