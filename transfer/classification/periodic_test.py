"""The tests of a network while it is trained."""

from typing import Any

import torch
from torch import nn

from pretext.broken_files import BrokenFiles
from pretext.runtime.distributed import World
from pretext.runtime.progress import Progress
from transfer.classification.finetune_protocols import FinetuneProtocol
from transfer.classification.metrics import measure
from transfer.classification.scores import score_images
from transfer.config import DataConfig
from transfer.data.batches import test_batches
from transfer.data.labelled import LabelledImages


class PeriodicTest:
    """Tests a network on the same images again and again.

    Attributes:
        rows: step and metrics, in percent, of every test so far.
        broken: the test images that could not be read.
    """

    def __init__(
        self,
        images: LabelledImages,
        protocol: FinetuneProtocol,
        *,
        data: DataConfig,
        world: World,
        autocast: torch.autocast,
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.broken = BrokenFiles({}, num_images=len(images.source), max_share=data.max_broken_share)
        self._images, self._protocol = images, protocol
        self._batch_size = max(1, protocol.batch_size // world.size)
        self._num_workers, self._world, self._autocast = data.num_workers, world, autocast

    def run(self, network: nn.Module, step: int, progress: Progress) -> dict[str, float]:
        """The metrics after `step` steps; the network is in evaluation mode afterwards.

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
        scores, labels, readable, errors = score_images(network, batches, self._world, self._autocast)
        for line in self.broken.add(errors):
            progress.say(line)
        self.broken.check(len(scores))
        metrics = measure(scores, labels, readable)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in metrics.items())
        progress.say(f"test at step {step}: {shown}")
        self.rows.append({"step": step, **metrics})
        return metrics
