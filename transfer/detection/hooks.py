"""What happens around a step of Detectron2's trainer."""

import time
from pathlib import Path

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase

from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import World
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.stop_signal import StopSignal
from transfer.data.step_order import seed_step
from transfer.schedule import Schedule

LOG_EVERY = 10  # steps


class SeedEachStep(HookBase):
    """Every step draws its boxes from random numbers of its own, so that a run that goes on draws the same."""

    def __init__(self, seed: int, world: World) -> None:
        self.seed, self.world = seed, world

    def before_step(self) -> None:
        seed_step(self.seed, self.trainer.iter, self.world)


class LogLosses(HookBase):
    """Logs the losses, as means over the steps since the last time."""

    def __init__(self, schedule: Schedule, log: MetricsLog | None, progress: Progress) -> None:
        self.schedule, self.log, self.progress = schedule, log, progress
        self.steps, self.seconds = 0, 0.0

    def before_step(self) -> None:
        self.began = time.perf_counter()

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        self.steps += 1
        self.seconds += time.perf_counter() - self.began
        self.progress.advance()
        if done % LOG_EVERY == 0 or done == self.schedule.steps:
            self.write(done)

    def write(self, done: int) -> None:
        """One row, if any step came since the last one."""
        if self.log and self.steps:
            histories = self.trainer.storage.histories()
            losses = {name: of.avg(self.steps) for name, of in histories.items() if "loss" in name}
            row = {
                "loss": losses.pop("total_loss"),
                **losses,
                "lr": histories["lr"].latest(),
                "images_per_second": self.schedule.batch_size * self.steps / self.seconds,
            }
            self.log.write(done, row)
            left = (self.schedule.steps - done) * self.seconds / self.steps
            self.progress.show(done, row, seconds_left=left)
            self.steps, self.seconds = 0, 0.0


class StopOnSignal(HookBase):
    """Ends the run after a step, logged and saved, when a signal came."""

    def __init__(
        self, num_steps: int, checkpointer: DetectionCheckpointer, stop: StopSignal, losses: LogLosses
    ) -> None:
        self.num_steps, self.checkpointer, self.stop, self.losses = num_steps, checkpointer, stop, losses

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if (stopped_by := self.stop.agreed()) and done < self.num_steps:
            self.losses.write(done)
            self.checkpointer.save(f"model_{self.trainer.iter:07d}", iteration=self.trainer.iter)
            raise StoppedError.after_step(done, self.num_steps, Path(self.checkpointer.save_dir), stopped_by)
