"""Images in a folder, flat or nested, without labels."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pretext.images.image_file import file_stamp, image_extensions, open_rgb
from pretext.images.image_source import ImageSource
from pretext.images.packed_names import PackedNames


class FolderSource(ImageSource):
    """Every image below a folder, in the order of the names, folder by folder.

    Files are recognised by their extension in either case; hidden files and folders are passed over, links
    are followed. Raises ValueError for a folder that is missing or holds no images.

    Attributes:
        left_out: how many files of each other extension there are, in lower case with the dot; "" for none.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ValueError(
                f"{root} is not a folder; give a folder of images, a path or URL of .tar shards, "
                "torchvision:NAME, or sample"
            )
        self._root = root
        self.left_out: Counter[str] = Counter()
        self._names = PackedNames(_image_names(root, self.left_out))
        if not len(self._names):
            instead = f" ({listing(self.left_out)})" if self.left_out else ""
            raise ValueError(
                f"{root} holds no images, nor do its sub-folders{instead}; images are recognised by an extension "
                "that Pillow reads, such as .jpg, .png, .tif or .webp"
            )
        if self.left_out:
            self.remark = f"{root}: left out, as no images that Pillow reads: {listing(self.left_out)}"

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """The path below the folder, with forward slashes."""
        return self._names[index]

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB; see `open_rgb`. Raises BrokenImageError."""
        return open_rgb(self._root / self._names[index], short_side)

    def stamp(self, index: int) -> str:
        """The file's size and time."""
        return file_stamp(self._root / self._names[index])


def listing(left_out: Counter[str]) -> str:
    """`FolderSource.left_out` in words, the most frequent first: `3 .heic, 1 .mp4, 1 without extension`."""
    return ", ".join(f"{count} {suffix or 'without extension'}" for suffix, count in left_out.most_common())


def _image_names(root: Path, left_out: Counter[str]) -> Iterator[str]:
    extensions = image_extensions()
    # A stack of iterators, not recursion: a parent that is linked below itself must not end the walk.
    ancestors = [os.path.realpath(root)]
    pending = [("", iter(_sorted_entries(root)))]
    while pending:
        prefix, entries = pending[-1]
        entry = next(entries, None)
        if entry is None:
            pending.pop()
            ancestors.pop()
        elif entry.is_dir():
            real = os.path.realpath(entry.path)
            if real not in ancestors:
                ancestors.append(real)
                pending.append((f"{prefix}{entry.name}/", iter(_sorted_entries(entry.path))))
        else:
            extension = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
            if extension in extensions:
                yield prefix + entry.name
            else:
                left_out[extension] += 1


def _sorted_entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
