"""The frameworks that detection and segmentation stand on: whether they can be used here, and how to get them."""

import importlib
import importlib.util
import re
import warnings
from dataclasses import dataclass
from importlib.metadata import packages_distributions

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.versions import package_version
from transfer.config import DoctorConfig


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What a command of `transfer` needs beside this project.

    Attributes:
        name: as its authors write it.
        command: of `transfer`.
        modules: that must be importable, the framework's own first.
        make: the target that installs it into .venv.
        install: the same by hand, one command per line.
        known_warnings: how messages begin that its own code causes and nobody here can change.
    """

    name: str
    command: str
    modules: tuple[str, ...]
    make: str
    install: tuple[str, ...]
    known_warnings: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The modules that are not installed."""
        return [module for module in self.modules if importlib.util.find_spec(module) is None]


FRAMEWORKS = {
    "detect": Framework(
        name="Detectron2",
        command="detect",
        modules=("detectron2", "fvcore", "iopath", "omegaconf", "pycocotools"),
        make="make detection",
        install=(
            "pip install 'setuptools<82' wheel",
            "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2'",
        ),
        known_warnings=("`torch.jit.script` is deprecated", "torch.meshgrid: in an upcoming release"),
    ),
    "segment": Framework(
        name="mmsegmentation",
        command="segment",
        modules=("mmseg", "mmengine", "mmcv"),
        make="make segmentation",
        install=("MMCV_WITH_OPS=0 pip install onedl-mmcv onedl-mmengine onedl-mmsegmentation",),
    ),
}


def require_framework(command: str) -> None:
    """Make sure that the framework of a command is installed, and silence the warnings that it is known for.

    Raises:
        ValueError: it is not; the message says what to type.
    """
    framework = FRAMEWORKS[command]
    if framework.missing:
        raise ValueError(
            f"transfer {command} needs {framework.name}, and {', '.join(framework.missing)} is not installed: "
            f"{framework.make}, or {' && '.join(framework.install)}"
        )
    for message in framework.known_warnings:
        warnings.filterwarnings("ignore", re.escape(message))


def doctor(_: DoctorConfig) -> None:
    """Say which frameworks can be used in this environment, with versions, what is missing, and how to get it.

    Raises:
        RunFailedError: after that, naming those that cannot be used.
    """
    unusable = []
    for framework in FRAMEWORKS.values():
        faults = [f"{module} is not installed" for module in framework.missing]
        installed = [module for module in framework.modules if module not in framework.missing]
        faults += filter(None, map(_import_fault, installed))
        print(f"{framework.name}, for transfer {framework.command}: {'not usable' if faults else 'usable'}")
        for fault in faults:
            print(f"  {fault}")
        if installed:
            print(f"  found {', '.join(f'{module} {module_version(module)}' for module in installed)}")
        if faults:
            unusable.append(framework.name)
            print(f"  {framework.make}    # in a clone of this project; or by hand:")
            for line in framework.install:
                print(f"  {line}")
    if unusable:
        raise RunFailedError(f"{' and '.join(unusable)} cannot be used here")


def module_version(module: str) -> str:
    """Version of the package that brings an installed module; `unknown` where none says so."""
    packages = packages_distributions().get(module)
    return package_version(packages[0]) if packages else "unknown"


def _import_fault(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken installation may raise anything
        return f"{module} is installed, but importing it fails: {type(error).__name__}: {' '.join(str(error).split())}"
    return None
