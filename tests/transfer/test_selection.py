"""What is left open is chosen on images that are not the test's."""

from dataclasses import replace

import numpy as np
import pytest

import transfer
from pretext.images.sample import sample_source
from transfer.config import SelectionDataConfig
from transfer.data.labelled import LabelledImages
from transfer.selection import hold_out, open_selection

CLASSES = ("bird", "cat", "dog")
CONFIG = SelectionDataConfig(train="train", test="val")


def labelled(labels):
    return LabelledImages(
        source=sample_source("train"), classes=CLASSES, labels=np.array(labels), name="made"
    )


MANY = labelled(np.repeat([0, 1, 2], [100, 50, 10]))


def choose(validation, config=CONFIG, *, left_open=True):
    return open_selection(validation, MANY, MANY, config, seed=0, left_open=left_open)


def test_of_each_class_the_same_share_is_held_out_drawn_by_the_seed():
    held_out = hold_out(MANY, 0.1, seed=0)
    assert np.bincount(MANY.labels[held_out]).tolist() == [10, 5, 1]
    assert np.array_equal(held_out, np.unique(held_out))
    assert np.array_equal(held_out, hold_out(MANY, 0.1, seed=0))
    assert not np.array_equal(held_out, hold_out(MANY, 0.1, seed=1))


def test_no_training_image_is_on_both_sides():
    selection = choose(0.3)
    rest = np.setdiff1d(np.arange(160), selection.held_out)
    assert len(selection.images.labels) == len(selection.held_out) == 48
    assert np.array_equal(selection.remaining(MANY).labels, MANY.labels[rest])


def test_a_tenth_is_held_out_where_something_is_left_open_and_nothing_where_nothing_is():
    assert choose(None).described == "16 of 160 training images, held out by seed 0"
    assert choose(None, left_open=False) is None


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.1])
def test_a_share_that_is_none_is_named(share):
    with pytest.raises(ValueError, match=r"data\.validation is .*, expected a share of more than 0 and less"):
        choose(share)


def test_a_class_that_one_side_would_lack_is_named_with_the_way_out():
    images = labelled([0, 0, 1, 2, 2])
    with pytest.raises(ValueError, match=r"takes 1 of 1 training images of 'cat' .*give a validation set of"):
        hold_out(images, 0.1, seed=0)
    signs = np.array([[1, -1, -1], *[[-1, 1, 1]] * 9], np.int8)
    with pytest.raises(ValueError, match=r"takes \d of 1 training images of 'bird'"):
        hold_out(labelled(signs), 0.5, seed=0)


def test_a_set_of_its_own_has_the_classes_of_training_in_their_order():
    turned = replace(labelled([0, 1, 2, 2]), classes=("dog", "cat", "bird"))
    selection = choose(turned)
    assert selection.images.labels.tolist() == [2, 1, 0, 0]
    assert selection.remaining(MANY) is MANY
    with pytest.raises(ValueError, match="only train and not made has images of bird"):
        choose(replace(turned, classes=("dog", "cat", "ox")))


def test_the_test_images_are_chosen_on_by_their_word_alone():
    assert choose("test").chosen_on == "test"
    with pytest.raises(ValueError, match=r"both val; to choose on the test images.*--data\.validation test"):
        choose("val")


@pytest.mark.parametrize("validation", [None, 0.1, "test"])
def test_labels_of_a_set_that_is_not_given_are_refused(validation):
    with pytest.raises(
        ValueError, match=r"validation_labels labels\.csv .*give that set as data\.validation"
    ):
        choose(validation, replace(CONFIG, validation_labels="labels.csv"))


SMALL = {"image_size": 40, "crop_size": 32, "num_workers": 0, "seed": 3, "device": "cpu"}


@pytest.fixture(scope="module")
def photographs():
    """The bundled photographs, four for training and the rest for the test, of two classes by their number."""

    def of(split):
        source = sample_source(split)
        return LabelledImages(
            source=source, classes=("even", "odd"), labels=np.arange(len(source)) % 2, name=split
        )

    return of("train"), of("validation")


def split_of(train):
    held_out = hold_out(train, 0.4, seed=3)
    return train.subset(np.setdiff1d(np.arange(len(train.labels)), held_out)), train.subset(held_out)


def values(records):
    return {record.stage: record.value for record in records if record.metric == "top1"}


def test_a_learning_rate_is_chosen_on_held_out_images_and_tested_once(photographs):
    train, test = photographs
    rest, held_out = split_of(train)
    rates = [1e-6, 0.01, 0.1]
    common = {"stages": ["conv1", "conv3"], "epochs": 3, "batch_size": 3, **SMALL}
    records = transfer.linear("random:eccv16", train, test, validation=0.4, learning_rates=rates, **common)
    on_validation, on_test = (
        {
            lr: values(transfer.linear("random:eccv16", rest, images, learning_rates=[lr], **common))
            for lr in rates
        }
        for images in (held_out, test)
    )
    assert {record.stage for record in records} == {"conv1", "conv3"}
    for record in records:
        stage, details = record.stage, record.details
        best = max(rates, key=lambda lr: on_validation[lr][stage])
        assert (details["lr"], details["validation"]["top1"]) == (best, on_validation[best][stage])
        assert record.value == on_test[best][stage]
        assert (record.chosen_on, details["train_images"]) == ("validation", 6)
        assert details["chosen_among"] == {"lr": rates, "epoch": [3]}
        assert details["chosen_by"] == "top1 on 4 of 10 training images, held out by seed 3"
        assert "lr" not in record.settings


def test_an_epoch_is_chosen_by_the_probe_that_it_ended_with(photographs):
    train, test = photographs
    rest, held_out = split_of(train)
    common = {"stages": ["conv1"], "batch_size": 3, "protocol": "deepcluster18", **SMALL}
    (record,) = transfer.linear(
        "random:eccv16",
        train,
        test,
        validation=0.4,
        learning_rates=[1.0],
        epochs=4,
        evaluate_every=1,
        **common,
    )
    # This protocol's learning rate is constant, so that a shorter training is the beginning of a longer one.
    on_validation, on_test = (
        {
            epochs: values(
                transfer.linear("random:eccv16", rest, images, learning_rates=[1.0], epochs=epochs, **common)
            )["conv1"]
            for epochs in range(1, 5)
        }
        for images in (held_out, test)
    )
    best = max(on_validation, key=on_validation.get)
    assert record.details["epoch"] == best
    assert record.details["validation"]["top1"] == on_validation[best]
    assert record.value == on_test[best]


def test_the_number_of_neighbours_is_chosen_on_held_out_images_and_tested_among_all(photographs):
    train, test = photographs
    rest, held_out = split_of(train)
    common = {"stages": ["conv1", "conv5"], **SMALL}
    records = transfer.knn("random:eccv16", train, test, validation=0.4, k=[5, 1, 3], **common)
    on_validation = {
        k: values(transfer.knn("random:eccv16", rest, held_out, k=[k], **common)) for k in (1, 3, 5)
    }
    on_test = {k: values(transfer.knn("random:eccv16", train, test, k=[k], **common)) for k in (1, 3, 5)}
    for record in records:
        best = max(on_validation, key=lambda k: on_validation[k][record.stage])
        assert record.details["k"] == best
        assert record.details["validation"]["top1"] == on_validation[best][record.stage]
        assert record.value == on_test[best][record.stage]
        assert record.chosen_on == "validation"


def test_a_choice_on_the_test_images_is_marked_and_never_below_one_on_others(photographs):
    train, test = photographs
    of_test, of_own = (
        transfer.knn("random:eccv16", train, test, validation=on, k=[1, 3], stages=["conv3"], **SMALL)
        for on in ("test", split_of(train)[1])
    )
    assert [record.chosen_on for record in (*of_test, *of_own)] == ["test", "validation"]
    assert of_test[0].value == of_test[0].details["test"]["top1"] >= of_own[0].value
