"""The images of a set by their nearness in feature space: nearest neighbours, the classes these give, and a plane."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from transfer.classification import measure
from transfer.features.files import Features
from transfer.nearest_neighbours.run import PUBLISHED_TEMPERATURE, count_votes
from transfer.nearest_neighbours.search import MIB, nearest_neighbours

MEMORY = 512 * MIB  # of a search
PERPLEXITY = 30.0
COMPONENTS = 50  # of the features, from which the plane is made


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest other images of each image.

    Attributes:
        similarities: cosines, the nearest first.
        indices: of the neighbours.
    """

    similarities: Float32[Tensor, "images k"]
    indices: Int64[Tensor, "images k"]


def nearest_others(features: Features, k: int) -> Neighbours:
    """The `k` nearest images to each image but itself, by cosine similarity.

    Args:
        k: at most the number of readable images less one.
    """
    similarities, indices = nearest_neighbours(features, features, k + 1, MEMORY, torch.device("cpu"))
    others = indices != torch.arange(len(indices))[:, None]
    others[others.all(dim=1), -1] = False  # one with more than k equals need not be among its nearest
    return Neighbours(
        similarities=similarities[others].reshape(-1, k), indices=indices[others].reshape(-1, k)
    )


def classes_by_neighbours(
    neighbours: Neighbours,
    labels: Shaped[np.ndarray, "images *classes"],
    num_classes: int,
    kept: Shaped[np.ndarray, " images"],
) -> dict[str, float]:
    """How well each image's class is known from its nearest others, in percent.

    The vote of `transfer knn`, weighted as in Wu et al. (2018), with the image itself left out.
    """
    votes = count_votes(
        neighbours.similarities, neighbours.indices, labels, num_classes, PUBLISHED_TEMPERATURE
    )
    return measure(votes.numpy(), labels, kept)


def lay_out(features: Features, seed: int) -> Float32[np.ndarray, "images 2"]:
    """Places in the unit square of the readable images, near each other where their features are: t-SNE.

    Features have length 1, and are reduced to their first 50 principal components before.
    """
    rows = features.open()[features.kept].astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    count = min(COMPONENTS, *rows.shape)
    reduced = PCA(count, svd_solver="randomized", random_state=seed).fit_transform(rows)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    plane = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(reduced)
    low, high = plane.min(axis=0), plane.max(axis=0)
    return ((plane - low) / np.maximum(high - low, 1e-12)).astype(np.float32)
