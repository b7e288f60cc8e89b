"""A data source of one's own: `pretext train --data.train mydata:Photos:photos.txt`."""

from pathlib import Path

from PIL import Image

from pretext import ImageSource, open_rgb


class Photos(ImageSource):
    """The images that a text file lists, one path per line, seen from the file's folder."""

    def __init__(self, listing: str) -> None:
        self.folder = Path(listing).parent
        self.paths = Path(listing).read_text().split("\n")[:-1]

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        return open_rgb(self.folder / self.paths[index], short_side)

    def name(self, index: int) -> str:
        return self.paths[index]
