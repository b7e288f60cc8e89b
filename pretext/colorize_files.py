"""Colorizing pictures, and for `pretext colorize` files and folders."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from pretext.colorizer import Colorizer, require_hints
from pretext.config import DEFAULT_WEIGHTS, ColorizeConfig, Decoding
from pretext.film.colorize import colorize_film
from pretext.film.container import film_target, is_film
from pretext.film.frames import FrameSequence, in_order
from pretext.film.smoothing import ColourSmoother
from pretext.hints import Hint, read_hints
from pretext.images.folder import FolderSource, listing
from pretext.images.image_file import BrokenImageError, OpenedImage, on_white, open_image
from pretext.picture_colorizer import PictureColorizer
from pretext.pretrained import Pretrained, load_pretrained
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import choose_device
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir
from pretext.runtime.whole_file import whole_file
from pretext.tasks.colorization import ColorizationTask

# Formats that hold 8-bit RGB, with what keeps them near what was computed; any other is written as PNG.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".png": {},
    ".webp": {"lossless": True, "exact": True},
    ".tif": {},  # not compressed: libtiff, which would do that, does not write EXIF for Pillow
    ".tiff": {},
    ".bmp": {},
}
_OPAQUE = {".jpg", ".jpeg", ".bmp"}  # the formats that hold no transparency


def colorize(
    images: Sequence[Image.Image | str | Path],
    weights: str | Path | Pretrained = DEFAULT_WEIGHTS,
    *,
    decoding: Decoding | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    size: int | None = None,
    hints: Sequence[Sequence[Hint]] | None = None,
    device: str = "auto",
) -> list[Image.Image]:
    """Each of `images`, pictures or files, colorized: same size, its lightness kept, its own colours not looked at.

    Args:
        weights: what `load_pretrained` takes or returns.
        decoding, temperature, top_k: see `Colorizer`; None takes annealed_mean at the temperature that belongs to the
            weights, and 5 bins.
        size: pixels at which colours are predicted; None takes those of the images that the network was trained on.
        hints: those of each image, for a network that takes hints.
        device: auto takes a GPU where there is one.

    Raises:
        FileNotFoundError: there are no such weights, or no such image.
        ValueError: the weights cannot be opened or do not colorize, or an option is out of range or not of this
            network or decoding.
        BrokenImageError: a file is not an image.
    """
    pretrained = weights if isinstance(weights, Pretrained) else load_pretrained(weights)
    colorizer = _colorizer(pretrained, decoding, temperature, top_k, size)
    pretrained.network.to(choose_device(device))
    opened = (image if isinstance(image, Image.Image) else open_image(Path(image)).image for image in images)
    given = [()] * len(images) if hints is None else hints
    return [colorizer(image, of_image) for image, of_image in zip(opened, given, strict=True)]


def colorize_files(config: ColorizeConfig) -> None:
    """Colorize every image of `config.images` (files, and folders with all below them) into the folder `config.out`.

    A file that is a film becomes a film, see `colorize_film`.

    Names and the structure of folders are kept; a format that cannot hold RGB becomes PNG, its name with .png
    behind. The colorized file is sRGB and keeps transparency, resolution and EXIF as far as its format holds them. What
    a file holds beside the picture that was colorized, and what was left out of a folder, is printed. A file that
    cannot be colorized is named, and the others are colorized.

    Raises:
        FileNotFoundError, ValueError: as for `colorize`; or an image is not there or is a run, two images would have
            one name in the folder, an image would be overwritten, or the folder is inside one of the images.
        RunFailedError: after all others were colorized, the files that could not be.
    """
    targets, left_out = plan_outputs(config.images, config.out)
    if config.frames:
        targets = dict(sorted(targets.items(), key=lambda item: in_order(str(item[1]))))
        if films := [str(source) for source in targets.values() if is_film(source)]:
            raise ValueError(f"{films[0]} is a film and no frame of one; leave out --frames")
    pretrained = load_pretrained(config.weights)
    colorizer = _colorizer(pretrained, config.decoding, config.temperature, config.top_k, config.size)
    pretrained.network.to(choose_device(config.device))
    described: dict[str, object] = {
        "weights": pretrained.sha256,
        "decoding": [config.decoding, config.temperature, config.top_k],
        "size": colorizer.size,
        "smoothing": config.smoothing,
    }
    hints = {}
    if config.hints:
        if config.frames or any(map(is_film, targets.values())):
            raise ValueError(
                "--hints are for pictures, not for films and their frames; leave one of them out"
            )
        require_hints(pretrained.network)
        hints = read_hints(config.hints, list(targets.values()))
    frames, smoother = None, ColourSmoother(config.smoothing)
    if config.frames:
        described["frames"] = list(map(str, targets.values()))
        frames = FrameSequence(colorizer, smoother, config.out / "frames.parts", described)
    num_done = frames.num_done if frames else 0
    failures = []
    with Progress(len(targets), initial=num_done, unit="image") as progress:
        if left_out:
            progress.say(f"left out, as no images that Pillow reads: {listing(left_out)}")
        for target, source in list(targets.items())[num_done:]:
            try:
                for remark in (
                    colorize_film(colorizer, ColourSmoother(config.smoothing), source, target, described)
                    if is_film(source)
                    else _colorize_file(
                        frames or partial(colorizer, hints=hints.get(source, ())), source, target
                    )
                ):
                    progress.say(f"{source}: {remark}")
            except (BrokenImageError, OSError, ValueError, MemoryError, RuntimeError) as error:
                failures.append(f"{source}: {_reason(error)}")
                progress.say(f"not colorized: {failures[-1]}")
            if frames:
                frames.record()
            progress.advance()
    if frames:
        print(frames.finish())
    num_colorized = len(targets) - len(failures)
    print(f"{num_colorized} of {len(targets)} images colorized by {config.weights} -> {config.out}")
    if failures:
        raise RunFailedError(
            f"{len(failures)} of {len(targets)} images were not colorized: {'; '.join(failures)}"
        )


def plan_outputs(images: Sequence[Path], out: Path) -> tuple[dict[Path, Path], Counter[str]]:
    """Output file -> input file, for files and folders, and `FolderSource.left_out` of the folders together.

    Raises ValueError as `colorize_files` does.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give --out a folder")
    targets: dict[Path, Path] = {}
    left_out: Counter[str] = Counter()
    for path in images:
        for source, relative in _inputs(path, out, left_out):
            target = out / relative
            if is_film(source):
                target = film_target(target)
            elif target.suffix.lower() not in SAVE_OPTIONS:
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
    return targets, left_out


def _inputs(path: Path, out: Path, left_out: Counter[str]) -> Iterator[tuple[Path, Path]]:
    """Each file that `path` stands for, with its place below `out`; counts in `left_out` those passed over."""
    if RunDir(path).last_checkpoint.exists():
        raise ValueError(
            f"{path} is a run, not a folder of images; to colorize with it, give --weights {path}"
        )
    if not path.exists():
        raise ValueError(f"there is no image or folder {path}")
    if not path.is_dir():
        yield path, Path(path.name)
        return
    again = "would be colorized again by the next run; give --out a folder outside"
    if out.resolve().is_relative_to(path.resolve()):
        raise ValueError(f"{out} is inside {path}, so what is written there {again} {path}")
    folder = FolderSource(path)
    left_out.update(folder.left_out)
    for index in range(len(folder)):
        source = path / folder.name(index)
        if source.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{source} is a link into {out}, so what is written there {again} {path}")
        yield source, Path(folder.name(index))


def _colorize_file(
    colorizer: Callable[[Image.Image], Image.Image], source: Path, target: Path
) -> tuple[str, ...]:
    """`OpenedImage.remarks`. A function, so that no picture is held while the next one is opened."""
    opened = open_image(source)
    _save_colorized(colorizer(opened.image), opened, target)
    return opened.remarks


def _save_colorized(image: Image.Image, original: OpenedImage, path: Path) -> None:
    """Write `image` in the format that the suffix of `path` names, whole or not at all.

    Transparency, or white in its place, and the original's resolution, EXIF and a profile go with it as far as the
    format holds them.
    """
    suffix = path.suffix.lower()
    kept = {"dpi": original.resolution, "exif": original.exif, "icc_profile": original.profile}
    options = SAVE_OPTIONS[suffix] | {name: value for name, value in kept.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        picture = on_white(image) if suffix in _OPAQUE else image
        picture.save(temporary, format=Image.registered_extensions()[suffix], **options)


def _colorizer(
    pretrained: Pretrained,
    decoding: Decoding | None,
    temperature: float | None,
    top_k: int | None,
    size: int | None,
) -> PictureColorizer:
    """The colorizer that these options ask for; raises ValueError for one that has no effect."""
    if not isinstance(pretrained.colorizing, ColorizationTask):
        for name, number in (("temperature", temperature), ("top_k", top_k)):
            if number is not None:
                raise ValueError(f"{pretrained.origin} has no use for --{name}; leave it out")
        colorizer = pretrained.colorizing.colorizer(pretrained.network, size or pretrained.image_size)
        if decoding is not None:
            colorizer.decode_by(decoding)
        return colorizer
    chosen = decoding or "annealed_mean"
    needed = {"temperature": "annealed_mean", "top_k": "top_k_mean"}
    given = {"decoding": decoding, "temperature": temperature, "top_k": top_k}
    for name, value in given.items():
        if value is not None and pretrained.bins is None:
            raise ValueError(
                f"{pretrained.origin} is a regression network, which has no distribution to decode; leave out --{name}"
            )
        if value is not None and name in needed and needed[name] != chosen:
            raise ValueError(
                f"--{name} has no effect on {chosen}; give --decoding {needed[name]}, or leave it out"
            )
    return Colorizer(
        pretrained.network,
        pretrained.bins,
        size=pretrained.image_size if size is None else size,
        decoding=chosen,
        temperature=pretrained.temperature if temperature is None else temperature,
        top_k=5 if top_k is None else top_k,
    )


def _reason(error: Exception) -> str:
    """Why an image was not colorized; raises `error` again if it is not about the image or the machine."""
    message = " ".join(str(error).split()) or type(error).__name__
    # PyTorch and the libraries below it have no exception of their own for this on a CPU.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in message):
        return "not enough memory for it"
    if isinstance(error, RuntimeError) and not isinstance(error, RunFailedError):
        raise error
    return message
