"""`pretext colorize`: colorize files and folders."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pretext.colorizer import Colorizer
from pretext.config import DEFAULT_WEIGHTS, Decoding
from pretext.data.folder import FolderSource
from pretext.data.images import BrokenImageError, open_rgb
from pretext.pretrained import load_pretrained
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import choose_device
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir
from pretext.runtime.whole_file import whole_file

# Formats that hold 8-bit RGB, with what keeps them near what was computed; any other is written as PNG.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".png": {},
    ".webp": {"lossless": True},
    ".tif": {"compression": "tiff_lzw"},
    ".tiff": {"compression": "tiff_lzw"},
    ".bmp": {},
}


def colorize_files(
    images: Sequence[Path],
    out: Path,
    *,
    weights: str | Path = DEFAULT_WEIGHTS,
    decoding: Decoding = "annealed_mean",
    temperature: float | None = None,
    top_k: int = 5,
    size: int | None = None,
    device: str = "auto",
) -> None:
    """Colorize every image of `images` (files, and folders with all below them) into the folder `out`.

    Names and the structure of folders are kept; a format that cannot hold RGB becomes PNG, its name with .png
    behind. A file that cannot be colorized is named, and the others go on.

    Args:
        weights: what `load_pretrained` takes.
        decoding, temperature, top_k: see `Colorizer`; None takes the temperature that belongs to the weights.
        size: pixels at which colours are predicted; None takes those of the images that the network was trained on.
        device: auto takes a GPU where there is one.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: an image is not there or is a run, the weights cannot be opened, two images would have one name in
            `out`, or an image would be overwritten.
        RunFailedError: after all others were colorized, the files that could not be.
    """
    targets = plan_outputs(images, out)
    pretrained = load_pretrained(weights)
    pretrained.network.to(choose_device(device))
    colorizer = Colorizer(
        pretrained.network,
        pretrained.bins,
        size=pretrained.image_size if size is None else size,
        decoding=decoding,
        temperature=pretrained.temperature if temperature is None else temperature,
        top_k=top_k,
    )
    failures = []
    with Progress(len(targets), unit="image") as progress:
        for target, source in targets.items():
            try:
                save(colorizer(open_rgb(source)), target)
            except (BrokenImageError, OSError, MemoryError, torch.OutOfMemoryError) as error:
                failures.append(f"{source}: {' '.join(str(error).split()) or type(error).__name__}")
                progress.say(f"not colorized: {failures[-1]}")
            progress.advance()
    print(f"{len(targets) - len(failures)} of {len(targets)} images colorized by {weights} -> {out}")
    if failures:
        raise RunFailedError(
            f"{len(failures)} of {len(targets)} images were not colorized: {'; '.join(failures)}"
        )


def plan_outputs(images: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Output file -> input file, for files and folders; raises ValueError as `colorize_files` does."""
    targets: dict[Path, Path] = {}
    for source, relative in _inputs(images):
        target = out / relative
        if target.suffix.lower() not in SAVE_OPTIONS:
            target = target.with_name(target.name + ".png")
        if target in targets:
            raise ValueError(
                f"{targets[target]} and {source} would both become {target}; colorize them into two folders"
            )
        targets[target] = source
    originals = {source.resolve() for source in targets.values()}
    for target, source in targets.items():
        if target.resolve() in originals:
            raise ValueError(
                f"{target} would overwrite an original; give --out another folder than that of {source}"
            )
    return targets


def save(image: Image.Image, path: Path) -> None:
    """Write `image` in the format that the suffix of `path` names, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    with whole_file(path) as temporary:
        image.save(temporary, format=Image.registered_extensions()[suffix], **SAVE_OPTIONS[suffix])


def _inputs(images: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Each file with its place below `out`."""
    for path in images:
        if RunDir(path).last_checkpoint.exists():
            raise ValueError(
                f"{path} is a run, not a folder of images; to colorize with it, give --weights {path}"
            )
        if path.is_dir():
            folder = FolderSource(path)
            for index in range(len(folder)):
                yield path / folder.name(index), Path(folder.name(index))
        elif path.exists():
            yield path, Path(path.name)
        else:
            raise ValueError(f"there is no image or folder {path}")
