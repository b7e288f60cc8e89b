"""What surrounds a framework's own training loop: the run directory, and after each step log -> test -> save."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import StoppedError
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.whole_file import whole_file
from transfer.backbone import OpenedBackbone
from transfer.runs import Run, refuse_another
from transfer.schedule import Schedule

LOG_EVERY = 10  # steps


@runtime_checkable
class Stateful(Protocol):
    """A network, an optimizer, a schedule."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state_dict: Any) -> Any: ...


class FrameworkRun:
    """A run whose loop is a framework's, which calls `begin` before its first step and `after_step` after each.

    Checkpoints are this project's: whole or not there, while the frameworks write in place.

    Attributes:
        first_step: how many steps were done before, by an interrupted run in the same folder.
        num_steps: of the whole training.
        rows: step and metrics of each test so far; on the first process.
        progress: what the user sees.
    """

    def __init__(
        self,
        run: Run,
        schedule: Schedule,
        backbone: OpenedBackbone,
        num_images: int,
        *,
        save_every: int,
        evaluate_every: int,
        stop: StopSignal,
    ) -> None:
        """Read the last checkpoint in the folder that `run` has taken, if there is one.

        Args:
            backbone, num_images: which weights the run starts from, and how many training images it has.
            save_every: steps between two checkpoints.
            evaluate_every: steps between two tests.

        Raises:
            ValueError: the checkpoint started from other weights or has other images.
        """
        world, run_dir = run.world, run.folder
        self._run_dir, self._schedule, self._world, self._stop = run_dir, schedule, world, stop
        self._save_every, self._evaluate_every, self._stopped_by = save_every, evaluate_every, 0
        self._identity = {"backbone": backbone.sha256, "num_images": num_images}
        begun = run_dir.last_checkpoint.exists()
        self._state: Mapping[str, Any] = load_checkpoint(run_dir.last_checkpoint) if begun else {}
        if begun:
            refuse_another(self._state, backbone, num_images, run_dir.path)
        self.rows: list[dict[str, Any]] = self._state.get("tests", [])
        self.num_steps = schedule.steps
        self.step = self.first_step = self._state.get("step", 0)
        self._log = run.held.enter_context(MetricsLog(run_dir, self.step)) if world.is_main else None
        self.progress = run.held.enter_context(
            Progress(schedule.steps, initial=self.step, visible=world.is_main)
        )

    def begin(
        self,
        parts: Mapping[str, Stateful],
        *,
        losses: Callable[[int], dict[str, float]],
        test: Callable[[], dict[str, Any]],
        gallery: Callable[[], UInt8[np.ndarray, "height width 3"]],
    ) -> None:
        """Take `parts` from the checkpoint, if there is one.

        Args:
            parts: what a checkpoint holds the state of, by its name there.
            losses: the mean losses of that many last steps, the optimised one as `loss`, and `lr`; called on every
                process, counts on the first.
            test: the metrics of the network as it is now, in percent; called on every process, counts on the first.
            gallery: pictures of what the last test predicted; called on every process, counts on the first.
        """
        self._parts, self._losses, self._test_network, self._draw = parts, losses, test, gallery
        for name, part in parts.items() if self._state else ():
            part.load_state_dict(self._state[name])
        self._state = {}
        if self.first_step:
            self.progress.say(
                f"resuming after step {self.first_step} of {self.num_steps} in {self._run_dir.path}"
            )
        self._logged_step, self._clock = self.step, time.perf_counter()

    def after_step(self) -> bool:
        """Log, test and save where it is time to; whether a signal came, so that the loop must end."""
        self.step += 1
        self.progress.advance()
        self._stopped_by = self._stop.agreed()
        is_last = self.step == self.num_steps
        is_tested = self.step % self._evaluate_every == 0 or is_last
        is_saved = self.step % self._save_every == 0 or is_last or bool(self._stopped_by)
        if self.step % LOG_EVERY == 0 or is_saved or is_tested:
            self._log_losses()
        if is_tested:
            self._test()
        if is_saved and self._world.is_main:
            states = {name: part.state_dict() for name, part in self._parts.items()}
            state = {"step": self.step, "tests": self.rows, **states, **self._identity}
            save_checkpoint(self._run_dir.last_checkpoint, state)
        return bool(self._stopped_by)

    def raise_if_stopped(self) -> None:
        """Raises StoppedError if a signal ended the training before its last step."""
        if self._stopped_by and self.step < self.num_steps:
            raise StoppedError.after_step(
                self.step, self.num_steps, self._run_dir.last_checkpoint, self._stopped_by
            )

    def _log_losses(self) -> None:
        num_steps = self.step - self._logged_step
        seconds = (time.perf_counter() - self._clock) / num_steps
        row = self._losses(num_steps) | {"images_per_second": self._schedule.batch_size / seconds}
        if self._log:
            self._log.write(self.step, row)
        self.progress.show(self.step, row, seconds_left=(self.num_steps - self.step) * seconds)
        self._logged_step, self._clock = self.step, time.perf_counter()

    def _test(self) -> None:
        metrics, gallery = self._test_network(), self._draw()
        self.rows.append({"step": self.step, **metrics})
        numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
        shown = ", ".join(f"{name} {value:.2f}" for name, value in numbers.items())
        self.progress.say(f"test at step {self.step}: {shown}")
        if self._log:
            self._log.write(self.step, numbers)
            self._log.write_image(self.step, "predictions", gallery)
            self._run_dir.samples.mkdir(exist_ok=True)
            with whole_file(self._run_dir.gallery(self.step)) as file:
                Image.fromarray(gallery).save(file, format="png")
        self._clock = time.perf_counter()
