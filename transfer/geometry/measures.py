"""How many directions features fill, and how alike those of two networks are."""

import numpy as np
from jaxtyping import Float

ROWS = 4096  # images that are in memory at one time
EPSILON = 1e-7  # of RankMe

Rows = Float[np.ndarray, "images dimensions"]


def effective_rank(features: Rows) -> float:
    """RankMe: the exponential of the entropy of the singular values, as shares of their sum.

    From 1, all features in one direction, to the number of dimensions. Garrido et al. (2023), "RankMe: assessing the
    downstream performance of pretrained self-supervised representations by their rank", equation 1, which adds 1e-7 to
    each share; the features are not centred.
    """
    # The singular values' squares are the eigenvalues of either product of the features with themselves.
    is_wide = len(features) < features.shape[1]
    squares = np.linalg.eigvalsh(_similarities(features) if is_wide else _products(features, features))
    values = np.sqrt(np.clip(squares, 0, None))
    shares = values / values.sum() + EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))


def linear_cka(one: Rows, other: Float[np.ndarray, "images _"]) -> float:
    """Linear centred kernel alignment of two networks' features of the same images, in [0, 1].

    1 where one is a rotation and a scale of the other. Kornblith et al. (2019), "Similarity of neural network
    representations revisited", section 3: |X^T Y|^2 / (|X^T X| |Y^T Y|), Frobenius norms, columns centred.
    """
    means = [np.asarray(features).mean(axis=0, dtype=np.float64) for features in (one, other)]
    if len(one) < max(one.shape[1], other.shape[1]):
        # The same by inner products of images: <K, L> / (|K| |L|).
        k, l = (_similarities(rows, mean) for rows, mean in zip((one, other), means, strict=True))  # noqa: E741
        return float((k * l).sum() / (np.linalg.norm(k) * np.linalg.norm(l)))
    between = _products(one, other, *means)
    k, l = (_products(rows, rows, mean, mean) for rows, mean in zip((one, other), means, strict=True))  # noqa: E741
    return float(np.linalg.norm(between) ** 2 / (np.linalg.norm(k) * np.linalg.norm(l)))


def _products(
    one: Rows,
    other: Float[np.ndarray, "images _"],
    mean: Float[np.ndarray, " dimensions"] | float = 0.0,
    other_mean: Float[np.ndarray, " _"] | float = 0.0,
) -> Float[np.ndarray, "dimensions _"]:
    """X^T Y in float64, less the means, in constant memory beside the result."""
    total = np.zeros((one.shape[1], other.shape[1]))
    for first in range(0, len(one), ROWS):
        block = slice(first, first + ROWS)
        total += (one[block].astype(np.float64) - mean).T @ (other[block].astype(np.float64) - other_mean)
    return total


def _similarities(
    features: Rows, mean: Float[np.ndarray, " dimensions"] | float = 0.0
) -> Float[np.ndarray, "images images"]:
    """X X^T in float64, less the mean."""
    rows = np.asarray(features, np.float64) - mean
    return rows @ rows.T
