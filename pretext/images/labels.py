"""The classes of images, from their folders or from texts or a CSV file, and the classifier outputs that mean them."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pretext.images.text_files import read_text
from pretext.spelling import first_few

HEADER = ["image", "class"]
SEPARATORS = ",;\t"  # spreadsheets write the second where the comma is the decimal sign
MAX_DIGITS = 18  # of a class that is an index: what a 64-bit number holds


@dataclass(frozen=True)
class Labels:
    """The class of every image.

    Attributes:
        indices: the class of each image, in the order asked for.
        class_names: index -> name of every class known, also of those that no image here shows.
        given: the indices are the user's own; otherwise they number the names of the classes in sorted order.
    """

    indices: tuple[int, ...]
    class_names: dict[int, str]
    given: bool

    def check_outputs(self, num_outputs: int) -> None:
        """Raises ValueError where a classifier with `num_outputs` outputs cannot mean these classes.

        Given indices must lie among its outputs. Classes numbered by name must be as many as the outputs: with
        fewer it cannot be known which outputs are theirs.
        """
        num_classes, highest = len(self.class_names), max(self.class_names)
        if self.given and highest >= num_outputs:
            raise ValueError(
                f"the labels go up to class {highest} but the classifier's outputs are 0 to {num_outputs - 1}: take "
                "a classifier of these classes, or correct the labels"
            )
        if not self.given and num_classes != num_outputs:
            raise ValueError(
                f"there are {num_classes} classes but the classifier has {num_outputs} outputs, so their names in "
                "sorted order do not say which output is whose: take a classifier of exactly these classes, or a CSV "
                "file of image,class with the index of the output as class"
            )


def labels_from_folders(names: Sequence[str]) -> Labels:
    """The class of an image is the first folder of its name; sorted by name they are numbered from 0.

    That is the order of torchvision's ImageFolder. Raises ValueError naming images that lie in no folder.
    """
    homeless = [name for name in names if "/" not in name]
    if homeless:
        raise ValueError(
            f"an image's folder should be its class, but {first_few(homeless)} lie in none: sort the images into one "
            "folder per class, or give a CSV file of image,class"
        )
    folders = [name.partition("/")[0] for name in names]
    return _numbered_by_name(folders, classes=folders)


def labels_from_csv(path: Path, names: Sequence[str]) -> Labels:
    """The classes of the images `names` from a file with the columns image,class; it may hold other images too.

    Where all of its classes are whole numbers they are the indices of the classifier's outputs; otherwise all its
    classes, sorted by name, are numbered from 0. Semicolons or tabs may separate the columns as well; blank lines and
    blanks around a class mean nothing.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another encoding than UTF-8 or UTF-16, another header, a row that is not a pair, two classes of one
            image, an image that is not in it.
    """
    class_of = _read(path)
    # macOS writes names in another Unicode form than Linux and Windows; the name as it is goes first.
    class_of = {_composed(name): label for name, label in class_of.items()} | class_of
    names = [name if name in class_of else _composed(name) for name in names]
    missing = [name for name in names if name not in class_of]
    if missing:
        raise ValueError(
            f"{path} has no class for {first_few(missing)}; its first image is {next(iter(class_of), 'none')!r}: the "
            "names must be those of the data set, with folders and extension"
        )
    return _numbered([class_of[name] for name in names], classes=class_of.values())


def labels_from_texts(texts: Sequence[str]) -> Labels:
    """The classes of images from a text for each, a shard's .cls: numbered as those of a CSV file."""
    return _numbered(texts, classes=texts)


def _numbered(wanted: Sequence[str], *, classes: Iterable[str]) -> Labels:
    if all(label.isdecimal() and len(label) <= MAX_DIGITS for label in classes):
        return Labels(tuple(map(int, wanted)), {int(label): label for label in classes}, given=True)
    return _numbered_by_name(wanted, classes=classes)


def _numbered_by_name(wanted: Sequence[str], *, classes: Iterable[str]) -> Labels:
    names = sorted(set(classes))
    numbers = {name: number for number, name in enumerate(names)}
    return Labels(tuple(numbers[name] for name in wanted), dict(enumerate(names)), given=False)


def _read(path: Path) -> dict[str, str]:
    """Image -> class."""
    text = read_text(path)
    first_line = text.partition("\n")[0]
    separator = next((sign for sign in SEPARATORS if sign in first_line), ",")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    class_of: dict[str, str] = {}
    try:
        header = next(rows, [])
        if [column.strip() for column in header] != HEADER:
            raise ValueError(
                f"{path} must begin with the line image,class but begins with {first_line[:60]!r}"
            )
        for row in rows:
            if not "".join(row).strip():
                continue
            if len(row) != 2 or not all(map(str.strip, row)):
                raise ValueError(
                    f"{path}, line {rows.line_num}: expected image,class but found {separator.join(row)!r}"
                )
            name, label = row[0], row[1].strip()
            if class_of.setdefault(name, label) != label:
                raise ValueError(
                    f"{path}, line {rows.line_num}: {name} has the class {label!r} but above it has "
                    f"{class_of[name]!r}: keep one of the rows"
                )
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    return class_of


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
