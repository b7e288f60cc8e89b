"""The small data set in PASCAL VOC's layout that is made of the bundled photographs."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCDetection, VOCSegmentation

from transfer.__main__ import main
from transfer.data.sample_voc import CLASSES, VOID, write_sample_voc
from transfer.data.voc import class_names, listed_images, open_voc


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "VOCdevkit" / "VOC2012"
    write_sample_voc(folder, num_train=12, num_val=8)
    return folder


def test_torchvision_reads_it_as_pascal_voc(folder):
    boxes, masks = (
        reader(str(folder.parents[1]), year="2012", image_set="train")
        for reader in (VOCDetection, VOCSegmentation)
    )
    assert len(boxes) == len(masks) == 12
    assert boxes[0][1]["annotation"]["filename"] == "train_000.jpg"
    picture, mask = masks[0]
    with mask:
        assert picture.size == mask.size == (160, 120)


def test_its_classes_and_splits_are_found(folder):
    assert class_names(folder) == CLASSES
    for kind in ("Main", "Segmentation"):
        assert len(listed_images(folder, kind, "val")[0]) == 8


def test_a_box_encloses_exactly_the_pixels_of_its_object(folder):
    for name in listed_images(folder, "Main", "train")[0]:
        mask = np.array(Image.open(folder / "SegmentationClass" / f"{name}.png"))
        objects = ElementTree.parse(folder / "Annotations" / f"{name}.xml").findall("object")
        assert objects
        for of in objects:
            rows, columns = np.nonzero(mask == 1 + CLASSES.index(of.findtext("name")))
            box = [int(of.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
            found = [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]
            # The void border may cover the object's outermost pixels.
            np.testing.assert_allclose(box, found, atol=2)
        assert set(np.unique(mask)) <= {0, VOID, *(1 + CLASSES.index(of.findtext("name")) for of in objects)}


def test_the_lists_of_labels_say_what_the_images_show(folder):
    source, classes, labels = open_voc(folder, "train")
    for index, row in enumerate(labels):
        name = source.name(index).removesuffix(".jpg")
        shown = {
            of.findtext("name")
            for of in ElementTree.parse(folder / "Annotations" / f"{name}.xml").iter("object")
        }
        assert {of_class for of_class, label in zip(classes, row, strict=True) if label == 1} == shown


def test_the_seed_makes_it(folder, tmp_path):
    for seed, equal in ((0, True), (1, False)):
        other = tmp_path / str(seed)
        write_sample_voc(other, num_train=3, num_val=3, seed=seed)
        same = [
            (other / file).read_bytes() == (folder / file).read_bytes()
            for file in ("JPEGImages/val_002.jpg", "Annotations/train_001.xml")
        ]
        assert all(same) if equal else not all(same)


def test_the_command_writes_it_and_says_how_to_name_its_splits(tmp_path, capsys):
    argv = ["sample-voc", str(tmp_path / "voc")]
    assert main(argv) == 0
    assert capsys.readouterr().out == f"the splits voc:{tmp_path}/voc:train and voc:{tmp_path}/voc:val\n"
    assert len(listed_images(tmp_path / "voc", "Main", "train")[0]) == 60
    assert main(argv) == 1
    assert "is not empty" in capsys.readouterr().err


def test_files_are_never_overwritten(folder):
    with pytest.raises(FileExistsError, match="is not empty"):
        write_sample_voc(folder)
