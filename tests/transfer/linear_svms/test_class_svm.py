"""Against scikit-learn's own grid search on the features as they are."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from transfer.linear_svms import class_svm as linear_svm
from transfer.linear_svms.class_svm import COSTS, train_and_score

SOME_COSTS = [10.0, 1e-4, 0.1, 1.0]


def images_and_labels(dimensions, num_images=60, num_classes=2, seed=0):
    """Unit features like those after a ReLU, a signal in them, and labels of which a tenth is 0; and test features."""
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.normal(0.5, 1, (num_images + 40, dimensions)), 0)
    signal = features @ rng.normal(size=(dimensions, num_classes)) / dimensions**0.5
    noisy = signal - signal.mean(0) + rng.normal(0, 0.3, signal.shape)
    labels = np.where(noisy > 0.3, 1, -1).astype(np.int8)[:num_images]
    labels[rng.random(labels.shape) < 0.1] = 0
    features = normalize(features)
    return features[:num_images], labels, features[num_images:]


def train(features, labels, test, costs=SOME_COSTS, folds=3, seed=0, num_jobs=1):
    return list(
        train_and_score(features, labels, test, costs=costs, folds=folds, seed=seed, num_jobs=num_jobs)
    )


def svc(**options):
    """Goyal et al. (2019) as scikit-learn spells it."""
    return LinearSVC(
        class_weight={1: 2, -1: 1},
        penalty="l2",
        loss="squared_hinge",
        dual=True,
        tol=1e-4,
        max_iter=2000,
        **options,
    )


@pytest.mark.parametrize("dimensions", [10, 300], ids=["fewer than images", "more than images"])
@pytest.mark.parametrize("seed", range(3))
def test_costs_and_scores_are_those_of_grid_search_on_the_raw_features(dimensions, seed):
    features, labels, test = images_and_labels(dimensions, seed=seed)
    for found, column in zip(train(features, labels, test, seed=seed), labels.T, strict=True):
        known = column != 0
        search = GridSearchCV(
            svc(random_state=seed),
            {"C": sorted(SOME_COSTS)},
            scoring="average_precision",
            cv=StratifiedKFold(3, shuffle=True, random_state=seed),
        ).fit(features[known], column[known])
        assert found.cost == search.best_params_["C"]
        np.testing.assert_allclose(found.scores, search.decision_function(test), atol=1e-9)
        assert (found.folds, found.num_fits, found.num_unconverged) == (3, 13, 0)


def test_the_rotation_into_the_span_of_the_images_changes_nothing_at_any_cost():
    features, labels, test = images_and_labels(dimensions=300)
    for cost in COSTS[::3]:
        (found, _) = train(features, labels, test, costs=[cost])
        known = labels[:, 0] != 0
        raw = svc(C=cost, random_state=0).fit(features[known], labels[known, 0])
        np.testing.assert_allclose(found.scores, raw.decision_function(test), atol=1e-9)
        assert found.cost == cost
        assert found.folds == 0


def test_the_costs_are_the_16_powers_of_a_half_and_the_10_decades_of_the_paper():
    assert len(COSTS) == 26
    assert sorted(COSTS) == COSTS
    assert {0.5**4, 0.5**19, 1e-7, 1.0, 100.0} <= set(COSTS)


def test_the_same_seed_gives_the_same_bits_for_any_number_of_processes_and_order_of_costs():
    features, labels, test = images_and_labels(dimensions=100)
    one = train(features, labels, test)
    for other in (train(features, labels, test, num_jobs=2), train(features, labels, test, SOME_COSTS[::-1])):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a.scores, b.scores)
            assert a.cost == b.cost


def test_images_of_label_0_are_as_if_they_were_not_there():
    features, labels, test = images_and_labels(dimensions=20, num_classes=1)
    known = labels[:, 0] != 0
    (one,), (other,) = train(features, labels, test), train(features[known], labels[known], test)
    assert np.array_equal(one.scores, other.scores)


@pytest.mark.parametrize(("positives", "folds"), [(1, 0), (2, 2), (3, 3), (20, 3)])
def test_a_class_has_as_many_folds_as_positives_and_none_with_one(positives, folds):
    features, labels, test = images_and_labels(dimensions=20, num_classes=1)
    labels[:] = -1
    labels[:positives] = 1
    (found,) = train(features, labels, test)
    assert found.folds == folds
    assert found.num_fits == folds * len(SOME_COSTS) + 1
    if not folds:
        assert found.cost == 1.0


def test_equally_good_costs_give_the_lowest():
    # Positives and negatives lie at one point each: every cost ranks them perfectly.
    features = np.repeat([[1.0, 0.0], [0.0, 1.0]], 6, axis=0)
    labels = np.repeat(np.array([[1], [-1]], np.int8), 6, axis=0)
    (found,) = train(features, labels, features)
    assert found.cost == min(SOME_COSTS)


def test_svms_that_stop_before_they_converge_are_counted_as_often_as_scikit_learn_warns(monkeypatch):
    monkeypatch.setattr(linear_svm, "MAX_ITERATIONS", 8)
    features, labels, test = images_and_labels(dimensions=100, num_classes=1)
    (found,) = train(features, labels, test)
    known = labels[:, 0] != 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        search = GridSearchCV(
            svc(random_state=0).set_params(max_iter=8),
            {"C": sorted(SOME_COSTS)},
            scoring="average_precision",
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
        ).fit(features[known], labels[known, 0])
    assert 0 < found.num_unconverged < found.num_fits
    assert found.num_unconverged == len(caught)
    assert found.converged == (search.best_estimator_.n_iter_ < 8)
