"""The tests of all linear classifiers while they are trained."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.runtime.distributed import World
from pretext.runtime.progress import Progress
from transfer.classification.head_scores import measure_heads
from transfer.classification.heads import LinearHeads
from transfer.classification.protocols import LinearProtocol
from transfer.config import DataConfig
from transfer.data.batches import test_batches
from transfer.data.labelled import LabelledImages


class HeadTestSeries:
    """Tests classifiers on the same images again and again.

    Attributes:
        rows: epoch, and by stage and learning rate the metrics in percent, of every test so far.
        broken: the test images that could not be read.
    """

    def __init__(
        self,
        images: LabelledImages,
        protocol: LinearProtocol,
        pooled_features: Callable[[Tensor], dict[str, Tensor]],
        *,
        batch_size: int,
        data: DataConfig,
        world: World,
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.broken = BrokenFiles({}, num_images=len(images.source), max_share=data.max_broken_share)
        self._images, self._protocol, self._pooled_features = images, protocol, pooled_features
        self._batch_size = max(1, batch_size // world.size // (10 if protocol.ten_crop else 1))
        self._num_workers, self._world = data.num_workers, world

    def run(self, heads: LinearHeads, epoch: int, progress: Progress) -> dict[str, float]:
        """Metric and classifier -> percent, for the log.

        Raises:
            RunFailedError: too many images are unreadable.
        """
        batches = test_batches(
            self._images,
            self._protocol.test_cut(),
            batch_size=self._batch_size,
            world=self._world,
            num_workers=self._num_workers,
            short_side=self._protocol.image_size,
        )
        metrics, errors = measure_heads(heads, self._pooled_features, batches, self._world)
        for line in self.broken.add(errors):
            progress.say(line)
        self.broken.check(len(self._images.source))
        self.rows.append({"epoch": epoch, "metrics": metrics})
        first_metric = next(iter(metrics[heads.stages[0]][0]))
        highest = {stage: max(values[first_metric] for values in metrics[stage]) for stage in heads.stages}
        shown = ", ".join(f"{stage} {value:.2f}" for stage, value in highest.items())
        progress.say(f"{first_metric} after epoch {epoch}: {shown}")
        by_name = zip(heads.names, chain.from_iterable(metrics.values()), strict=True)
        return {f"{metric}/{name}": value for name, values in by_name for metric, value in values.items()}


def choose_test_steps(epochs: int, every: int, num_images: int, batch_size: int) -> dict[int, int]:
    """Step after which is tested -> epoch: every so many epochs, and the last; an epoch may be less than a step.

    Raises:
        ValueError: there is no epoch, or no test.
    """
    if epochs < 1 or every < 1:
        raise ValueError(f"epochs ({epochs}) and evaluate_every ({every}) are at least 1")
    return {
        max(1, round(epoch * num_images / batch_size)): epoch
        for epoch in range(1, epochs + 1)
        if epoch % every == 0 or epoch == epochs
    }
