import numpy as np
import pytest

from pretext.images.image_source import ImageSource
from transfer.data.labelled import LabelledImages, images_by_class, take_label_share


class Numbered(ImageSource):
    """Images that are only counted and named."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def open(self, index, short_side=None):
        raise AssertionError("a share is drawn without opening images")


def single_label(*counts):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    classes = tuple(f"class {index}" for index in range(len(counts)))
    return LabelledImages(source=Numbered(len(labels)), classes=classes, labels=labels, name="numbers")


def multi_label(labels):
    classes = tuple(f"class {index}" for index in range(labels.shape[1]))
    return LabelledImages(source=Numbered(len(labels)), classes=classes, labels=labels, name="numbers")


def names(images):
    return [images.source.name(index) for index in range(len(images.source))]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, [13, 7, 1]), (0.1, [130, 73, 1]), (1.0, [1300, 732, 3])]
)
def test_each_class_gives_its_share_and_at_least_one_image(share, expected):
    images = single_label(1300, 732, 3)
    chosen = take_label_share(images, share, seed=0)
    assert images_by_class(chosen).tolist() == expected
    assert [images.labels[int(name)] for name in names(chosen)] == chosen.labels.tolist()


def test_a_seed_gives_the_same_images_again_and_another_gives_others():
    images = single_label(200, 200)
    assert names(take_label_share(images, 0.1, 3)) == names(take_label_share(images, 0.1, 3))
    assert names(take_label_share(images, 0.1, 3)) != names(take_label_share(images, 0.1, 4))


def test_what_one_percent_takes_is_part_of_what_ten_percent_take():
    images = single_label(300, 500)
    assert set(names(take_label_share(images, 0.01, 0))) < set(names(take_label_share(images, 0.1, 0)))


def test_the_images_of_a_class_do_not_depend_on_the_other_classes():
    few, many = (
        LabelledImages(
            source=Numbered(count), classes=("a", "b"), labels=np.repeat([0, 1], [50, count - 50]), name=""
        )
        for count in (60, 90)
    )
    shares = [take_label_share(images, 0.2, 0) for images in (few, many)]
    assert names(shares[0])[:10] == names(shares[1])[:10]


def test_a_share_of_multi_label_images_counts_images_and_keeps_a_positive_of_each_class():
    labels = np.where(np.random.default_rng(0).random((200, 5)) < 0.3, 1, -1).astype(np.int8)
    chosen = take_label_share(multi_label(labels), 0.1, seed=0)
    assert len(chosen.source) == 20
    assert (images_by_class(chosen) == (chosen.labels == 1).sum(0)).all()
    assert (images_by_class(chosen) > 0).all()


def test_a_share_that_loses_a_class_of_multi_label_images_names_it():
    labels = np.full((100, 2), -1, np.int8)
    labels[:, 0] = 1
    labels[0, 1] = 1
    lost = [
        seed
        for seed in range(20)
        if "0" not in names(take_label_share(multi_label(labels[:, :1]), 0.1, seed))
    ]
    with pytest.raises(ValueError, match=r"leaves no positive one of class 1; take a larger share"):
        take_label_share(multi_label(labels), 0.1, seed=lost[0])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        take_label_share(single_label(3), share, seed=0)
