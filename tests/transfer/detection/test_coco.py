"""COCO's JSON as tools write it. The format: cocodataset.org/#format-data, of which few converters write all."""

import json

import pytest
from PIL import Image

from transfer.detection.coco import open_coco_boxes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "deep/c.jpg"):
        Image.new("RGB", (160, 120)).save(tmp_path / "images" / name)
    return tmp_path


def content(*annotations, **changes):
    """The least that a file must hold: two images, two categories, and `annotations` of the first of each."""
    return {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
        "categories": [{"id": 3, "name": "cup"}, {"id": 5, "name": "pot"}],
        "annotations": [{"image_id": 7, "category_id": 3, **annotation} for annotation in annotations],
        **changes,
    }


def opened(folder, values, classes=None, encoding="utf-8"):
    file = folder / "train.json"
    file.write_bytes(json.dumps(values).encode(encoding))
    return open_coco_boxes("coco:images:train.json", folder / "images", str(file), classes)


def notes(images):
    return [note.removeprefix("coco:images:train.json: ") for note in images.notes()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_the_least_that_is_needed_is_read(folder, encoding):
    images = opened(folder, content({"bbox": [10, 20, 30, 40]}), encoding=encoding)
    assert images.classes == ("cup", "pot")
    assert [(image.width, image.height) for image in images.images] == [(160, 120)] * 2
    ((box,), none) = (image.boxes for image in images.images)
    assert box.corners == (10, 20, 40, 60)
    assert (box.crowd, box.difficult) == (False, False)
    assert none == ()
    assert notes(images) == []


def test_boxes_without_a_side_are_left_out_counted_and_named_by_their_numbers(folder):
    flat = [{"id": 918 + n, "bbox": [9.98, 18.56, 5.54, 0.0]} for n in range(4)]
    images = opened(
        folder, content({"id": 1, "bbox": [1, 2, 3, 4]}, *flat, {"id": 9, "bbox": [1, 1, 1e-9, 5]})
    )
    assert images.boxes_by_class() == {"cup": 1, "pot": 0}
    assert notes(images) == [
        "boxes without width or height, left out: 5 (annotation 918 on a.jpg, annotation 919 on a.jpg, "
        "annotation 920 on a.jpg and 2 more)"
    ]


@pytest.mark.parametrize(
    ("bbox", "corners", "note"),
    [
        ([150.5, -0.25, 10, 121], (150.5, 0, 160, 120), "boxes that reach over the border, clipped: 1"),
        ([0, 0, 160.01, 120], (0, 0, 160, 120), "boxes that reach over the border, clipped: 1"),
        ([160, 0, 10, 10], None, "boxes outside their image, left out: 1"),
        ([-1e308, 0, 1e307, 10], None, "boxes outside their image, left out: 1"),
        ([-1e308, -5, 1.7e308, 1e308], (0, 0, 160, 120), "boxes that reach over the border, clipped: 1"),
        ([0, 0, 160, 120], (0, 0, 160, 120), None),
    ],
)
def test_boxes_over_the_border_are_clipped_and_boxes_outside_left_out(folder, bbox, corners, note):
    images = opened(folder, content({"bbox": bbox}))
    assert [box.corners for box in images.images[0].boxes] == ([corners] if corners else [])
    assert notes(images) == ([f"{note} (annotations[0] on a.jpg)"] if note else [])


@pytest.mark.parametrize(
    ("iscrowd", "crowd"), [(0, False), (1, True), (None, False), (True, True), ("0", False), ("1", True)]
)
def test_only_what_says_so_is_a_crowd(folder, iscrowd, crowd):
    outline = {"counts": [0, 100, 19100], "size": [120, 160]}
    annotation = {"bbox": [1, 2, 30, 40], "iscrowd": iscrowd, "segmentation": outline, "keypoints": [1, 2, 2]}
    assert opened(folder, content(annotation)).images[0].boxes[0].crowd == crowd


def test_ids_may_be_text_and_7_is_7_however_it_is_written(folder):
    values = content(
        {"image_id": "7", "category_id": 3.0, "bbox": [1, 2, 3, 4]},
        {"image_id": "x-1", "category_id": "pot", "bbox": [1, 2, 3, 4]},
        {"image_id": "007", "category_id": "3", "bbox": [1, 2, 3, 4]},
        images=[
            {"id": 7.0, "file_name": "a.jpg"},
            {"id": "x-1", "file_name": "b.jpg"},
            {"id": "007", "file_name": "deep/c.jpg"},
        ],
        categories=[{"id": "pot", "name": " pot "}, {"id": 3, "name": "cup"}],
    )
    images = opened(folder, values)
    assert images.classes == ("cup", "pot")
    assert [[box.label for box in image.boxes] for image in images.images] == [[0], [1], [0]]


def test_categories_keep_the_order_of_their_ids_whatever_the_gaps_and_those_that_nothing_shows(folder):
    categories = [
        {"id": number, "name": name} for number, name in ((90, "brush"), (3, "cup"), (11, "hydrant"))
    ]
    images = opened(folder, content({"bbox": [1, 2, 3, 4]}, categories=categories))
    assert images.boxes_by_class() == {"cup": 1, "hydrant": 0, "brush": 0}
    assert opened(
        folder, content({"bbox": [1, 2, 3, 4]}, categories=categories), ["brush"]
    ).boxes_by_class() == {"brush": 0}


def test_categories_of_one_name_are_one_class_and_that_is_said(folder):
    values = content({"bbox": [1, 2, 3, 4]}, {"category_id": 0, "bbox": [5, 6, 7, 8]})
    values["categories"].append({"id": 0, "name": "cup", "supercategory": "none"})
    images = opened(folder, values)
    assert images.boxes_by_class() == {"cup": 2, "pot": 0}
    assert notes(images) == ["categories of one name, which are one class: 1 (cup of 0 and 3)"]


def test_equal_entries_and_equal_numbers_of_annotations_do_no_harm(folder):
    values = content({"id": 1, "bbox": [1, 2, 3, 4]}, {"id": 1, "bbox": [5, 6, 7, 8]})
    values["images"] += [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "a.jpg"}]
    values["categories"].append({"id": 3, "name": "cup"})
    images = opened(folder, values)
    assert [(image.id, len(image.boxes)) for image in images.images] == [(7, 2), (8, 0), (9, 0)]
    assert notes(images) == [
        "files of several entries, each of them an image of its own: 1 (a.jpg of 7 and 9)"
    ]


@pytest.mark.parametrize(("width", "height"), [(160, 120), (160.0, "120"), (0, 0), (None, None), (None, 120)])
def test_a_size_that_is_not_known_is_the_image_s(folder, width, height):
    values = content({"bbox": [1, 2, 3, 4]})
    values["images"][0] |= {"width": width, "height": height}
    assert notes(opened(folder, values)) == []


def test_exchanged_width_and_height_are_said_and_other_sizes_refused(folder):
    values = content({"bbox": [100, 2, 3, 4]})
    values["images"][0] |= {"width": 120, "height": 160}
    assert notes(opened(folder, values)) == [
        "sizes with width and height exchanged, taken from the images: 1 (a.jpg)"
    ]
    values["images"][0] |= {"width": 320, "height": 240}
    with pytest.raises(
        ValueError, match=r"train\.json: image 7 says 320 x 240 px, but a\.jpg has 160 x 120$"
    ):
        opened(folder, values)
