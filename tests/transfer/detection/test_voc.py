"""VOC's XML as tools write it. VOC2007's development kit, section 4: pixels from 1, the last one belongs to the box."""

from pathlib import Path

import pytest
from PIL import Image

from transfer.data.sample_voc import CLASSES
from transfer.detection.voc import open_voc_boxes


def write(folder, objects, *, head="<size><width>160</width><height>120</height></size>", encoding="utf-8"):
    """One image of 160 x 120 px, and its XML."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets/Main/train.txt").write_text("a\n")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    Image.new("RGB", (160, 120)).save(folder / "JPEGImages/a.jpg")
    (folder / "Annotations/a.xml").write_bytes(f"<annotation>{head}{objects}</annotation>".encode(encoding))


def entry(corners, name="cup", more=""):
    tags = "".join(
        f"<{key}>{value}</{key}>"
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{tags}</bndbox></object>"


def opened(folder):
    return open_voc_boxes("voc:data:train", folder, "train", None)


def boxes(folder):
    return [(CLASSES[box.label], box.corners) for box in opened(folder).images[0].boxes]


def notes(folder):
    return [note.removeprefix("voc:data:train: ") for note in opened(folder).notes()]


@pytest.mark.parametrize(
    "head",
    [
        "",
        "<size/>",
        "<size><width>0</width><height>0</height></size>",
        "<size><width></width></size>",
        "<size><width>160.0</width><height> 120 </height></size>",
        "<folder>elsewhere</folder><filename>other.png</filename>",
    ],
)
def test_the_size_and_the_names_that_tools_leave_out_or_zero_are_taken_from_the_image(tmp_path, head):
    write(tmp_path, entry((1, 1, 160, 120)), head=head)
    (image,) = opened(tmp_path).images
    assert (image.width, image.height) == (160, 120)
    assert boxes(tmp_path) == [("cup", (0, 0, 160, 120))]
    assert not notes(tmp_path)


@pytest.mark.parametrize(
    ("tag", "difficult"), [("", 0), ("0", 0), ("1", 1), (" true ", 1), ("Unspecified", 0)]
)
def test_an_object_without_the_tag_is_not_difficult(tmp_path, tag, difficult):
    write(tmp_path, entry((1, 1, 9, 9), more=f"<difficult>{tag}</difficult>" if tag else ""))
    assert opened(tmp_path).images[0].boxes[0].difficult == difficult


def test_the_parts_of_a_person_are_no_objects_and_blanks_no_part_of_a_name(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    tags = entry((11, 21, 30, 40), name="\n  cup ").replace("<object>", f"<object>{part}")
    write(tmp_path, tags)
    assert boxes(tmp_path) == [("cup", (10, 20, 30, 40))]


def test_decimals_are_rounded_to_whole_pixels_and_counted(tmp_path):
    write(tmp_path, entry((10.6, 20.4, 61.7, "40.0")) + entry((1, 1, 9, 9)))
    assert boxes(tmp_path) == [("cup", (10, 19, 62, 40)), ("cup", (0, 0, 9, 9))]
    assert notes(tmp_path) == [
        "boxes whose corners have decimals, rounded to whole pixels as VOC's are: 1 (cup in a.xml)"
    ]


def test_boxes_over_the_border_are_clipped_and_those_that_show_nothing_left_out(tmp_path):
    write(
        tmp_path,
        entry((0, -5, 170, 120))
        + entry((161, 1, 170, 120), "flower")
        + entry((50, 50, 50, 90), "pagoda")
        + entry((3, 9, 7, 9), "pagoda"),
    )
    assert boxes(tmp_path) == [("cup", (0, 0, 160, 120))]
    assert notes(tmp_path) == [
        "boxes that reach over the border, clipped: 1 (cup in a.xml)",
        "boxes outside their image, left out: 1 (flower in a.xml)",
        "boxes without width or height, left out: 2 (pagoda in a.xml, pagoda in a.xml)",
    ]


def test_of_two_equal_boxes_of_a_class_the_one_that_is_not_difficult_is_used(tmp_path):
    difficult = "<difficult>1</difficult>"
    write(
        tmp_path,
        entry((1, 1, 9, 9), more=difficult) + entry((1, 1, 9, 9)) + entry((1, 1, 9, 9), "flower", difficult),
    )
    kept = [(box.label, box.difficult) for box in opened(tmp_path).images[0].boxes]
    assert kept == [(0, False), (1, True)]
    assert notes(tmp_path) == ["boxes that are there twice, used once: 1 (cup in a.xml)"]


EXCHANGED = "<size><width>120</width><height>160</height></size>"


def test_exchanged_width_and_height_are_taken_from_the_image_where_the_boxes_fit_it(tmp_path):
    write(tmp_path, entry((100, 50, 150, 100)), head=EXCHANGED)
    assert boxes(tmp_path) == [("cup", (99, 49, 150, 100))]
    assert notes(tmp_path) == ["sizes with width and height exchanged, taken from the images: 1 (a.jpg)"]
    write(tmp_path, entry((50, 100, 100, 150)), head=EXCHANGED)
    with pytest.raises(ValueError, match=r"a\.xml says 120 x 160 px, but a\.jpg has 160 x 120$"):
        opened(tmp_path)


def test_boxes_of_an_image_that_is_turned_by_its_exif_are_refused(tmp_path):
    write(tmp_path, entry((1, 1, 9, 9)), head=EXCHANGED)
    picture = Image.new("RGB", (120, 160))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "JPEGImages/a.jpg", exif=exif)
    with pytest.raises(
        ValueError, match=r"a\.xml says 120 x 160 px, but a\.jpg has 160 x 120, turned as its EXIF"
    ):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("utf-8", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("ISO-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
        ("UTF-8", "utf-8"),
    ],
)
def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path, declared, encoding):
    write(tmp_path, "")
    text = f"<?xml version='1.0' encoding='{declared}'?>\n<annotation>{entry((1, 1, 9, 9), 'théière')}</annotation>"
    (tmp_path / "Annotations/a.xml").write_bytes(text.encode(encoding))
    (tmp_path / "classes.txt").write_text("théière\n", encoding="utf-8")
    assert opened(tmp_path).boxes_by_class() == {"théière": 1}


def test_xml_in_an_encoding_of_several_bytes_and_in_a_namespace_is_read(tmp_path):
    write(tmp_path, "")
    text = f"<?xml version='1.0' encoding='gb2312'?><annotation xmlns='urn:x'>{entry((1, 1, 9, 9), '杯')}</annotation>"
    (tmp_path / "Annotations/a.xml").write_bytes(text.encode("gb2312"))
    (tmp_path / "classes.txt").write_text("杯\n", encoding="utf-8")
    assert opened(tmp_path).boxes_by_class() == {"杯": 1}


def test_files_with_extensions_in_capitals_are_read(tmp_path):
    write(tmp_path, entry((1, 1, 9, 9)))
    (tmp_path / "Annotations/a.xml").rename(tmp_path / "Annotations/a.XML")
    (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "JPEGImages/a.JPG")
    assert boxes(tmp_path) == [("cup", (0, 0, 9, 9))]


def bomb(depth=12):
    entities = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, depth))
    return (
        f"<!DOCTYPE a [<!ENTITY e0 'x'>{entities}]><annotation><folder>&e{depth - 1};</folder></annotation>"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<?xml version='1.0' encoding='klingon'?><a/>", r"a\.xml cannot be read as XML \(unknown encoding"),
        (b"<annotation>\xff</annotation>", r"a\.xml cannot be read as XML \(not well-formed"),
        (bomb().encode(), r"a\.xml cannot be read as XML \(limit on input amplification"),
        (entry((1, 1, 9, "x")).encode(), r"a\.xml: the box of cup: ymax is 'x', expected a number"),
        (entry((1, 1, "nan", 9)).encode(), r"a\.xml: the box of cup: xmax is 'nan', expected a number"),
        (entry((1, 1, "", 9)).encode(), r"a\.xml: the box of cup: xmax is '', expected a number"),
        (b"<object><name>cup</name></object>", r"a\.xml: the box of cup has no bndbox"),
        (
            entry((1, 1, 9, 9), "").encode(),
            r"a\.xml names the class '', which is none of cup, flower, pagoda",
        ),
        (b"<a><size><width>wide</width></size></a>", r"a\.xml: size/width is 'wide', expected a number"),
        (
            b"<a><size><width>-160</width><height>120</height></size></a>",
            r"a\.xml says -160 x 120 px, but a\.jpg",
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_of_one_line_that_names_file_and_value(
    tmp_path: Path, content: bytes, message: str
) -> None:
    write(tmp_path, "")
    (tmp_path / "Annotations/a.xml").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        opened(tmp_path)
    assert "\n" not in str(raised.value)
