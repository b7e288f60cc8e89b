"""A folder of images that another system has painted, matched with the originals by name."""

from collections.abc import Container, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from pretext.data.folder import FolderSource
from pretext.data.images import BrokenImageError, image_extensions


class PaintedFolder:
    """The painted image of every original that has one.

    An original `a/b.jpg` is matched by `a/b.jpg`, or else by the one image `a/b` with any extensions (`a/b.png`,
    or `a/b.jpg.png` as `pretext colorize` calls it).

    Args:
        root: of the painted images.
        originals: names of the images to match, with forward slashes.

    Attributes:
        painted: the painted images that match.
        missing: originals without a painted image.
        extra: painted images without an original.
        fingerprint: changes when a file is changed, added or removed.

    Raises:
        ValueError: no such folder, no image in it, or two images in it that match one original.
    """

    def __init__(self, root: Path, originals: Sequence[str]) -> None:
        self.root = root
        self._source = FolderSource(root)
        painted = [self._source.name(index) for index in range(len(self._source))]
        exact = {name: index for index, name in enumerate(painted)}
        extensions = image_extensions()
        by_stem: dict[str, list[int]] = {}
        for index, name in enumerate(painted):
            by_stem.setdefault(without_extensions(name, extensions), []).append(index)
        self._index: dict[str, int] = {}
        for original in originals:
            stem = without_extensions(original, extensions)
            candidates = [exact[original]] if original in exact else by_stem.get(stem, [])
            if len(candidates) > 1:
                both = " and ".join(painted[index] for index in candidates[:2])
                raise ValueError(f"{root}: {both} both match {original}; keep one of them there")
            if candidates:
                self._index[original] = candidates[0]
        self.missing = [original for original in originals if original not in self._index]
        self.painted = [painted[index] for index in self._index.values()]
        used = set(self._index.values())
        self.extra = [name for index, name in enumerate(painted) if index not in used]
        self.fingerprint = [
            (name, status.st_size, status.st_mtime_ns)
            for name, status in ((name, (root / name).stat()) for name in painted)
        ]

    def open(self, original: str, truth: Image.Image, size: int) -> Image.Image:
        """The painted image of an original whose true picture is `truth`.

        Its size is that of `truth`, or in its proportions to a pixel, or size x size.

        Raises:
            BrokenImageError: it cannot be read.
            ValueError: it has another size.
        """
        name = self._source.name(self._index[original])
        try:
            image = self._source.open(self._index[original])
        except BrokenImageError as error:
            raise BrokenImageError(f"{self.root / name} cannot be read: {error}") from error
        in_proportion = abs(image.height * truth.width - image.width * truth.height) <= max(truth.size)
        if not in_proportion and image.size != (size, size):
            raise ValueError(
                f"{self.root / name} has {image.width} x {image.height} pixels, its original {original} "
                f"{truth.width} x {truth.height}; expected that size, another in the same proportions, or the "
                f"central square of {size} x {size}"
            )
        return image


def without_extensions(name: str, extensions: Container[str]) -> str:
    """`a/b.jpg.png` -> `a/b`."""
    path = PurePosixPath(name)
    while path.suffix.lower() in extensions:
        path = path.with_suffix("")
    return str(path)
