"""Classes from folders as torchvision's ImageFolder numbers them, and from CSV files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from pretext.images.labels import labels_from_csv, labels_from_folders, labels_from_texts

NAMES = ["zebra/1.png", "apple/b.png", "apple/a.png", "lamp/deep/x.png"]


def csv_file(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(["image,class", *rows]) + "\n")
    return path


def test_folders_are_classes_numbered_as_torchvision_numbers_them(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / name)
    reference = ImageFolder(str(tmp_path))
    numbers = {Path(path).relative_to(tmp_path).as_posix(): number for path, number in reference.samples}
    labels = labels_from_folders(NAMES)
    assert labels.indices == tuple(numbers[name] for name in NAMES)
    assert labels.class_names == dict(enumerate(reference.classes))


def test_an_image_in_no_folder_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"but 1\.png, 2\.png, 3\.png and 1 more lie in none"):
        labels_from_folders(["cat/0.png", "1.png", "2.png", "3.png", "4.png"])


def test_class_names_of_a_csv_file_are_numbered_by_name_over_the_whole_file(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "1.png,zebra", "2.png,apple", "3.png,lamp")
    labels = labels_from_csv(path, ["3.png", "1.png"])
    assert labels.indices == (1, 2)
    assert labels.class_names == {0: "apple", 1: "lamp", 2: "zebra"}
    labels.check_outputs(3)


def test_whole_numbers_in_a_csv_file_are_the_outputs_themselves(tmp_path: Path) -> None:
    labels = labels_from_csv(
        csv_file(tmp_path, "1.png,954", "2.png,0954", "3.png,7"), ["1.png", "2.png", "3.png"]
    )
    assert labels.indices == (954, 954, 7)
    labels.check_outputs(1000)
    with pytest.raises(ValueError, match="up to class 954 but the classifier's outputs are 0 to 99"):
        labels.check_outputs(100)


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('image,class\n"a, b.png",cat\n', encoding="utf-8-sig")
    assert labels_from_csv(path, ["a, b.png"]).indices == (0,)


@pytest.mark.parametrize(
    "content",
    [
        "image,class\n1.png,cat\n2.png,dog\n\n",
        "image,class\r\n1.png,cat\r\n2.png,dog\r\n\r\n",
        "image,class\r1.png,cat\r2.png,dog",
        '"image","class"\n"1.png","cat"\n\n"2.png"," dog "\n,\n',
        "image;class\n1.png;cat\n2.png;dog\n",
        "image\tclass\n1.png\tcat\n2.png\tdog\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_tables_of_all_spreadsheets_say_the_same(tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode(encoding))
    labels = labels_from_csv(path, ["1.png", "2.png"])
    assert (labels.indices, labels.class_names) == ((0, 1), {0: "cat", 1: "dog"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,class\n1.png,t\xfcr\n", r"labels\.csv is not text in UTF-8: byte 19 is 0xfc"),
        (b"image,class\n1.png," + b"x" * 200_000, r"labels\.csv, line 2: field larger than field limit"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        labels_from_csv(path, ["1.png"])


def test_a_number_that_no_index_can_be_is_a_name(tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"1.png,{10**18}", "2.png,7")
    assert labels_from_csv(path, ["1.png", "2.png"]).class_names == {0: str(10**18), 1: "7"}


@pytest.mark.parametrize("num_outputs", [2, 4, 1000])
def test_classes_numbered_by_name_must_be_as_many_as_the_outputs(num_outputs: int) -> None:
    labels = labels_from_folders(NAMES)
    labels.check_outputs(3)
    with pytest.raises(ValueError, match=f"3 classes but the classifier has {num_outputs} outputs"):
        labels.check_outputs(num_outputs)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["x.png,cat"], r"has no class for 1\.png; its first image is 'x\.png'"),
        (["1.png"], r"line 2: expected image,class but found '1\.png'"),
        (["1.png,"], r"line 2: expected image,class but found '1\.png,'"),
        (["1.png,cat", "1.png,dog"], r"line 3: 1\.png has the class 'dog' but above it has 'cat'"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_an_error_that_names_the_place(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        labels_from_csv(csv_file(tmp_path, *rows), ["1.png"])


def test_an_image_is_found_by_its_name_in_either_unicode_form_and_by_the_same_one_first(
    tmp_path: Path,
) -> None:
    """NFC and NFD of Unicode Standard Annex 15: é as one code point, or as e and an accent."""
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    for written, name in ((composed, decomposed), (decomposed, composed)):
        assert labels_from_csv(csv_file(tmp_path, f"{written},3"), [name]).indices == (3,)
    both = csv_file(tmp_path, f"{composed},3", f"{decomposed},4")
    assert labels_from_csv(both, [decomposed, composed]).indices == (4, 3)


def test_a_csv_file_without_the_header_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("1.png,cat\n")
    with pytest.raises(
        ValueError, match=r"must begin with the line image,class but begins with '1\.png,cat'"
    ):
        labels_from_csv(path, ["1.png"])


def test_texts_are_indices_where_all_are_numbers_and_names_otherwise() -> None:
    assert labels_from_texts(["10", "9"]).class_names == {9: "9", 10: "10"}
    assert labels_from_texts(["10", "9", "cat"]).indices == (0, 1, 2)
