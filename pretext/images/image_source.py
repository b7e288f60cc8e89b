"""What a source of images is, for this project's own ones and for a user's."""

from typing import Protocol, runtime_checkable

from PIL import Image


@runtime_checkable
class ImageSource(Protocol):
    """A fixed sequence of named images that can be opened in any order, in any process.

    A source of your own derives from this class and defines `__len__` and `open`; it is pickled where worker processes
    are not forked.

    Attributes:
        remark: what the user should know of it, such as files that are left out; empty for nothing.
    """

    remark: str = ""

    def __len__(self) -> int: ...

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB. `short_side` is a permission to decode it smaller, but not smaller than that.

        Raises BrokenImageError, whose message is the reason.
        """
        ...

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The sizes of the runs of indices that lie together (shards) and are best read together; one by default."""
        return (len(self),)

    def name(self, index: int) -> str:
        """What the user knows the image by: a path below the folder, or `shard:key`; its number by default."""
        return f"{index:07}"

    def stamp(self, index: int) -> str:
        """A word that differs when the image of this name is another one."""
        return ""


class SameImages(ImageSource):
    """The images of another source, under their names, opened in another way."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source

    @property
    def remark(self) -> str:  # type: ignore[override]
        """The remark of the images' source."""
        return self._source.remark

    def __len__(self) -> int:
        return len(self._source)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Sizes of the source's groups."""
        return self._source.group_sizes

    def name(self, index: int) -> str:
        """The image's name in the source."""
        return self._source.name(index)

    def stamp(self, index: int) -> str:
        """The image's stamp in the source."""
        return self._source.stamp(index)
