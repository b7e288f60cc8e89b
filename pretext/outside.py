"""The door for a user's own code: `module:Name` is accepted wherever a built-in network, task, ... is named.

Modules are looked for as Python does, then in the working directory.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pretext.spelling import did_you_mean, unknown_name

Thing = TypeVar("Thing")

_MODULE = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_ADDRESS = re.compile(rf"({_MODULE}):([A-Za-z_]\w*)")
# Forms of the addresses of data and backbones, which no module can have as its name there.
FORMS = {
    "torchvision", "timm", "random", "voc", "coco", "sample", "http", "https", "file", "pipe", "s3", "gs",
}  # fmt: skip


def is_outside(name: str) -> bool:
    """Whether `name` has the form `module:Name`, which no built-in name and no form of an address has."""
    match = _ADDRESS.fullmatch(name)
    return match is not None and match[1] not in FORMS


def import_outside(address: str, kind: str) -> Any:
    """What `address`, of the form `module:Name`, names.

    Args:
        address: such as `mynets:Tiny`, of mynets.py in the working directory or a module of the environment.
        kind: what it is used as, for the message: network, task, ...

    Raises:
        ValueError: there is no such module, or nothing of that name in it.
    """
    module_name, name = address.split(":")
    _add_working_directory_to_path()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # its own import of something else
        raise ValueError(
            f"{kind} {address}: there is no module {error.name} in {Path.cwd()} or in this environment; run the "
            f"command in the folder of {error.name}.py, or put that folder on PYTHONPATH"
        ) from error
    if not hasattr(module, name):
        public = [other for other in vars(module) if not other.startswith("_")]
        raise ValueError(f"{kind} {address}: {module.__file__} has no {name}{did_you_mean(name, public)}")
    return getattr(module, name)


def function_at(address: Callable[..., Any] | str) -> Callable[..., Any]:
    """The function that `module:function` names, a built-in one of an importable module; or a function itself."""
    if not isinstance(address, str):
        return address
    module, _, name = address.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def look_up(kind: str, name: str, built_in: Mapping[str, Thing]) -> Thing:
    """The built-in thing of that name, or the user's own `module:Name`.

    Raises:
        ValueError: there is neither.
    """
    if name in built_in:
        return built_in[name]
    if is_outside(name):
        return import_outside(name, kind)
    raise ValueError(f"{unknown_name(kind, name, built_in)}, or module:Name of your own")


def name_of(thing: type, built_in: Mapping[str, type]) -> str:
    """The name under which `look_up` finds a class again."""
    names = {cls: name for name, cls in built_in.items()}
    return names.get(thing) or f"{thing.__module__}:{thing.__qualname__}"


def construct(kind: str, name: str, cls: type[Thing], args: Mapping[str, Any]) -> Thing:
    """`cls(**args)`.

    Args:
        kind, name: what it is and what the user calls it, for messages.

    Raises:
        ValueError: an argument that the class does not take, or of another type than it declares, or one that it needs
            and is not given.
    """
    from jsonargparse import ArgumentError, ArgumentParser  # only where a command has read text

    parameters = inspect.signature(cls).parameters
    named = [p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in args:
            if key not in parameters:
                raise ValueError(
                    f"{kind} {name} takes no argument {key!r}{did_you_mean(key, parameters)}; it takes "
                    f"{', '.join(parameters) or 'none'}"
                )
    missing = [p.name for p in named if p.default is p.empty and p.name not in args]
    if missing:
        raise ValueError(f"{kind} {name} needs the arguments {', '.join(missing)}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, skip=set(parameters) - set(args), fail_untyped=False)
    try:
        typed = parser.instantiate(parser.parse_object(dict(args)))
    except ArgumentError as error:
        raise ValueError(f"{kind} {name}: {' '.join(str(error).split())}") from error
    return cls(**{**args, **vars(typed)})


def arguments_of(thing: object) -> dict[str, Any]:
    """The arguments with which `thing` was constructed: its attributes of their names, as scikit-learn's estimators do.

    Raises:
        ValueError: it has no attribute of an argument's name.
    """
    parameters = inspect.signature(type(thing)).parameters.values()
    names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [name for name in names if not hasattr(thing, name)]
    if missing:
        raise ValueError(
            f"{type(thing).__name__} does not keep its argument {missing[0]}, so that no checkpoint could say how to "
            f"construct it again; store it as self.{missing[0]}"
        )
    return {name: getattr(thing, name) for name in names}


def modules_to_copy(address: str) -> dict[Path, Path]:
    """The user's files that `module:Name` needs: path below the folder on Python's path -> file.

    These are the modules from the same folder that importing it loads. A module that is installed needs none.
    """
    import_outside(address, "module")
    module = sys.modules[address.split(":")[0].partition(".")[0]]
    if module.__file__ is None or "site-packages" in Path(module.__file__).parts:
        return {}
    file = Path(module.__file__).resolve()
    root = file.parent.parent if file.name == "__init__.py" else file.parent
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    # torch.ops and torch.classes have made-up relative files.
    files = (Path(file).resolve() for file in loaded if file and Path(file).is_absolute())
    return {
        file.relative_to(root): file
        for file in files
        if file.is_relative_to(root) and "site-packages" not in file.parts and file.suffix == ".py"
    }


def _add_working_directory_to_path() -> None:
    """A console script's path lacks it. It stays, last, for what is imported later and by other processes."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
