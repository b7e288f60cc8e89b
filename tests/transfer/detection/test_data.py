"""Images with boxes are checked as a whole, and what is wrong is said in a line, before any training."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from tests.transfer.small_voc import as_coco, edit_annotation, write_small_voc
from transfer.data.sample_voc import CLASSES
from transfer.detection.config import DetectionDataConfig
from transfer.detection.data import data_name, open_detection


@pytest.fixture
def folder(tmp_path):
    return write_small_voc(tmp_path / "VOC2007")


def opened(folder, **changes):
    config = {"train": f"voc:{folder}:train", "test": f"voc:{folder}:val"} | changes
    data = DetectionDataConfig(**config)
    return open_detection(data.train, data.test, data.classes)


def test_what_was_found_is_summed_up(folder):
    (train,), test = opened(folder)
    assert train.classes == test.classes == CLASSES
    counts = train.boxes_by_class()
    said = train.summary()
    assert said.startswith(
        f"voc:{folder}:train: 8 images, {sum(counts.values())} boxes (cup {counts['cup']}, "
    )
    assert "without objects" not in said


def test_boxes_count_from_zero_and_their_ends_are_exclusive(folder):
    def place(root):
        for key, value in {"xmin": 1, "ymin": 1, "xmax": 160, "ymax": 120}.items():
            root.find(f"object/bndbox/{key}").text = str(value)

    edit_annotation(folder, "train_000", place)
    (train,), _ = opened(folder)
    assert train.images[0].boxes[0].corners == (0, 0, 160, 120)


def test_coco_has_the_same_boxes_as_voc(folder, tmp_path):
    as_coco(folder, "train", tmp_path / "train.json")
    as_coco(folder, "val", tmp_path / "val.json")
    images = folder / "JPEGImages"
    (voc,), _ = opened(folder)
    (coco,), test = opened(
        folder,
        train=f"coco:{images}:{tmp_path / 'train.json'}",
        test=f"coco:{images}:{tmp_path / 'val.json'}",
    )
    assert coco.classes == voc.classes
    boxes = [[(box.label, box.corners) for box in image.boxes] for image in coco.images]
    assert boxes == [[(box.label, box.corners) for box in image.boxes] for image in voc.images]
    assert len(test.images) == 6
    assert not coco.notes()
    assert not voc.notes()


def test_images_without_objects_are_counted_and_named(folder):
    for name in ("train_003", "train_005"):
        edit_annotation(folder, name, lambda root: [root.remove(of) for of in root.findall("object")])
    (train,), _ = opened(folder)
    assert train.summary().endswith("; 2 without objects: train_003.jpg, train_005.jpg")


def test_an_image_that_lies_on_its_side_has_the_size_that_is_shown(folder):
    path = folder / "JPEGImages" / "train_000.jpg"
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.rotate(90, expand=True).save(path, exif=exif)
    (train,), _ = opened(folder)
    assert (train.images[0].width, train.images[0].height) == (160, 120)


def _rename(root):
    root.find("object/name").text = "teapot"


def _turn_inside_out(root):
    root.find("object/bndbox/xmax").text = root.findtext("object/bndbox/xmin")
    root.find("object/bndbox/xmin").text = "150"


def _forget_a_corner(root):
    box = root.find("object/bndbox")
    box.remove(box.find("ymin"))


def _grow(root):
    root.find("size/width").text = "161"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            _rename,
            r"train_001\.xml names the class 'teapot', which is none of cup, flower, pagoda; give data\.classes",
        ),
        (
            _turn_inside_out,
            r"train_001\.xml: the box of \w+ reaches from \(149, .* against the order left, top",
        ),
        (_forget_a_corner, r"train_001\.xml: the box of \w+ has no bndbox/ymin"),
        (_grow, r"train_001\.xml says 161 x 120 px, but train_001\.jpg has 160 x 120"),
    ],
)
def test_a_wrong_annotation_is_named_with_its_value(folder, edit, message):
    edit_annotation(folder, "train_001", edit)
    with pytest.raises(ValueError, match=message):
        opened(folder)


def test_several_wrong_images_are_counted(folder):
    for name in ("train_001", "train_002", "train_006"):
        edit_annotation(folder, name, _rename)
    with pytest.raises(ValueError, match=r"train_001.*\(and 2 more images are wrong\)"):
        opened(folder)


def _no_image(folder):
    (folder / "JPEGImages" / "train_002.jpg").unlink()


def _no_annotation(folder):
    (folder / "Annotations" / "train_002.xml").unlink()


def _no_jpeg(folder):
    (folder / "JPEGImages" / "train_002.jpg").write_text("a picture")


def _no_xml(folder):
    (folder / "Annotations" / "train_002.xml").write_text("<annotation>")


def _no_lists(folder):
    for file in (folder / "ImageSets" / "Main").iterdir():
        file.unlink()


def _nothing_to_learn(folder):
    for number in range(8):
        edit_annotation(
            folder, f"train_{number:03d}", lambda root: [root.remove(of) for of in root.findall("object")]
        )


def _no_cup_to_find(folder):
    for number in range(6):
        edit_annotation(
            folder,
            f"val_{number:03d}",
            lambda root: [root.remove(of) for of in root.findall("object") if of.findtext("name") == "cup"],
        )


def _only_difficult_cups(folder):
    for number in range(6):
        edit_annotation(
            folder,
            f"val_{number:03d}",
            lambda root: [
                setattr(entry.find("difficult"), "text", "1")
                for entry in root.findall("object")
                if entry.findtext("name") == "cup"
            ],
        )


def _half_a_jpeg(folder):
    file = folder / "JPEGImages" / "train_002.jpg"
    file.write_bytes(file.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            _no_image,
            r"JPEGImages lacks 1 of the images that .*Main/train\.txt names, the first is 'train_002'",
        ),
        (_no_annotation, r"Annotations/train_002\.xml is missing, but its image is listed"),
        (_no_jpeg, r"train_002\.jpg cannot be read as an image"),
        (_no_xml, r"train_002\.xml cannot be read as XML"),
        (_no_lists, r"ImageSets/Main holds no lists such as trainval\.txt"),
        (_nothing_to_learn, r":train: no image has an object, so there is nothing to learn"),
        (_no_cup_to_find, r":val has no object of class 'cup'"),
        (_only_difficult_cups, r":val has no object of class 'cup' that is not difficult"),
        (_half_a_jpeg, r"train_002\.jpg cannot be read as an image \(.*truncated"),
    ],
)
def test_a_broken_data_set_is_refused(folder, harm, message):
    harm(folder)
    with pytest.raises(ValueError, match=message):
        opened(folder)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("voc:nowhere:train", "there is no folder nowhere"),
        ("voc:{folder}:trian", "no split 'trian'.*did you mean 'train'"),
        ("pictures", "pictures should be voc:FOLDER:SPLIT"),
        ("coco:{folder}/JPEGImages:none.json", r"there is no file none\.json"),
    ],
)
def test_an_address_that_is_none_is_explained(folder, address, message):
    with pytest.raises(ValueError, match=message):
        opened(folder, train=address.format(folder=folder))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda of: of["annotations"][2].update(category_id=77), "annotation 3 is of category 77"),
        (lambda of: of["annotations"][2].update(image_id=7), "annotation 3 is of image 7"),
        (
            lambda of: of["annotations"][0].update(bbox=[50, 0, -20, 20]),
            "annotation 1 on train_000.jpg reaches .* against the order",
        ),
        (
            lambda of: of["images"][0].update(width=99),
            r"image 100 says 99 x 120 px, but train_000\.jpg has 160 x 120",
        ),
        (
            lambda of: of["images"][0].update(file_name="a\nb.jpg"),
            r"image 100: .*a b\.jpg cannot be read as an image \(No such file",
        ),
        (lambda of: of.pop("categories"), "is not a file of COCO annotations: it has no list 'categories'"),
        (lambda of: of["images"][0].pop("id"), r"train\.json: images\[0\] has no id"),
        (lambda of: of["images"][0].pop("file_name"), r"train\.json: image 100 has no file_name"),
        (
            lambda of: of["images"][0].update(width=None, height="tall"),
            "image 100: height is 'tall', expected",
        ),
        (lambda of: of["images"].append(7), r"train\.json: images\[8\] is 7, expected an object"),
        (lambda of: of["images"][1].update(id=100), "image 100 is both 'train_000.jpg' and 'train_001.jpg'"),
        (
            lambda of: of["annotations"][2].update(bbox=[]),
            r"annotation 3: bbox is \[\], expected \[left, top",
        ),
        (lambda of: of["annotations"][2].pop("bbox"), "annotation 3 has no bbox"),
        (
            lambda of: of["annotations"][2].update(bbox=[1, 2, None, 4]),
            "annotation 3: bbox .* is None, expected",
        ),
        (
            lambda of: of["annotations"][2].update(bbox=[1, 2, float("nan"), 4]),
            "one is nan, expected a number",
        ),
        (
            lambda of: of["annotations"][2].update(bbox=[1, 10**400, 3, 4]),
            "annotation 3: bbox .* expected a num",
        ),
        (
            lambda of: of["annotations"][2].update(category_id=[1]),
            r"annotation 3: category_id is \[1\], expected",
        ),
        (lambda of: of["categories"][0].update(name=None), "category 10: name is None, expected text"),
    ],
)
def test_a_wrong_file_of_coco_is_named_with_its_value(folder, tmp_path, edit, message):
    file = tmp_path / "train.json"
    as_coco(folder, "train", file)
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as raised:
        opened(folder, train=f"coco:{folder / 'JPEGImages'}:{file}")
    assert "\n" not in str(raised.value)
    assert "train.json" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, r"train\.json cannot be read as JSON \(maximum recursion"),
        (b'{"images": [\xff]}', r"train\.json cannot be read as JSON \('utf-8' codec"),
        (b'{"images": ' + b"9" * 5000 + b"}", r"train\.json cannot be read as JSON \(Exceeds the limit"),
        (b"null", r"train\.json is not a file of COCO annotations: it has no list 'categories'"),
    ],
)
def test_what_is_not_a_file_of_coco_is_named(folder, tmp_path, content, message):
    file = tmp_path / "train.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        opened(folder, train=f"coco:{folder / 'JPEGImages'}:{file}")


def test_training_and_test_must_have_the_same_classes(folder, tmp_path):
    other = write_small_voc(tmp_path / "other")
    (other / "classes.txt").write_text("cup\nflower\npagoda\nteapot\n")
    with pytest.raises(ValueError, match=r"must have the same classes.*differ in teapot"):
        opened(folder, train=f"voc:{other}:train")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"test": "voc:/data/VOC2007:test"}, "VOC2007 test"),
        ({"test": "coco:/data/coco/val2017:/data/coco/instances_val2017.json"}, "instances_val2017"),
        ({"test": "voc:/data/VOC2007:test", "name": "VOC"}, "VOC"),
    ],
)
def test_the_data_has_a_name_for_the_table(changes, name):
    assert data_name(DetectionDataConfig(train="voc:/data/VOC2007:trainval", **changes)) == name


def test_proposals_are_read_in_detectron2s_format(folder, tmp_path):
    pytest.importorskip("detectron2", reason="install Detectron2: make detection")
    from transfer.detection.loading import detectron_records

    (train,), _ = opened(folder)
    file = tmp_path / "proposals.pkl"
    boxes = [np.array([[0, 0, 50, 60], [10, 10, 20, 20]], np.float32)] * 8
    content = {
        "ids": [image.id for image in train.images],
        "boxes": boxes,
        "objectness_logits": [np.array([0.2, 0.9], np.float32)] * 8,
        "bbox_mode": 0,
    }
    file.write_bytes(pickle.dumps(content))
    _, record = detectron_records(train, str(file))[0]
    np.testing.assert_array_equal(record["proposal_boxes"][0], [10, 10, 20, 20])  # the likelier one first
    content = {key: value if key == "bbox_mode" else value[:7] for key, value in content.items()}
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"proposals\.pkl has no proposals for train_007 of voc:"):
        detectron_records(train, str(file))
    file.write_bytes(b"no pickle")
    with pytest.raises(ValueError, match=r"is not a file of proposals in Detectron2's format"):
        detectron_records(train, str(file))
