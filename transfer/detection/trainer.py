"""Detectron2's trainer: the hook by which its loop tells a run of each step, and the folder of what it says."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import HookBase, SimpleTrainer, hooks
from detectron2.solver import LRMultiplier
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World
from pretext.runtime.whole_file import write_whole
from transfer.data.step_order import seed_step
from transfer.detection.evaluation import Evaluation
from transfer.training import FrameworkRun


def train_detector(
    network: nn.Module,
    loader: Iterable[list[dict[str, Any]]],
    optimizer: Optimizer,
    scheduler: LRMultiplier,
    run: FrameworkRun,
    evaluation: Evaluation,
    seed: int,
    world: World,
) -> None:
    """Train `network` from where `run` is to its last step, tested by `evaluation`.

    Raises:
        RunFailedError: the loss became NaN or infinite.
        StoppedError: a signal came.
    """
    model = network
    if world.size > 1:
        synchronise_batch_norm(network)
        model = DistributedDataParallel(network)
    trainer = SimpleTrainer(model, loader, optimizer)
    trainer.register_hooks([hooks.LRScheduler(optimizer, scheduler), RunHook(run, seed, world)])
    run.begin(
        {"model": network, "optimizer": optimizer, "scheduler": scheduler},
        losses=lambda num_steps: _mean_losses(trainer, num_steps),
        test=lambda: evaluation.run(network),
        gallery=lambda: evaluation.gallery(network),
    )
    try:
        trainer.train(run.first_step, run.num_steps)
    except FloatingPointError as error:
        raise RunFailedError(
            f"the loss of step {trainer.iter + 1} is NaN or infinite; the last checkpoint is from before it. Lower lr, "
            "in a new out folder"
        ) from error


class RunHook(HookBase):
    """Tells `run` of each step of Detectron2's loop."""

    def __init__(self, run: FrameworkRun, seed: int, world: World) -> None:
        self.run, self.seed, self.world = run, seed, world

    def before_step(self) -> None:
        """Every step draws its boxes from random numbers of its own, so that a resumed run draws the same."""
        seed_step(self.seed, self.trainer.iter, self.world)

    def after_step(self) -> None:
        """Log, test and save; end the loop when a signal came."""
        if self.run.after_step():
            self.run.end()


def _mean_losses(trainer: SimpleTrainer, num_steps: int) -> dict[str, float]:
    """The losses of the last steps and the learning rate; on the first process."""
    histories = trainer.storage.histories()
    losses = {name: history.avg(num_steps) for name, history in histories.items() if "loss" in name}
    if not losses:
        return {}
    return {"loss": losses.pop("total_loss"), **losses, "lr": histories["lr"].latest()}


@contextmanager
def detectron2_folder(folder: Path, cfg: CfgNode, world: World) -> Iterator[None]:
    """A folder with Detectron2's configuration, and what it says, so that the terminal shows this run's numbers."""
    if world.is_main:
        folder.mkdir(exist_ok=True)
        write_whole(folder / "config.yaml", cfg.dump())
    world.wait()
    handler = logging.FileHandler(folder / f"log{world.rank or ''}.txt")
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
