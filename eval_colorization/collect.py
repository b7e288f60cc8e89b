"""From the parts of all batches to the results."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from eval_colorization.comparison import Comparison
from eval_colorization.metrics.frechet import GaussianStatistics
from eval_colorization.parts import Part

OF_THE_TRUTH = ("rebalancing_weight", "accuracy_incongruent")  # values that all methods share
PER_IMAGE = ("positions", "grey_truth", "sha256", "bins", *OF_THE_TRUTH)
VALUE = "value/"
NOT_SUMMED = ("left_out_positions", "left_out_reasons", "features")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The parts of all batches put together, images in order.

    Attributes:
        images: names of the images that were measured, and their `positions` in the set.
        values: column -> (methods, images).
        sums: name -> sum over all batches; a row a method where it is about methods.
        sha256: (methods, images), of the painted pixels.
        features: statistics of each method's Inception features; empty where FID cannot be computed.
        left_out: (image, reason).
    """

    methods: tuple[str, ...]
    images: tuple[str, ...]
    positions: Int[np.ndarray, " images"]
    grey_truths: Bool[np.ndarray, " images"]
    values: dict[str, Float[np.ndarray, "methods images"]]
    sums: dict[str, np.ndarray]
    sha256: np.ndarray
    bin_counts: Int[np.ndarray, "images bins"]
    features: list[GaussianStatistics]
    left_out: list[tuple[str, str]]

    @property
    def resized(self) -> dict[str, int]:
        """How many images of each folder had to be resized."""
        return dict(zip(self.methods, self.sums["resized"].tolist(), strict=True))

    def sha256_of(self, method: str) -> str:
        """One hash of all its images."""
        return hashlib.sha256("".join(self.sha256[self.methods.index(method)]).encode()).hexdigest()


def collect(parts: Iterable[Part], comparison: Comparison) -> Collected:
    """Put the parts of all batches, in order, together; memory grows with the numbers kept, not with the pixels.

    Raises:
        ValueError: no image could be read.
    """
    names = comparison.images.names
    per_image: dict[str, list[np.ndarray]] = {}
    sums: dict[str, np.ndarray] = {}
    features: list[GaussianStatistics] = []
    left_out = []
    for part in parts:
        left_out += [
            (names[position], str(reason))
            for position, reason in zip(part["left_out_positions"], part["left_out_reasons"], strict=True)
        ]
        if "features" in part:
            features = features or [GaussianStatistics.empty() for _ in comparison.methods]
            for statistics, of_method in zip(features, part["features"], strict=True):
                statistics.add(torch.from_numpy(of_method))
        for name, array in part.items():
            if name in PER_IMAGE or name.startswith(VALUE):
                per_image.setdefault(name, []).append(array)
            elif name not in NOT_SUMMED:
                sums[name] = (
                    sums[name] + array if name in sums else array.astype(np.result_type(array, np.int64))
                )
    if not per_image:
        raise ValueError(f"no image could be read: {'; '.join(f'{n} ({r})' for n, r in left_out[:5])}")
    joined = {name: np.concatenate(arrays, axis=-1) for name, arrays in per_image.items() if name != "bins"}
    positions = joined["positions"]
    values = {name.removeprefix(VALUE): a for name, a in joined.items() if name.startswith(VALUE)}
    values |= {
        name: np.broadcast_to(joined[name], (len(comparison.methods), len(positions)))
        for name in OF_THE_TRUTH
        if name in joined
    }
    return Collected(
        methods=tuple(comparison.methods),
        images=tuple(names[position] for position in positions),
        positions=positions,
        grey_truths=joined["grey_truth"],
        values=values,
        sums=sums,
        sha256=joined["sha256"],
        bin_counts=np.concatenate(per_image["bins"]),
        features=features,
        left_out=left_out,
    )
