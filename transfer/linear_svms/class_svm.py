"""Linear SVMs, one for each class; the cost of each by cross-validation on the training images."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int8
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

COSTS = sorted([0.5**power for power in range(4, 20)] + [10.0**power for power in range(-7, 3)])
UNCHOSEN_COST = 1.0  # where there are too few images to choose one
MAX_ITERATIONS = 2000


@dataclass(frozen=True, kw_only=True)
class ClassSvm:
    """What the SVM of one class answers, and how it came about.

    Attributes:
        scores: of the test images, signed distances from the hyperplane.
        cost: the one it was trained with.
        folds: of the cross-validation that chose the cost; 0 where there was none.
        converged: whether its training ended before MAX_ITERATIONS.
        num_fits: SVMs that were trained for it, itself and those of the cross-validation.
        num_unconverged: how many of them stopped at MAX_ITERATIONS.
    """

    scores: Float64[np.ndarray, " test_images"]
    cost: float
    folds: int
    converged: bool
    num_fits: int
    num_unconverged: int


def train_and_score(
    train: Float64[np.ndarray, "images dimensions"],
    labels: Int8[np.ndarray, "images classes"],
    test: Float64[np.ndarray, "test_images dimensions"],
    *,
    costs: Sequence[float],
    folds: int,
    seed: int,
    num_jobs: int,
) -> Iterator[ClassSvm]:
    """Train an SVM for each class and score the test images, class by class; the same for any `num_jobs`.

    Goyal et al. (2019): positives weigh twice as much as negatives, squared hinge loss, and of the costs that with the
    highest mean average precision (scikit-learn's) over the folds, the lowest of equals. A class that has fewer images
    of either sign than `folds` gets so many folds; below two, UNCHOSEN_COST.

    Args:
        labels: 1 positive, -1 negative, 0 left out; each class has both signs.
        costs: a single one is taken as it is.
        num_jobs: processes, each of which trains one class at a time.
    """
    used = (labels != 0).any(axis=1)
    train, test = _in_span(train[used], test)
    jobs = (
        delayed(_train_class)(train, column, test, sorted(costs), folds, seed)
        for column in np.ascontiguousarray(labels[used].T)
    )
    return iter(Parallel(n_jobs=num_jobs, return_as="generator")(jobs))


def _in_span(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in an orthonormal basis of the training images' span, where they are the fewer ones.

    All inner products with training images stay, and an SVM with an L2 penalty sees nothing else: it is the same SVM,
    of a few hundred dimensions instead of thousands. The factor is triangular, which liblinear, being sparse, uses.
    """
    if len(train) >= train.shape[1]:
        return train, test
    basis, coordinates = np.linalg.qr(train.T)
    return np.ascontiguousarray(coordinates.T), test @ basis


def _train_class(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, costs: list[float], folds: int, seed: int
) -> ClassSvm:
    known = labels != 0
    train, labels = train[known], labels[known]
    folds = min(folds, int((labels == 1).sum()), int((labels == -1).sum()))
    cost = costs[0] if len(costs) == 1 else UNCHOSEN_COST
    tried: list[LinearSVC] = []
    # Vectors this short gain nothing from threads, and sums must not depend on how many there are.
    with threadpool_limits(1, user_api="blas"):
        if chosen_by_folds := folds > 1 and len(costs) > 1:
            precision = np.zeros((folds, len(costs)))
            cuts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(train, labels)
            for fold, (fitted_on, held_out) in enumerate(cuts):
                for place, cost in enumerate(costs):
                    tried.append(_fit(train[fitted_on], labels[fitted_on], cost, seed))
                    scores = tried[-1].decision_function(train[held_out])
                    precision[fold, place] = average_precision_score(labels[held_out], scores)
            cost = costs[int(precision.mean(axis=0).argmax())]
        final = _fit(train, labels, cost, seed)
        return ClassSvm(
            scores=final.decision_function(test),
            cost=cost,
            folds=folds if chosen_by_folds else 0,
            converged=_converged(final),
            num_fits=len(tried) + 1,
            num_unconverged=sum(not _converged(svm) for svm in (*tried, final)),
        )


def _fit(features: np.ndarray, labels: np.ndarray, cost: float, seed: int) -> LinearSVC:
    svm = LinearSVC(
        C=cost,
        class_weight={1: 2, -1: 1},
        penalty="l2",
        loss="squared_hinge",
        dual=True,
        tol=1e-4,
        max_iter=MAX_ITERATIONS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # they are counted
        return svm.fit(features, labels)


def _converged(svm: LinearSVC) -> bool:
    return bool(svm.n_iter_ < MAX_ITERATIONS)
