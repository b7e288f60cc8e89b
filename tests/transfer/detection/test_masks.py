"""Masks in COCO's forms, by COCO's own code (pycocotools), and what of them is refused or left out."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pycocotools", reason="install Detectron2: make detection")

from pycocotools import mask as runs

from tests.transfer.detection.test_coco import content, notes
from tests.transfer.small_voc import run_lengths
from transfer.detection.annotated import mask_format
from transfer.detection.coco import open_coco_boxes
from transfer.detection.data import open_detection
from transfer.detection.masks import coco_mask, data_set_mask, in_json, mask_pixels

WIDTH, HEIGHT = 160, 120
BOX = {"bbox": [10, 20, 30, 40]}
SQUARE = [10, 20, 40, 20, 40, 60, 10, 60]


def disc():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - 50) ** 2 + (columns - 90) ** 2 < 30**2


def compressed(pixels):
    made = runs.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": [HEIGHT, WIDTH], "counts": made["counts"].decode()}


@pytest.mark.parametrize("form", [compressed, run_lengths])
def test_run_lengths_are_the_pixels_that_they_were_made_of(form):
    pixels = disc()
    mask = coco_mask(form(pixels), WIDTH, HEIGHT, "annotation 1")
    assert np.array_equal(mask_pixels(mask, WIDTH, HEIGHT), pixels)
    assert json.loads(json.dumps(in_json(mask))) == compressed(pixels)


@pytest.mark.parametrize("seed", range(20))
def test_compressed_run_lengths_of_any_mask_are_read(seed):
    generator = np.random.default_rng(seed)
    pixels = generator.random((HEIGHT, WIDTH)) < generator.choice([0.001, 0.5, 0.999])
    mask = coco_mask(compressed(pixels), WIDTH, HEIGHT, "annotation 1")
    assert np.array_equal(mask_pixels(mask, WIDTH, HEIGHT), pixels)


def test_polygons_stay_polygons_and_cover_what_coco_s_code_says():
    mask = coco_mask([SQUARE, [100, 20, 120, 20, 120, 30]], WIDTH, HEIGHT, "annotation 1")
    assert in_json(mask) == [SQUARE, [100, 20, 120, 20, 120, 30]]
    pixels = mask_pixels(mask, WIDTH, HEIGHT)
    assert pixels[20:60, 10:40].all()
    assert pixels[:, 60:].sum() == runs.area(
        runs.frPyObjects([[100, 20, 120, 20, 120, 30]], HEIGHT, WIDTH)[0]
    )


def opened(tmp_path, *annotations):
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name)
    file = tmp_path / "train.json"
    file.write_text(json.dumps(content(*annotations)))
    return open_coco_boxes("coco:images:train.json", tmp_path, str(file), None, masks=True)


def test_objects_without_a_pixel_are_left_out_and_named(tmp_path):
    images = opened(
        tmp_path,
        {"id": 1, **BOX, "segmentation": [SQUARE, [1, 2, 3, 4]]},
        {"id": 2, **BOX, "segmentation": []},
        {"id": 3, **BOX, "segmentation": [[1, 2, 3, 4]]},
        {"id": 4, **BOX, "segmentation": [[10, 20, 10, 20, 10, 20]]},
        {"id": 5, **BOX, "segmentation": compressed(disc() & False)},
    )
    (box,) = images.images[0].boxes
    assert in_json(box.mask) == [SQUARE]
    assert notes(images) == [
        "objects whose mask has no pixel, left out: 4 (annotation 2 on a.jpg, annotation 3 on a.jpg, annotation 4 on "
        "a.jpg and 1 more)"
    ]


def test_crowds_of_run_lengths_do_not_make_the_polygons_of_the_others_pixels(tmp_path):
    crowd = {**BOX, "iscrowd": 1, "segmentation": run_lengths(disc())}
    images = opened(tmp_path, {**BOX, "segmentation": [SQUARE]}, crowd)
    assert mask_format([images]) == "polygon"
    assert mask_format([images, opened(tmp_path, crowd | {"iscrowd": 0})]) == "bitmask"


RUNS = {"size": [HEIGHT, WIDTH]}


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "segmentation is None, expected a list of polygons, or run lengths"),
        ([1, 2, 3, 4, 5, 6], r"segmentation is \[1, 2, 3, .*expected a list of polygons"),
        ([[1, 2, 3, 4, 5]], "has a polygon of 5 numbers, expected x, y, x, y"),
        ([[1, 2, 3, 4, "x", 6]], "segmentation has .* of which one is 'x', expected a number"),
        (
            [[200, 20, 240, 20, 240, 60]],
            r"its mask reaches from \(200, 20\) to \(240, 60\), far outside its image of 160 x 120 px",
        ),
        ([[0, 0, 1e300, 0, 5, 5]], "far outside its image"),
        ([[-50, -5, -1, -5, -1, -1]], "far outside its image"),
        (
            {**RUNS, "size": [160, 120]},
            r"run lengths of size \[160, 120\], expected the image's \[120, 160\]",
        ),
        (
            {**RUNS, "counts": [5, 5]},
            r"counts \[5, 5\], which are no run lengths of 19200 pixels \(they are of 10\)",
        ),
        ({**RUNS, "counts": [-1, 19201]}, "no run lengths"),
        ({**RUNS, "counts": []}, "no run lengths"),
        ({**RUNS, "counts": ["a"]}, "no run lengths"),
        ({**RUNS, "counts": ""}, "no run lengths"),
        ({**RUNS, "counts": "~~~"}, r"no run lengths of 19200 pixels"),
        ({**RUNS, "counts": "ü"}, "no run lengths"),
        ({**RUNS}, "no run lengths"),
    ],
)
def test_a_mask_that_cannot_be_of_its_image_is_refused_by_its_number(tmp_path, segmentation, message):
    with pytest.raises(ValueError, match=rf"train\.json: annotation 7 on a\.jpg.*{message}"):
        opened(tmp_path, {"id": 7, **BOX, "segmentation": segmentation})


def test_a_file_without_masks_and_a_layout_without_them_say_how_to_go_on(tmp_path):
    with pytest.raises(ValueError, match=r"annotation 7 on a\.jpg has no segmentation; leave masks out"):
        opened(tmp_path, {"id": 7, **BOX})
    with pytest.raises(ValueError, match=r"voc:.*: VOC's layout has no masks of objects; give COCO's"):
        open_detection(f"voc:{tmp_path}:train", f"voc:{tmp_path}:val", masks=True)


def test_a_data_set_gives_its_masks_as_images():
    pixels = disc()
    target = {"boxes": [[60, 20, 121, 81]], "labels": [1], "masks": pixels[None].astype(np.uint8)}
    data_set = [(Image.new("RGB", (WIDTH, HEIGHT)), target)]
    (train,), _ = open_detection(data_set, data_set, ["disc"], masks=True)
    (box,) = train.images[0].boxes
    assert np.array_equal(mask_pixels(box.mask, WIDTH, HEIGHT), pixels)
    assert data_set_mask(pixels & False, WIDTH, HEIGHT, "box 0") is None
    target["masks"] = pixels[None, ::2]
    with pytest.raises(
        ValueError, match=r"box 0 of image 0 .* its mask has 160 x 60 px, and its image 160 x 120"
    ):
        open_detection(data_set, data_set, ["disc"], masks=True)
    del target["masks"]
    with pytest.raises(
        ValueError, match=r"for masks masks \(n, height, width\), in a dictionary \(KeyError\('masks'\)"
    ):
        open_detection(data_set, data_set, ["disc"], masks=True)
