"""From a batch of images to numbers: every method colorized and every metric taken, once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from eval_colorization.distribution import DistributionStatistics
from eval_colorization.images import ImageBatch
from eval_colorization.learned import Learned
from eval_colorization.methods import Canvas, DecodedNetwork, Method, is_grey
from eval_colorization.metrics.auc import auc, error_counts, nearest_bins, rebalancing_weights
from eval_colorization.metrics.diagnosticity import incongruent_colours
from eval_colorization.metrics.metric import Metric, Pictures, measure_images
from eval_colorization.parts import Part
from pretext.color.bins import AbBins, cell_counts
from pretext.color.lab import lab_to_rgb
from pretext.colorizer import to_8_bits


@dataclass(eq=False)
class Measurer:
    """Measures `methods` on batches.

    `measure` returns a part, arrays by name, for the k images that could be read:

    left_out_positions, left_out_reasons: of the others;
    positions (k), grey_truth (k), rebalancing_weight (k), sha256 (methods, k) of the colorized pixels;
    value/METRIC (methods, k), NaN where a method has no such thing;
    value/lightness_correlation (methods, k), if a method is a folder: see `ColorizedFolder.open`;
    auc_counts, auc_weighted_counts (methods, 152), ab_histogram (methods, 256, 256), resized (methods): sums;
    bins (k, 313): pixels of the true image by published bin;
    accuracy_incongruent (k): 100 where the true image is recognised in incongruent colours, if there is a classifier;
    features (methods, k, 2048), if FID can be computed;
    network/N/SUM: of the N-th of `networks`, see `DistributionStatistics`.
    """

    methods: Mapping[str, Method]
    metrics: Mapping[str, Metric]
    device: torch.device
    learned: Learned
    bins: AbBins = field(default_factory=AbBins.published)

    def __post_init__(self) -> None:
        trained = dict.fromkeys(method.network for method in self.methods.values())
        self.networks = [
            network
            for network in trained
            if isinstance(network, DecodedNetwork) and network.colorizer.bins is not None
        ]
        self._statistics = [
            DistributionStatistics(network, self.device, self.bins) for network in self.networks
        ]
        # Their table takes a second to build: once, here, not by every thread at its first batch.
        rebalancing_weights(torch.zeros(1, 2, 1, 1, device=self.device), self.bins)
        if self._recognises:
            assert self.learned.labels is not None
            self._labels = torch.tensor(self.learned.labels.indices, device=self.device)

    @torch.inference_mode()
    def measure(self, batch: ImageBatch) -> Part:
        """The batch's part; of one in which no image could be read, only what was left out."""
        left_out = {
            "left_out_positions": np.array([position for position, _ in batch.left_out], np.int64),
            "left_out_reasons": np.array([reason for _, reason in batch.left_out], np.str_),
        }
        if not len(batch.positions):
            return left_out
        canvas = Canvas(batch, self.device)
        weight = rebalancing_weights(canvas.pictures.ab, self.bins)
        tensors = {
            "grey_truth": is_grey(canvas),
            "rebalancing_weight": weight.double().mean(dim=(1, 2)),
            "bins": self._bin_counts(canvas),
        }
        if self._recognises:
            turned = to_8_bits(lab_to_rgb(incongruent_colours(canvas.lab))) / 255
            tensors["accuracy_incongruent"] = self._accuracy(turned, batch).double()
        rows = [
            self._measure_method(method.colorize(canvas), canvas, weight) for method in self.methods.values()
        ]
        tensors |= {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        tensors |= self._measure_networks(canvas)

        part = left_out | to_host(tensors)
        part["positions"] = batch.positions
        part["resized"] = np.array([batch.resized.get(name, 0) for name in self.methods])
        part["sha256"] = np.array(
            [[hashlib.sha256(image).hexdigest() for image in images] for images in part.pop("colorized")]
        )
        if batch.lightness:
            nothing = np.full(len(batch.positions), np.nan)
            part["value/lightness_correlation"] = np.stack(
                [batch.lightness.get(name, nothing) for name in self.methods]
            )
        return part

    def _measure_method(
        self,
        colorized: UInt8[Tensor, "k 3 s s"],
        canvas: Canvas,
        weight: Float[Tensor, "k s s"],
    ) -> dict[str, Tensor]:
        pictures, truth = Pictures(colorized), canvas.pictures
        counts = error_counts(pictures.ab, truth.ab, None)
        weighted = error_counts(pictures.ab, truth.ab, weight)
        values = {"auc": auc(counts), "auc_rebalanced": auc(weighted)}
        values |= {
            name: measure_images(name, metric, pictures, truth)
            for name, metric in self.metrics.items()
            if metric.measure is not None
        }
        if self.learned.lpips is not None:
            values["lpips"] = self.learned.lpips(pictures.rgb, truth.rgb)
        if self._recognises:
            values["accuracy"] = self._accuracy(pictures.rgb, canvas.batch)
        row = {f"value/{name}": values[name].double() for name in self.metrics if name in values}
        row |= {
            "auc_counts": counts.sum(dim=0),
            "auc_weighted_counts": weighted.sum(dim=0),
            "ab_histogram": cell_counts(pictures.ab).int(),
            "colorized": colorized,
        }
        if self.learned.inception is not None:
            row["features"] = self.learned.inception(colorized).float()
        return row

    @property
    def _recognises(self) -> bool:
        return self.learned.classifier is not None and self.learned.labels is not None

    def _accuracy(self, rgb: Float[Tensor, "k 3 s s"], batch: ImageBatch) -> Int64[Tensor, "k"]:
        """100 for an image that the classifier recognises, 0 for another."""
        assert self.learned.classifier is not None
        return 100 * (self.learned.classifier(rgb) == self._labels[batch.positions])

    def _bin_counts(self, canvas: Canvas) -> Int64[Tensor, "k bins"]:
        num_bins = len(self.bins.centres)
        bins = nearest_bins(canvas.pictures.ab, self.bins).flatten(1)
        bins += num_bins * torch.arange(len(bins), device=bins.device)[:, None]
        return torch.bincount(bins.flatten(), minlength=num_bins * len(bins)).view(-1, num_bins)

    def _measure_networks(self, canvas: Canvas) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        unknown = torch.full((len(canvas.truth),), torch.nan, dtype=torch.float64, device=self.device)
        cross_entropy = dict.fromkeys(self.methods, unknown)
        for number, (network, statistics) in enumerate(zip(self.networks, self._statistics, strict=True)):
            per_image, sums = statistics.measure(canvas)
            tensors |= {f"network/{number}/{name}": value for name, value in sums.items()}
            cross_entropy |= {
                name: per_image for name, method in self.methods.items() if method.network is network
            }
        if self.networks:
            tensors["value/cross_entropy"] = torch.stack(list(cross_entropy.values()))
        return tensors


def to_host(tensors: Mapping[str, Tensor]) -> Part:
    """Arrays of the same names, types and shapes, brought by a single copy: a GPU is waited for once."""
    # The widest type first, so that each array's place is a multiple of its own width.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    content = torch.cat([tensor.reshape(-1).view(torch.uint8) for _, tensor in ordered]).cpu()
    pieces = content.split([tensor.numel() * tensor.element_size() for _, tensor in ordered])
    return {
        name: piece.view(tensor.dtype).view(tensor.shape).numpy()
        for (name, tensor), piece in zip(ordered, pieces, strict=True)
    }
