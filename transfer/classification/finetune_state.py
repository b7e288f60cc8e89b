"""What a fine-tuning must remember to go on as if it had never stopped."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pretext.broken_files import BrokenFiles
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from transfer.backbone import OpenedBackbone
from transfer.classification.classifier import Classifier
from transfer.classification.periodic_test import PeriodicTest
from transfer.config import FinetuneConfig
from transfer.resume import refuse_another


@dataclass(frozen=True, kw_only=True)
class FinetuneState:
    """The parts of a fine-tuning that change. Its data order and crops are functions of the seed and the step.

    Attributes:
        backbone: as the training began.
        num_images: that are trained on.
        broken: those of them that could not be read.
    """

    network: Classifier
    optimizer: torch.optim.Optimizer
    tests: PeriodicTest
    broken: BrokenFiles
    backbone: OpenedBackbone
    num_images: int

    def save(self, path: Path, step: int) -> None:
        """Write everything, after `step` steps; see `save_checkpoint`."""
        state = {
            "step": step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "tests": self.tests.rows,
            "broken_files": self.broken.reasons,
            "broken_test_files": self.tests.broken.reasons,
            "backbone": self.backbone.sha256,
            "num_images": self.num_images,
        }
        save_checkpoint(path, state)

    def restore(self, path: Path, config: FinetuneConfig) -> int:
        """Take everything from `path`; how many steps were done.

        Raises:
            ValueError: that training began from other weights or has other data; or see `load_checkpoint`.
        """
        state = load_checkpoint(path)
        refuse_another(state, config, self.backbone, self.num_images)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.tests.rows, self.tests.broken.reasons = state["tests"], state["broken_test_files"]
        self.broken.reasons = state["broken_files"]
        return state["step"]
