"""A folder of images that another system has colorized, matched with the originals by name."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path
from typing import get_args

from PIL import Image

from eval_colorization.config import Protocol
from eval_colorization.squares import (
    COMPARED,
    SAME_PICTURE,
    compared_box,
    lightness_correlation,
    lightness_grid,
)
from pretext.images.folder import FolderSource
from pretext.images.image_file import BrokenImageError, image_extensions


class ColorizedFolder:
    """The colorized image of every original that has one; see `match_names`.

    Args:
        root: of the colorized images.
        originals: names of all images of the data set, with forward slashes: also those that are not measured have a
            claim to the file that is named as they are.
        chosen: those that are measured.

    Attributes:
        colorized: the colorized images of the chosen originals.
        missing: chosen originals without a colorized image.
        extra: colorized images without an original.
        fingerprint: changes when a file is changed, added or removed.

    Raises:
        ValueError: no such folder, no image in it, or names in it that match more than one way.
    """

    def __init__(self, root: Path, originals: Sequence[str], chosen: Sequence[str]) -> None:
        self.root = root
        self._source = FolderSource(root)
        names = [self._source.name(index) for index in range(len(self._source))]
        try:
            matches = match_names(originals, names, set(chosen))
        except ValueError as error:
            raise ValueError(f"{root}: {error}") from error
        index = {name: index for index, name in enumerate(names)}
        self._index = {name: index[matches[name]] for name in chosen if name in matches}
        self.missing = [name for name in chosen if name not in matches]
        self.colorized = [names[index] for index in self._index.values()]
        used = set(matches.values())
        self.extra = [name for name in names if name not in used]
        self.fingerprint = [
            (name, status.st_size, status.st_mtime_ns)
            for name, status in ((name, (root / name).stat()) for name in names)
        ]

    def open(self, original: str, truth: Image.Image, protocol: Protocol) -> tuple[Image.Image, float]:
        """The colorized image of an original whose true picture is `truth`, and their `lightness_correlation`.

        The image has the proportions of `truth` to a pixel, or is a square of any size: what `protocol` compares of
        the original. A square is refused if its lightness is that of the original under the other protocol: if that
        correlation reaches `SAME_PICTURE` and falls short of 1 by less than half as much as the right one. No square
        was refused wrongly in 72,000 trials on photographs of 20:19 to 16:9. Of the other protocol's squares, with the
        chroma of another photograph and JPEG at quality 30, 0.5 % at most were taken at 5:4 and more, 2 % at 10:9, and
        13 % at 20:19, where the two protocols hardly differ.

        Raises:
            BrokenImageError: it cannot be read.
            ValueError: it has another size, or is the other protocol's square.
        """
        name = self._source.name(self._index[original])
        try:
            image = self._source.open(self._index[original])
        except BrokenImageError as error:
            raise BrokenImageError(f"{self.root / name} cannot be read: {error}") from error
        lightness = lightness_grid(image)
        if abs(image.height * truth.width - image.width * truth.height) <= max(truth.size):
            return image, lightness_correlation(lightness, lightness_grid(truth))
        if image.width != image.height:
            raise ValueError(
                f"{self.root / name} has {image.width} x {image.height} pixels, its original {original} "
                f"{truth.width} x {truth.height}; expected that size, another in the same proportions, or a square"
            )
        correlations: dict[Protocol, float] = {
            cut: lightness_correlation(lightness, lightness_grid(truth, compared_box(truth, cut)))
            for cut in get_args(Protocol)
        }
        right = correlations.pop(protocol)
        ((other, correlation),) = correlations.items()
        if correlation >= SAME_PICTURE and 1 - correlation < (1 - right) / 2:
            raise ValueError(
                f"{self.root / name} looks like {COMPARED[other]} (its original {original} has {truth.width} x "
                f"{truth.height} pixels), but protocol {protocol} compares {COMPARED[protocol]}; set protocol: {other}"
            )
        return image, right


def match_names(originals: Iterable[str], colorized: Iterable[str], chosen: Set[str]) -> dict[str, str]:
    """Original -> colorized image, each at most once, by the most exact of these ways:

    1. the same name;
    2. the same but for the Unicode form (NFC, as Linux and Windows write it, or NFD, as macOS does) and the case of the
       extension;
    3. the original's name with one more extension (`a/b.gif.png`, as `pretext colorize` calls it);
    4. the same without extensions (`a/b.png` for `a/b.jpg`).

    What has found its like in one way is out of the next, so that the image of `b.png` is never taken for that of
    `b.jpg`.

    Raises:
        ValueError: two colorized images match one of the `chosen` originals equally well, or one matches two.
    """
    extensions = image_extensions()

    def without_extension(name: str) -> str:
        stem, dot, extension = name.rpartition(".")
        return stem if dot + extension.lower() in extensions else name

    def plain(name: str) -> str:
        stem = without_extension(name)
        return unicodedata.normalize("NFC", stem) + name[len(stem) :].lower()

    def without_extensions(name: str) -> str:
        shorter = without_extension(name)
        return plain(name) if shorter == name else without_extensions(shorter)

    ways: list[tuple[Callable[[str], str], Callable[[str], str]]] = [
        (str, str),
        (plain, plain),
        (plain, lambda name: plain(without_extension(name))),
        (without_extensions, without_extensions),
    ]
    matches: dict[str, str] = {}
    left, right = dict.fromkeys(originals), dict.fromkeys(colorized)
    for key, colorized_key in ways:
        candidates = _grouped(right, colorized_key)
        for shared, claimants in _grouped(left, key).items():
            if not (images := candidates.get(shared)):
                continue
            if len(images) == len(claimants) == 1:
                matches[claimants[0]] = images[0]
                del left[claimants[0]], right[images[0]]
            elif not chosen.isdisjoint(claimants):
                raise ValueError(_ambiguity(claimants, images))
    return matches


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _ambiguity(originals: Sequence[str], images: Sequence[str]) -> str:
    if len(images) > 1:
        return f"{_both(images)} both match {originals[0]}; keep one of them there"
    return f"{images[0]} matches both {_both(originals)}; give it the whole name of its original"


def _both(names: Sequence[str]) -> str:
    """The first two; those that look alike, written in two Unicode forms, with their code points."""
    one, other = names[:2]
    alike = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    return f"{one!a} and {other!a}" if alike else f"{one} and {other}"
