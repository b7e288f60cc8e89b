"""What all downstream tests share about a run: its processes, its folder, and whether it can be resumed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, get_type_hints

import torch

from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.distributed import World, join_world
from pretext.runtime.run_dir import RunDir, default_values, free_keys
from pretext.spelling import unknown_name
from transfer.backbone import OpenedBackbone
from transfer.config import BackboneConfig
from transfer.features.folder import ExtractedBackbone
from transfer.results import FILE, Record, read_records, write_records

Config = TypeVar("Config")


Tested = OpenedBackbone | ExtractedBackbone


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that has started.

    Attributes:
        config: the dataclass that says what the run is.
        folder: of the results; of a run without one a temporary folder, which is removed when it ends.
        held: what is closed when the run ends.
    """

    config: Any
    folder: RunDir
    world: World
    held: ExitStack

    def take_folder(self) -> None:
        """Make the folder of the results, when all is known to be right: an error before leaves none behind.

        Raises:
            ValueError: it holds another run or files of another kind, or is in use.
        """
        if (results := self.folder.path / FILE).is_dir():
            raise ValueError(f"{results} is a folder, but the results belong there; choose another --out")
        self.world.on_main(
            lambda: self.folder.prepare(
                asdict(self.config),
                self.held,
                free=free_keys(self.config),
                defaults=default_values(self.config),
            )
        )

    def finished(self, backbone: Tested, num_images: int) -> list[Record] | None:
        """The results of an earlier run, where it wrote them; of a test that needs no other checkpoint.

        Raises:
            ValueError: they are of other weights or of other data, or `take_folder` raised it.
        """
        self.take_folder()
        return self.world.on_main(lambda: self._finished(backbone, num_images))

    def _finished(self, backbone: Tested, num_images: int) -> list[Record] | None:
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
            (say or print)(f"{table}\nresults     {path}" if self.config.out else table)
        return records


@contextmanager
def start_run(config: Any) -> Iterator[Run]:
    """Join the processes; at the end the caller's random state, gradient mode and settings come back.

    Args:
        config: the dataclass that says what the run is, with `device`, and `out`, which may be empty: then the run
            leaves nothing behind.

    Raises:
        ValueError: there is no such device.
    """
    with ExitStack() as held:
        world = held.enter_context(join_world(config.device))
        held.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
        held.enter_context(torch.random.fork_rng([world.device] if world.device.type == "cuda" else []))
        held.enter_context(torch.inference_mode(False))
        held.enter_context(torch.enable_grad())
        out = config.out or world.on_main(lambda: held.enter_context(TemporaryDirectory()))
        yield Run(config=config, folder=RunDir(out), world=world, held=held)


def config_of(
    cls: Callable[..., Config],
    backbone: Any,
    train: Any,
    test: Any,
    out: str | Path | None,
    keys: Mapping[str, Any],
) -> Config:
    """The configuration that says what a function was given, with live objects by their names or those of their types.

    Args:
        cls: dataclass with keys `backbone`, `data` and `out`.
        keys: other keys of `cls` and of its `data`, by their own names.

    Raises:
        ValueError: there is no such key.
    """
    data_class = get_type_hints(cls)["data"]
    own, of_data = ({key.name for key in fields(part)} for part in (cls, data_class))  # type: ignore[arg-type]
    valid = (own | of_data) - {"backbone", "data", "train", "test"}
    for key in keys:
        if key not in valid:
            raise ValueError(unknown_name("key", key, sorted(valid)))
    given = {key: str(value) if isinstance(value, Path) else value for key, value in keys.items()}
    data = {key: given.pop(key) for key in of_data & given.keys()}
    if not isinstance(data.get("validation"), int | float | None):
        data["validation"] = _name(data["validation"])
    return cls(
        backbone=backbone
        if backbone is None or isinstance(backbone, BackboneConfig)
        else BackboneConfig(model=_name(backbone)),
        data=data_class(train=_name(train), test=_name(test), **data),
        out=str(out or ""),
        **given,
    )


def _name(thing: Any) -> Any:
    if isinstance(thing, str) or (isinstance(thing, list) and all(isinstance(part, str) for part in thing)):
        return thing
    name = getattr(thing, "name", None)
    return name if isinstance(name, str) else type(thing).__name__


def refuse_another(state: Mapping[str, Any], backbone: Tested, num_images: int, folder: Path) -> None:
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
