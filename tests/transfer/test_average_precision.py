"""Against the definitions of the PASCAL VOC development kits, written out point by point, and scikit-learn."""

from math import isnan

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from transfer.classification import average_precision, mean_average_precision


def points(scores, labels):
    """(recall, precision) at every threshold that is a score, in exact counts, without the images of label 0."""
    known = [(score, label) for score, label in zip(scores, labels, strict=True) if label]
    positives = sum(label == 1 for _, label in known)
    for threshold in sorted({score for score, _ in known}, reverse=True):
        found = [label for score, label in known if score >= threshold]
        hits = found.count(1)
        yield hits / positives, hits / len(found)


def defined_11_point(scores, labels):
    """VOC2007: the mean over recalls 0, 0.1, ..., 1 of the highest precision at that recall or a higher one."""
    curve = list(points(scores, labels))
    return sum(max(p for r, p in curve if r >= t / 10 - 1e-9) for t in range(11)) / 11


def defined_area(scores, labels):
    """VOC2010: precision made monotone from the right, integrated over the steps of recall."""
    curve, area, reached = list(points(scores, labels)), 0.0, 0.0
    for recall, _ in curve:
        area += (recall - reached) * max(p for r, p in curve if r >= recall)
        reached = recall
    return area


def ranking(seed, levels):
    """Scores of 60 images on a few levels, so that many are equal, and labels with some left out."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([1, -1, -1, 0], np.int8), 60)
    return rng.integers(0, levels, 60) / levels + 0.2 * (labels == 1), labels


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [3, 20, 10_000])
def test_both_kinds_are_the_definitions_of_the_voc_kits(seed, levels):
    scores, labels = ranking(seed, levels)
    assert average_precision(scores, labels, "11_point") == pytest.approx(defined_11_point(scores, labels))
    assert average_precision(scores, labels, "area") == pytest.approx(defined_area(scores, labels))


def test_a_ranking_worked_by_hand():
    # Ranked + - + - -  +: precision 1, 1/2, 2/3, 2/4, 2/5, 3/6 at recall 1/3, 1/3, 2/3, 2/3, 2/3, 1.
    scores, labels = np.arange(6, 0, -1.0), np.array([1, -1, 1, -1, -1, 1], np.int8)
    assert average_precision(scores, labels, "area") == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    # Recalls 0 to 0.3 are reached with precision 1, 0.4 to 0.6 with 2/3, 0.7 to 1 with 1/2.
    assert average_precision(scores, labels, "11_point") == pytest.approx((4 * 1 + 3 * 2 / 3 + 4 / 2) / 11)


def test_a_recall_that_is_a_tenth_counts_as_reached():
    # The third of ten positives gives recall 3 / 10 < 0.30000000000000004 = 3 * 0.1.
    labels = np.array([1] * 3 + [-1] * 90 + [1] * 7, np.int8)
    scores = -np.arange(100.0)
    assert average_precision(scores, labels, "11_point") == pytest.approx((4 * 1 + 7 * 10 / 100) / 11)


@pytest.mark.parametrize("seed", range(8))
def test_the_area_is_at_least_the_step_sum_of_scikit_learn(seed):
    scores, labels = ranking(seed, 20)
    known = labels != 0
    step_sum = average_precision_score(labels[known], scores[known])
    assert average_precision(scores, labels, "area") >= step_sum - 1e-12


def test_the_area_is_the_step_sum_of_scikit_learn_where_precision_only_falls():
    scores, labels = np.arange(8.0)[::-1], np.array([1, 1, 1, -1, 1, -1, -1, -1], np.int8)
    assert average_precision(scores, labels, "area") == pytest.approx(average_precision_score(labels, scores))


@pytest.mark.parametrize("kind", ["area", "11_point"])
class TestEachKind:
    def test_perfect_scores_give_one(self, kind):
        assert average_precision(np.array([3.0, 2.0, 1.0]), np.array([1, 1, -1], np.int8), kind) == 1.0

    def test_equal_scores_give_the_share_of_positives(self, kind):
        labels = np.array([1, -1, -1, -1], np.int8)
        assert average_precision(np.zeros(4), labels, kind) == pytest.approx(1 / 4)

    def test_the_order_of_the_images_does_not_matter(self, kind):
        scores, labels = ranking(0, 3)
        order = np.random.default_rng(1).permutation(len(scores))
        assert average_precision(scores, labels, kind) == average_precision(
            scores[order], labels[order], kind
        )

    def test_images_of_label_0_are_as_if_they_were_not_there(self, kind):
        scores, labels = ranking(0, 20)
        known = labels != 0
        assert average_precision(scores, labels, kind) == average_precision(
            scores[known], labels[known], kind
        )

    def test_no_positive_gives_no_number(self, kind):
        assert isnan(average_precision(np.zeros(3), np.array([-1, 0, -1], np.int8), kind))

    def test_the_mean_is_over_the_classes_that_have_a_positive(self, kind):
        scores, labels = np.zeros((4, 3)), np.full((4, 3), -1, np.int8)
        labels[0, 0] = labels[0, 1] = labels[1, 1] = 1
        assert mean_average_precision(scores, labels, kind) == pytest.approx((1 / 4 + 2 / 4) / 2)
