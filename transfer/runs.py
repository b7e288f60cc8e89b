"""What all downstream tests share about a run: its processes, its folder, and whether it can be resumed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, get_type_hints

import torch

from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.distributed import World, join_world
from pretext.runtime.run_dir import RunDir, free_keys
from transfer.backbone import OpenedBackbone
from transfer.config import BackboneConfig
from transfer.results import FILE, Record, read_records, write_records

Config = TypeVar("Config")


@dataclass(kw_only=True)
class Run:
    """A run that has started.

    Attributes:
        config: the dataclass that says what the run is.
        out: the folder of the results; of a run without one a temporary folder, which is removed when it ends.
        is_kept: whether `out` is the user's.
        held: what is closed when the run ends.
        folder: that of `take_folder`.
    """

    config: Any
    out: str | Path
    is_kept: bool
    world: World
    held: ExitStack
    folder: RunDir = field(init=False)

    def take_folder(self) -> RunDir:
        """Make the folder of the results, when all is known to be right: an error before leaves none behind.

        Raises:
            ValueError: it holds another run or files of another kind, or is in use.
        """
        self.folder = RunDir(self.out)
        if (self.folder.path / FILE).is_dir():
            raise ValueError(
                f"{self.folder.path / FILE} is a folder, but the results belong there; choose another --out"
            )
        self.world.on_main(
            lambda: self.folder.prepare(asdict(self.config), self.held, free=free_keys(self.config))
        )
        return self.folder

    def finished(self, backbone: OpenedBackbone, num_images: int) -> list[Record] | None:
        """The results of an earlier run, where it wrote them; of a test that needs no other checkpoint.

        Raises:
            ValueError: they are of other weights or of other data, or `take_folder` raised it.
        """
        self.take_folder()
        return self.world.on_main(lambda: self._finished(backbone, num_images))

    def _finished(self, backbone: OpenedBackbone, num_images: int) -> list[Record] | None:
        checkpoint = self.folder.last_checkpoint
        if checkpoint.exists():
            refuse_another(load_checkpoint(checkpoint), backbone, num_images, self.folder.path)
        else:
            save_checkpoint(checkpoint, {"backbone": backbone.sha256, "num_images": num_images})
        return read_records([self.folder.path]) if (self.folder.path / FILE).exists() else None

    def finish(
        self, records: list[Record], table: str, say: Callable[[str], None] | None = None
    ) -> list[Record]:
        """Write the records, and print their table; the same records."""
        if self.world.is_main:
            path = write_records(self.folder.path, records)
            (say or print)(f"{table}\nresults     {path}" if self.is_kept else table)
        return records


@contextmanager
def start_run(config: Any, out: str | Path | None) -> Iterator[Run]:
    """Join the processes; at the end the caller's random state, gradient mode and settings come back.

    Args:
        config: the dataclass that says what the run is, with `device`.
        out: the folder of the results; None leaves nothing behind.

    Raises:
        ValueError: there is no such device.
    """
    with ExitStack() as held:
        world = held.enter_context(join_world(config.device))
        is_kept = True
        held.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
        held.enter_context(torch.random.fork_rng([world.device] if world.device.type == "cuda" else []))
        held.enter_context(torch.inference_mode(False))
        held.enter_context(torch.enable_grad())
        if out is None:
            out, is_kept = world.on_main(lambda: held.enter_context(TemporaryDirectory())), False
        yield Run(config=config, out=out, is_kept=is_kept, world=world, held=held)


def config_of(cls: Callable[..., Config], arguments: Mapping[str, Any]) -> Config:
    """The configuration that says what a function was given, with live objects by the names of their types."""
    given = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in arguments.items()
        if key != "config"
    }
    backbone, train, test = (given.pop(key) for key in ("backbone", "train", "test"))
    data_class = get_type_hints(cls)["data"]
    data = {key.name: given.pop(key.name) for key in fields(data_class) if key.name in given}
    if not isinstance(backbone, BackboneConfig):
        backbone = BackboneConfig(model=_name(backbone))
    given["out"] = given["out"] or ""
    return cls(backbone=backbone, data=data_class(train=_name(train), test=_name(test), **data), **given)


def arguments_of(config: Any, function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of `function` that are keys of its command: all but the backbone and the images."""
    keys = vars(config.data) | vars(config)
    names = signature(function).parameters.keys() - {"backbone", "train", "test"}
    return {key: value for key, value in keys.items() if key in names}


def _name(thing: Any) -> Any:
    if isinstance(thing, str) or (isinstance(thing, list) and all(isinstance(part, str) for part in thing)):
        return thing
    name = getattr(thing, "name", None)
    return name if isinstance(name, str) else type(thing).__name__


def refuse_another(state: Mapping[str, Any], backbone: OpenedBackbone, num_images: int, folder: Path) -> None:
    """Raises ValueError if a checkpoint in `folder` is of other weights or of another number of training images."""
    if state["backbone"] != backbone.sha256:
        raise ValueError(
            f"{backbone.name} has other weights now than when {folder} was started; restore them, or start a new out "
            "folder"
        )
    if state["num_images"] != num_images:
        raise ValueError(
            f"there were {state['num_images']} training images when {folder} was started and there are {num_images} "
            "now; restore them, or start a new out folder"
        )
