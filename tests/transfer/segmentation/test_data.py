import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.transfer.small_voc import write_small_voc
from transfer.data.sample_voc import CLASSES
from transfer.segmentation.config import SegmentationDataConfig
from transfer.segmentation.data import data_name, open_segmentation, overlap
from transfer.segmentation.layouts import CITYSCAPES_CLASSES


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_small_voc(tmp_path_factory.mktemp("data") / "voc")


@pytest.fixture
def voc(sample, tmp_path):
    """A copy to break."""
    return shutil.copytree(sample, tmp_path / "voc")


def opened(data):
    return open_segmentation(data.train, data.test, data.classes)


def config(folder, **changes):
    values = {"train": f"voc:{folder}:train", "test": f"voc:{folder}:val"} | changes
    return SegmentationDataConfig(**values)


def mask_of(folder, name="train_000"):
    return folder / "SegmentationClass" / f"{name}.png"


def write_labels(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels, np.uint8)).save(path)


def write_noise(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)


def test_every_pixel_of_vocs_layout_is_counted_under_its_class(sample):
    (train,), test = opened(config(sample))
    assert train.classes == test.classes == ("background", *CLASSES)
    assert (len(train.images), len(test.images)) == (8, 6)
    labels = np.concatenate([image.read()[1].ravel() for image in test.images])
    assert test.pixels_by_class() == {
        name: int((labels == label).sum()) for label, name in enumerate(test.classes)
    }
    assert test.images_by_class()["background"] == 6


def test_the_augmented_voc_is_two_lists_with_masks_in_two_folders_and_images_of_any_suffix(voc):
    shutil.copytree(voc / "SegmentationClass", voc / "SegmentationClassAug")
    lists = voc / "ImageSets" / "Segmentation"
    names = (lists / "train.txt").read_text().split()
    (lists / "train.txt").write_text("\n".join(names[:4]))
    (lists / "aug.txt").write_text("\n".join(names[4:]))
    for name in names[4:]:
        mask_of(voc, name).unlink()
    photograph = voc / "JPEGImages" / "train_005.jpg"
    Image.open(photograph).save(photograph.with_suffix(".png"))
    photograph.unlink()
    train, test = opened(config(voc, train=[f"voc:{voc}:train", f"voc:{voc}:aug:SegmentationClassAug"]))
    assert [len(images.images) for images in train] == [4, 4]
    picture, labels = train[1].images[1].read()
    assert (Path(train[1].images[1].name).name, picture.size) == ("train_005.png", (160, 120))
    masks = voc / "SegmentationClassAug"
    assert np.array_equal(labels, np.array(Image.open(masks / "train_005.png")))
    assert overlap(train, test) == 0
    assert overlap([test], test) == 6


def test_images_of_background_alone_are_counted_and_not_refused(voc):
    write_labels(mask_of(voc), np.zeros((120, 160)))
    (train,), test = opened(config(voc))
    assert train.num_background_only == 1
    assert "8 images, with classes (share of pixels, images) background " in train.summary()
    assert train.summary().endswith("; 1 are only background")
    assert "background" not in test.summary().partition("; ")[2]


def test_cityscapes_is_read_in_its_layout_with_its_19_classes(tmp_path):
    root = tmp_path / "cityscapes"
    labels = np.append(np.arange(19), 255).reshape(4, 5)
    for split in ("train", "val"):
        name = f"bonn/bonn_{split}_0"
        write_noise(root / "leftImg8bit" / split / f"{name}_leftImg8bit.png", 4, 5)
        write_labels(root / "gtFine" / split / f"{name}_gtFine_labelTrainIds.png", labels)
    given = SegmentationDataConfig(train=f"cityscapes:{root}:train", test=f"cityscapes:{root}:val")
    (_,), test = opened(given)
    assert test.pixels_by_class() == dict.fromkeys(CITYSCAPES_CLASSES, 1)
    assert data_name(given) == "cityscapes val"

    for path in root.rglob("*_labelTrainIds.png"):
        path.rename(path.with_name(path.name.replace("TrainIds", "Ids")))
    with pytest.raises(ValueError, match=r"labelTrainIds.png is missing.*csCreateTrainIdLabelImgs"):
        opened(given)


def test_ade20ks_label_0_is_void_and_its_classes_begin_at_1(tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    for split in ("training", "validation"):
        write_noise(root / "images" / split / "ADE_1.jpg", 2, 3)
        write_labels(root / "annotations" / split / "ADE_1.png", [[0, 1, 1], [2, 3, 3]])
    given = SegmentationDataConfig(train=f"ade20k:{root}:training", test=f"ade20k:{root}:validation")
    with pytest.raises(ValueError, match=r"objectInfo150.txt is missing"):
        opened(given)
    (root / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
        "1\t0.2\t9\t9\t1\twall\n2\t0.1\t9\t9\t1\tbuilding, edifice\n3\t0.1\t9\t9\t1\tsky\n"
    )
    (_,), test = opened(given)
    assert test.pixels_by_class() == {"wall": 2, "building, edifice": 1, "sky": 2}
    assert data_name(given) == "ADEChallengeData2016 validation"
    (root / "objectInfo150.txt").write_text("Idx\tName\n")
    with pytest.raises(ValueError, match=r"objectInfo150.txt should name each class once"):
        opened(given)


def without_background(folder):
    """As in CamVid: each pixel is of a named class."""
    for path in (folder / "SegmentationClass").glob("*.png"):
        labels = np.array(Image.open(path))
        write_labels(path, np.where(labels == 0, 3, labels))


def test_a_background_that_no_mask_shows_is_said_and_not_refused(voc):
    without_background(voc)
    (train,), test = opened(config(voc))
    assert test.classes == ("background", *CLASSES)
    assert test.shown_classes == CLASSES
    assert test.notes() == [
        f"voc:{voc}:val: no mask shows the background (0): a mean over classes is of the 3 that are shown"
    ]
    assert len(train.notes()) == 1
    assert test.num_background_only == 0


def test_images_are_listed_with_extensions_and_blanks_and_files_may_be_named_in_capitals(voc):
    photograph, mask = voc / "JPEGImages/train_000.jpg", mask_of(voc)
    photograph.rename(photograph.with_name("my photo 1.JPG"))
    mask.rename(mask.with_name("my photo 1.PNG"))
    names = voc / "ImageSets/Segmentation/train.txt"
    names.write_bytes("\ufeffmy photo 1.jpg\r\n\r\ntrain_001.JPG\r\ntrain_001\r\n".encode())
    (train,), _ = opened(config(voc))
    assert [Path(image.name).name for image in train.images] == ["my photo 1.JPG", "train_001.jpg"]
    assert np.array_equal(train.images[0].read()[1], np.array(Image.open(mask.with_name("my photo 1.PNG"))))
    assert train.notes() == [f"voc:{voc}:train: images that are listed twice, used once: 1 (train_001)"]


def mark_with_255(folder, split):
    """Masks as of one class: 255 where an object is."""
    for path in (folder / "SegmentationClass").glob(f"{split}_*.png"):
        labels = np.array(Image.open(path))
        write_labels(path, np.where(labels > 0, 255, 0))


def write_mask(folder, mode):
    Image.new(mode, (160, 120)).save(mask_of(folder))


def rename_class(folder):
    (folder / "classes.txt").write_text("cup\nflower\n")


def drop_class_from_test(folder):
    for path in (folder / "SegmentationClass").glob("val_*.png"):
        labels = np.array(Image.open(path))
        write_labels(path, np.where(labels == 2, 0, labels))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda voc: mask_of(voc).unlink(),
            r"SegmentationClass/train_000.png is missing, but its image is listed",
        ),
        (
            lambda voc: (voc / "JPEGImages/train_000.jpg").unlink(),
            r"JPEGImages lacks 1 of the images that .*Segmentation/train.txt names, the first is 'train_000'",
        ),
        (
            lambda voc: (voc / "JPEGImages/val_001.jpg").write_bytes(b"no image"),
            r"val_001.jpg cannot be read as an image \(not an image",
        ),
        (
            lambda voc: mask_of(voc).write_bytes(mask_of(voc).read_bytes()[:200]),
            r"train_000.png cannot be read as a mask \(",
        ),
        (
            lambda voc: write_labels(mask_of(voc), np.zeros((100, 160))),
            r"train_000.png has 160 x 100 px, but train_000.jpg has 160 x 120$",
        ),
        (
            lambda voc: write_labels(mask_of(voc), np.full((120, 160), 7)),
            r"train_000.png has the label 7, but 4 classes have the labels 0 to 3 \(255 is void\)",
        ),
        (
            lambda voc: write_noise(mask_of(voc), 120, 160),
            r"train_000.png is a PNG of mode RGB, expected a PNG of one 8-bit channel, or with a palette",
        ),
        (
            lambda voc: write_labels(mask_of(voc), np.full((120, 160), 255)),
            r"train_000.png labels no pixel, all are void \(255\); leave the image out of the training split",
        ),
        (
            lambda voc: mark_with_255(voc, "train"),
            r"voc:train: the masks, such as that of .*train_000.jpg, show none of cup, flower, pagoda, nothing but 0, "
            r"the background, or 255, which is void and no class; write the classes as 1 to 3",
        ),
        (
            lambda voc: mark_with_255(voc, "val"),
            r"voc:val: the masks, .*255, which is void and no class; write the classes as 1 to 3",
        ),
        (lambda voc: write_mask(voc, "RGBA"), r"train_000.png is a PNG of mode RGBA, .*without alpha$"),
        (lambda voc: write_mask(voc, "LA"), r"train_000.png is a PNG of mode LA, .*without alpha$"),
        (
            lambda voc: write_mask(voc, "I;16"),
            r"train_000.png is a PNG of mode I;16, expected a PNG of one 8-bit",
        ),
        (
            lambda voc: (voc / "classes.txt").write_text("background\ncup\nflower\npagoda\n"),
            "classes of VOC's layout are named without the background, which is 0 in a mask; leave it out",
        ),
        (
            lambda voc: (voc / "classes.txt").write_bytes("Tür\n".encode("latin-1")),
            r"classes.txt is not text in UTF-8: byte 1 is 0xfc",
        ),
        (
            rename_class,
            r"has the label 3, but 3 classes have the labels 0 to 2 .* \(and \d+ more images are wrong\)",
        ),
        (drop_class_from_test, r"voc:val has no pixel of flower, so a mean over classes means nothing"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused_in_one_line_that_names_the_file(voc, break_it, message):
    break_it(voc)
    with pytest.raises(ValueError, match=message) as raised:
        opened(config(voc))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": "coco:somewhere:val"}, "coco:somewhere:val should be voc:FOLDER:SPLIT"),
        ({"train": "voc:nowhere:train"}, "voc:nowhere:train: there is no folder nowhere"),
        ({"train": "cityscapes:{}:val", "classes": ["cup"]}, "data.classes is for VOC's layout"),
        ({"test": "cityscapes:{}:val"}, "leftImg8bit holds no split such as val"),
        ({"train": "voc:{}:trian"}, r"there is no split 'trian' \(did you mean 'train'\?\)"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_in_one_line(sample, changes, message):
    changes = {
        key: value.format(sample) if isinstance(value, str) else value for key, value in changes.items()
    }
    with pytest.raises(ValueError, match=message):
        opened(config(sample, **changes))


def test_training_and_test_data_with_other_classes_are_refused(sample, voc):
    (voc / "classes.txt").write_text("cup\nblossom\npagoda\n")
    with pytest.raises(
        ValueError, match=r"must have the same classes .* differ in blossom, flower; give data.classes"
    ):
        opened(config(sample, test=f"voc:{voc}:val"))
    names = list(CLASSES)
    (train,), _ = opened(config(sample, test=f"voc:{voc}:val", classes=names))
    assert train.classes == ("background", *names)


def test_the_results_name_the_data_after_the_test_split_unless_the_user_does(sample):
    assert data_name(config("VOCdevkit/VOC2012")) == "VOC2012 val"
    assert data_name(config(sample, name="mine")) == "mine"
