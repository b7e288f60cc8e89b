"""From a batch of images to numbers: every method painted and every metric taken, once."""

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
from eval_colorization.methods import Canvas, Method, Network, is_grey, on_device
from eval_colorization.metrics.auc import auc, error_counts, nearest_bins, rebalancing_weights
from eval_colorization.metrics.ciede2000 import ciede2000
from eval_colorization.metrics.colourfulness import colourfulness, colourfulness_absolute
from eval_colorization.metrics.diagnosticity import incongruent_colours
from eval_colorization.metrics.errors import ab_rmse, mse, psnr
from eval_colorization.metrics.palette import dominant_colours, palette_distance
from eval_colorization.metrics.saturation import saturation_distance, saturation_histogram
from eval_colorization.metrics.ssim import ssim
from eval_colorization.parts import Part
from pretext.color.bins import AbBins, AbHistogram
from pretext.color.lab import lab_to_rgb, rgb_to_lab
from pretext.colorizer import to_8_bits


@dataclass(frozen=True, kw_only=True)
class _Truth:
    """What is taken of the true images once, for all methods."""

    rgb: Tensor
    lab: Tensor
    weight: Tensor
    colourfulness: Tensor
    saturation: Tensor
    palette: Tensor


@dataclass(eq=False)
class Measurer:
    """Measures `methods` on batches.

    `measure` returns a part, arrays by name, for the k images that could be read:

    left_out_positions, left_out_reasons: of the others;
    positions (k), grey_truth (k), rebalancing_weight (k), sha256 (methods, k) of the painted pixels;
    value/METRIC (methods, k), NaN where a method has no such thing;
    value/lightness_correlation (methods, k), if a method is a folder: see `ColorizedFolder.open`;
    auc_counts, auc_weighted_counts (methods, 152), ab_histogram (methods, 256, 256), resized (methods): sums;
    bins (k, 313): pixels of the true image by published bin;
    accuracy_incongruent (k): 100 where the true image is recognised in incongruent colours, if there is a classifier;
    features (methods, k, 2048), if FID can be computed;
    network/N/SUM: of the N-th of `networks`, see `DistributionStatistics`.
    """

    methods: Mapping[str, Method]
    device: torch.device
    learned: Learned
    bins: AbBins = field(default_factory=AbBins.published)

    def __post_init__(self) -> None:
        trained = dict.fromkeys(m.trained for m in self.methods.values() if isinstance(m, Network))
        self.networks = [network for network in trained if network.pretrained.bins is not None]
        self._statistics = [
            DistributionStatistics(network, self.device, self.bins) for network in self.networks
        ]
        # Their table takes a second to build: once, here, not by every thread at its first batch.
        nearest_bins(torch.zeros(1, 2, 1, 1, device=self.device), self.bins)

    @torch.inference_mode()
    def measure(self, batch: ImageBatch) -> Part:
        """The batch's part; of one in which no image could be read, only what was left out."""
        left_out = {
            "left_out_positions": np.array([position for position, _ in batch.left_out], np.int64),
            "left_out_reasons": np.array([reason for _, reason in batch.left_out], np.str_),
        }
        if not len(batch.positions):
            return left_out
        canvas = on_device(batch, self.device)
        rgb = canvas.truth / 255
        truth = _Truth(
            rgb=rgb,
            lab=canvas.lab,
            weight=rebalancing_weights(canvas.lab[:, 1:], self.bins),
            colourfulness=colourfulness(rgb),
            saturation=saturation_histogram(rgb),
            palette=dominant_colours(canvas.lab),
        )
        part: Part = left_out | {
            "positions": batch.positions,
            "grey_truth": is_grey(canvas).cpu().numpy(),
            "rebalancing_weight": truth.weight.double().mean(dim=(1, 2)).cpu().numpy(),
            "resized": np.array([batch.resized.get(name, 0) for name in self.methods]),
            "bins": self._bin_counts(canvas),
        }
        if batch.lightness:
            nothing = np.full(len(batch.positions), np.nan)
            part["value/lightness_correlation"] = np.stack(
                [batch.lightness.get(name, nothing) for name in self.methods]
            )
        if self._recognises:
            turned = to_8_bits(lab_to_rgb(incongruent_colours(canvas.lab))) / 255
            part["accuracy_incongruent"] = self._accuracy(turned, batch).double().cpu().numpy()
        rows = [self._measure_method(method.paint(canvas), truth, batch) for method in self.methods.values()]
        part |= {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        part |= self._measure_networks(canvas)
        return part

    def _measure_method(self, painted: UInt8[Tensor, "k 3 s s"], truth: _Truth, batch: ImageBatch) -> Part:
        rgb = painted / 255
        lab = rgb_to_lab(rgb)
        ab, true_ab = lab[:, 1:], truth.lab[:, 1:]
        squares = mse(rgb, truth.rgb)
        colours = colourfulness(rgb)
        counts = error_counts(ab, true_ab, None)
        weighted = error_counts(ab, true_ab, truth.weight)
        values = {
            "psnr": psnr(squares),
            "mse": squares,
            "ab_rmse": ab_rmse(ab, true_ab),
            "auc": auc(counts),
            "auc_rebalanced": auc(weighted),
            "ciede2000": ciede2000(lab, truth.lab),
            "ssim": ssim(rgb, truth.rgb),
            "colourfulness": colours,
            "colourfulness_difference": colours - truth.colourfulness,
            "colourfulness_absolute": colourfulness_absolute(rgb),
            "saturation_distance": saturation_distance(saturation_histogram(rgb), truth.saturation),
            "palette_distance": palette_distance(dominant_colours(lab), truth.palette),
        }
        if self.learned.lpips is not None:
            values["lpips"] = self.learned.lpips(rgb, truth.rgb)
        if self._recognises:
            values["accuracy"] = self._accuracy(rgb, batch)
        histogram = AbHistogram()
        histogram.add(ab)
        row = {f"value/{name}": value.double().cpu().numpy() for name, value in values.items()}
        row["auc_counts"] = counts.sum(dim=0).cpu().numpy()
        row["auc_weighted_counts"] = weighted.sum(dim=0).cpu().numpy()
        row["ab_histogram"] = histogram.counts.numpy().astype(np.int32)
        row["sha256"] = np.array(
            [hashlib.sha256(image.tobytes()).hexdigest() for image in painted.cpu().numpy()]
        )
        if self.learned.inception is not None:
            row["features"] = self.learned.inception(painted).float().cpu().numpy()
        return row

    @property
    def _recognises(self) -> bool:
        return self.learned.classifier is not None and self.learned.labels is not None

    def _accuracy(self, rgb: Float[Tensor, "k 3 s s"], batch: ImageBatch) -> Int64[Tensor, "k"]:
        """100 for an image that the classifier recognises, 0 for another."""
        assert self.learned.classifier is not None
        assert self.learned.labels is not None
        labels = torch.tensor(self.learned.labels.indices, device=self.device)[batch.positions]
        return 100 * (self.learned.classifier(rgb) == labels)

    def _bin_counts(self, canvas: Canvas) -> np.ndarray:
        num_bins = len(self.bins.centres)
        nearest = nearest_bins(canvas.lab[:, 1:], self.bins).flatten(1)
        return np.stack([torch.bincount(bins, minlength=num_bins).cpu().numpy() for bins in nearest])

    def _measure_networks(self, canvas: Canvas) -> Part:
        part: Part = {}
        cross_entropy = np.full((len(self.methods), len(canvas.truth)), np.nan)
        for number, (network, statistics) in enumerate(zip(self.networks, self._statistics, strict=True)):
            per_image, sums = statistics.measure(canvas)
            part |= {f"network/{number}/{name}": value for name, value in sums.items()}
            for place, method in enumerate(self.methods.values()):
                if isinstance(method, Network) and method.trained is network:
                    cross_entropy[place] = per_image
        return part | ({"value/cross_entropy": cross_entropy} if self.networks else {})
