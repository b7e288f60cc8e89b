"""Detectron2's checkpoints and log, as strict and as quiet as this project wants them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer

from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.whole_file import write_failed
from transfer.backbone import OpenedBackbone
from transfer.config import DetectConfig
from transfer.resume import refuse_another


class Begun:
    """From which weights and how many images a run was begun; to go on from others is an error."""

    def __init__(self, config: DetectConfig, backbone: OpenedBackbone, num_images: int) -> None:
        self.config, self.backbone, self.num_images = config, backbone, num_images

    def state_dict(self) -> dict[str, Any]:
        return {"backbone": self.backbone.sha256, "num_images": self.num_images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        refuse_another(state, self.config, self.backbone, self.num_images)


class StrictCheckpointer(DetectionCheckpointer):
    """Detectron2's, for which a checkpoint of another network is a warning; here it is an error."""

    def save(self, name: str, **extra: Any) -> None:
        """Write the file, then say that it is the last one; the one before is kept until then.

        Raises:
            OSError: the file could not be written.
        """
        try:
            super().save(name, **extra)
        except (OSError, RuntimeError) as error:
            raise write_failed(Path(self.save_dir, f"{name}.pth"), error) from error

    def _load_file(self, filename: str) -> dict[str, Any]:
        return load_checkpoint(Path(filename))

    def _load_model(self, checkpoint: Any) -> Any:
        found = super()._load_model(checkpoint)
        wrong = [*found.missing_keys, *found.unexpected_keys, *(of[0] for of in found.incorrect_shapes)]
        if wrong:
            raise ValueError(
                f"the checkpoint in {self.save_dir} is of another network: {len(wrong)} parameters do not fit, the "
                f"first is {wrong[0]}; begin a new out folder"
            )
        return found


@contextmanager
def detectron2_log(file: Path) -> Iterator[None]:
    """What Detectron2 says goes into a file of its own, so that the terminal shows this run's numbers."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "d2")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.level, logger.propagate = level, propagate
        handler.close()
