"""What a network's distribution over the bins is worth before any decoding: cross-entropy, calibration, sweep.

Measured at the network's own output grid, on the picture's copy of the size at which colours are predicted.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from eval_colorization.methods import Canvas, DecodedNetwork
from eval_colorization.metrics.auc import auc, error_counts, rebalancing_weights
from eval_colorization.results import NetworkResult, SweepPoint
from pretext.color.bins import AbBins
from pretext.color.decoding import annealed_mean
from pretext.color.soft_encoding import NeighbourTable

TEMPERATURES = (0.05, 0.1, 0.2, 0.38, 0.5, 0.7, 1.0)
CELLS = 15
"""Of the reliability diagram, as in Guo et al. 2017."""


class DistributionStatistics:
    """Sums over images of what `NetworkResult` is made from.

    Args:
        trained: a network that answers with a distribution.
        device: where it is.
        weighing: the bins whose prior rebalances the AuC, whatever the network's own are.
    """

    def __init__(self, trained: DecodedNetwork, device: torch.device, weighing: AbBins) -> None:
        bins = trained.colorizer.bins
        assert bins is not None
        self._trained = trained
        self._centres = bins.centres.to(device)
        self._table = NeighbourTable(bins.centres, min(5, len(bins.centres))).to(device)
        self._weighing = weighing

    @torch.inference_mode()
    def measure(self, canvas: Canvas) -> tuple[Float64[Tensor, "batch"], dict[str, Tensor]]:
        """The images' cross-entropies in nats, and the batch's sums by name, which add up over batches."""
        logits = self._trained.output(canvas).float()
        ab = self._true_ab(canvas)
        targets = self._table.encode(ab)
        log_probability = logits.log_softmax(dim=1)
        cross_entropy = -(log_probability.gather(1, targets.index) * targets.weight).sum(dim=1)

        confidence, answer = log_probability.max(dim=1)
        confidence = confidence.exp()
        nearest = targets.index.gather(1, targets.weight.argmax(dim=1, keepdim=True))[:, 0]
        cell = (confidence * CELLS).long().clamp_(max=CELLS - 1).flatten()
        sums = {
            "count": torch.bincount(cell, minlength=CELLS),
            "hits": torch.bincount(cell, (answer == nearest).flatten().double(), minlength=CELLS),
            "confidence": torch.bincount(cell, confidence.flatten().double(), minlength=CELLS),
            "truth_chroma": _chroma_sum(ab),
        }
        weight = rebalancing_weights(ab, self._weighing)
        sweep: dict[str, list[Tensor]] = {name: [] for name in ("chroma", "squares", "errors", "weighted")}
        for temperature in TEMPERATURES:
            decoded = annealed_mean(logits, self._centres, temperature)
            sweep["chroma"].append(_chroma_sum(decoded))
            sweep["squares"].append((decoded - ab).double().square().sum())
            sweep["errors"].append(error_counts(decoded, ab, None).sum(dim=0))
            sweep["weighted"].append(error_counts(decoded, ab, weight).sum(dim=0))
        sums |= {f"sweep_{name}": torch.stack(values) for name, values in sweep.items()}
        return cross_entropy.double().mean(dim=(1, 2)), sums

    def _true_ab(self, canvas: Canvas) -> Float[Tensor, "batch 2 grid_height grid_width"]:
        size = self._trained.colorizer.network_size(*canvas.lab.shape[-2:])
        ab = F.interpolate(canvas.lab[:, 1:], size=size, mode="bilinear", antialias=True)
        stride = self._trained.colorizer.network.output_stride
        return ab[:, :, ::stride, ::stride]


def network_result(name: str, methods: Sequence[str], sums: Mapping[str, np.ndarray]) -> NetworkResult:
    """The result made from `DistributionStatistics`' sums over all images."""
    count = sums["count"]
    positions = count.sum()
    seen = np.maximum(count, 1)
    confidence, accuracy = sums["confidence"] / seen, sums["hits"] / seen
    errors, weighted = (torch.from_numpy(sums[f"sweep_{name}"]) for name in ("errors", "weighted"))
    return NetworkResult(
        name=name,
        methods=tuple(methods),
        truth_mean_chroma=float(sums["truth_chroma"] / positions),
        sweep=tuple(
            SweepPoint(
                temperature=temperature,
                mean_chroma=float(sums["sweep_chroma"][place] / positions),
                ab_rmse=float(np.sqrt(sums["sweep_squares"][place] / positions)),
                auc=float(auc(errors[place])),
                auc_rebalanced=float(auc(weighted[place])),
            )
            for place, temperature in enumerate(TEMPERATURES)
        ),
        confidence=confidence,
        accuracy=accuracy,
        count=count,
        calibration_error=float((np.abs(accuracy - confidence) * count).sum() / positions),
    )


def _chroma_sum(ab: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, ""]:
    return torch.linalg.vector_norm(ab, dim=1).double().sum()
