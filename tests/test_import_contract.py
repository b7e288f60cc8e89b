"""The design's rules on who may import whom, read from the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
PACKAGES = ("pretext", "eval_colorization", "transfer")
# Package at the bottom -> what of pretext it may import beside itself, how things are named and what may be missing.
LEAVES = {
    "pretext.color": "pretext.color",
    "pretext.networks": "pretext.color",
    "pretext.runtime": "pretext.runtime",
}
# Third-party package -> the only modules that may import it.
ADAPTERS = {
    "shtab": ("pretext.completion",),
    "submitit": ("pretext.cluster.job", "pretext.cluster.submit"),
    "webdataset": ("pretext.images.shards",),
    "torchmetrics": ("eval_colorization.metrics.perceptual",),
    "torch_fidelity": ("eval_colorization.metrics.perceptual",),
    "timm": (
        "eval_colorization.metrics.recognition",
        "pretext.networks.timm_network",
        "pretext.timm_models",
    ),
    "starlette": ("eval_colorization.turing.web",),
    "uvicorn": ("eval_colorization.turing.serve",),
    "detectron2": tuple(
        f"transfer.detection.{name}" for name in ("adapter", "loading", "evaluation", "trainer", "run")
    ),
    "onnx": ("pretext.image_graph",),
    "onnxscript": ("pretext.image_graph",),
    "wandb": ("pretext.runtime.trackers",),
    "mlflow": ("pretext.runtime.trackers",),
    "h5py": ("pretext.pretrained",),
    "av": ("pretext.film.container",),
    "lightly": ("pretext.tasks.views",),
    "pycocotools": ("transfer.detection.masks",),
    "mmseg": tuple(f"transfer.segmentation.{name}" for name in ("adapter", "evaluation", "runner")),
    "mmengine": tuple(f"transfer.segmentation.{name}" for name in ("adapter", "loading", "runner")),
}


def module_name(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = {
    module_name(file): set(imports(file))
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}


def within(name, package):
    return name == package or name.startswith(package + ".")


def violations(importers, forbidden):
    return [
        f"{module} imports {name}"
        for module, names in FILES.items()
        if importers(module)
        for name in names
        if forbidden(name)
    ]


def test_the_source_was_found():
    assert {
        "pretext.training",
        "pretext.color.lab",
        "eval_colorization.__main__",
        "transfer.__main__",
    } <= FILES.keys()


def test_pretext_imports_neither_of_the_packages_that_build_on_it():
    assert not violations(
        lambda module: within(module, "pretext"),
        lambda name: within(name, "eval_colorization") or within(name, "transfer"),
    )


@pytest.mark.parametrize(
    ("package", "other"), [("eval_colorization", "transfer"), ("transfer", "eval_colorization")]
)
def test_the_two_packages_on_top_do_not_import_each_other(package, other):
    assert not violations(lambda module: within(module, package), lambda name: within(name, other))


def test_no_modules_import_each_other_in_a_circle():
    modules = list(FILES)
    edges = [[name in FILES[module] and name != module for name in modules] for module in modules]
    number, component = connected_components(np.array(edges), connection="strong")
    circles = [np.array(modules)[component == index].tolist() for index in range(number)]
    assert [circle for circle in circles if len(circle) > 1] == []


@pytest.mark.parametrize("package", ["runtime", "cluster"])
def test_what_runs_commands_names_none_of_them(package):
    words = r"\b(detectron2|mmengine|mmseg|gallery_images|shots|bins|linear|knn|svm|finetune|report)\b"
    files = [file for file in (ROOT / "pretext" / package).glob("*.py") if file.name != "foreign_files.py"]
    assert [file.name for file in files if re.search(words, file.read_text())] == []


def test_the_launcher_imports_nothing_of_pretext_but_the_runtime():
    allowed = ("pretext.cluster", "pretext.runtime", "pretext.outside")
    assert not violations(
        lambda module: within(module, "pretext.cluster"),
        lambda name: (
            within(name, "pretext") and name != "pretext" and not any(within(name, one) for one in allowed)
        ),
    )


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_nothing_of_pretext_but_itself_and_how_things_are_named(leaf):
    assert not violations(
        lambda module: within(module, leaf),
        lambda name: (
            within(name, "pretext")
            and not within(name, leaf)
            and not within(name, LEAVES[leaf])
            and not within(name, "pretext.spelling")
            and not within(name, "pretext.outside")
            and not within(name, "pretext.optional")
            and name != "pretext"
        ),
    )


def test_the_training_loop_knows_no_task():
    """Whatever is particular to colorization is the task's."""
    source = (ROOT / "pretext" / "training.py").read_text()
    assert not re.search(r"\bab\b|bins|colou?r|prior|psnr|grey", source, re.IGNORECASE)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_its_public_interface_without_importing_torch(package):
    code = f"import sys, {package} as p; assert p.__all__ == dir(p) != []; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_training_does_not_wait_for_what_its_first_step_does_not_need():
    late = {"matplotlib", "scipy", "sklearn", "skimage", "tensorboard", "torchvision", "torch._dynamo"}
    code = f"import sys, pretext.training; early = {late} & sys.modules.keys(); assert not early, early"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("library", ADAPTERS)
def test_an_optional_library_is_imported_by_its_adapter_only(library):
    assert not violations(lambda module: module not in ADAPTERS[library], lambda name: within(name, library))
    assert any(within(name, library) for module in ADAPTERS[library] for name in FILES[module])
