import numpy as np
import pytest

from transfer.linear_svms.run import check_images_of_classes, draw_shots, low_shot_sets

CLASSES = 4


def one_class_an_image(num_images=40):
    """One-vs-rest labels of images that show one class each."""
    return np.where(np.arange(num_images)[:, None] % CLASSES == np.arange(CLASSES), 1, -1).astype(np.int8)


def several_classes_an_image(num_images=200):
    return np.random.default_rng(0).choice(np.array([1, -1, -1, -1, -1, 0], np.int8), (num_images, CLASSES))


def draw(labels, shots, multi_label, seed=0):
    return draw_shots(labels, shots, np.random.default_rng(seed), multi_label=multi_label)


def test_of_images_with_one_class_k_of_each_are_drawn_and_are_the_negatives_of_the_others():
    labels = one_class_an_image()
    drawn = draw(labels, 3, multi_label=False)
    used = (drawn != 0).any(axis=1)
    assert used.sum() == 3 * CLASSES
    assert np.array_equal(drawn[used], labels[used])
    assert ((drawn == 1).sum(axis=0) == 3).all()


def test_of_images_with_several_classes_each_draws_k_positives_and_k_negatives_for_every_other_class():
    # The released code of Goyal et al. (2019): k positives and (classes - 1) k negatives.
    labels = several_classes_an_image()
    drawn = draw(labels, 3, multi_label=True)
    assert ((drawn == 1).sum(axis=0) == 3).all()
    assert ((drawn == -1).sum(axis=0) == 3 * (CLASSES - 1)).all()
    assert np.array_equal(drawn[drawn != 0], labels[drawn != 0])


def test_a_class_with_few_negatives_takes_them_all():
    labels = np.array([[1, -1], [1, -1], [1, 1], [-1, 1]], np.int8)
    assert (draw(labels, 2, multi_label=True)[:, 0] == -1).sum() == 1


def test_each_draw_is_its_own_and_the_seed_repeats_it():
    labels = several_classes_an_image()
    sets, again, other = (
        list(low_shot_sets(labels, [1, 2], 3, seed, multi_label=True)) for seed in (0, 0, 1)
    )
    assert [settings for settings, _ in sets] == [
        {"shots": shots, "sample": sample} for shots in (1, 2) for sample in range(3)
    ]
    for (_, one), (_, same) in zip(sets, again, strict=True):
        assert np.array_equal(one, same)
    everything = [drawn.tobytes() for _, drawn in sets + other]
    assert len(set(everything)) == len(everything)


def test_a_draw_does_not_depend_on_which_others_are_asked_for():
    labels = one_class_an_image()
    ((_, alone),) = low_shot_sets(labels, [2], 1, 0, multi_label=False)
    _, (_, among_others) = low_shot_sets(labels, [1, 2], 1, 0, multi_label=False)
    assert np.array_equal(alone, among_others)


def test_a_class_with_fewer_positives_than_shots_is_named_with_its_number():
    labels = one_class_an_image(num_images=11)
    message = "3 positive training images of each class are needed, but 'd' has 2"
    with pytest.raises(ValueError, match=message):
        check_images_of_classes(labels, "abcd", 3)
    check_images_of_classes(labels, "abcd", 2)


def test_a_class_that_every_image_shows_is_named():
    labels = np.array([[1, -1], [1, 1], [0, 1]], np.int8)
    with pytest.raises(ValueError, match="every training image shows 'person'"):
        check_images_of_classes(labels, ["person", "dog"], 1)
