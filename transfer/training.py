"""What surrounds the steps of a training: it is resumed, logged, tested, saved and ended in the run directory."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pretext.broken_files import BrokenFiles
from pretext.images.loader import Batch
from pretext.images.workers import LostWorkerError
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import StoppedError
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.running_losses import RunningLosses
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.whole_file import whole_file
from transfer.backbone import OpenedBackbone
from transfer.runs import Run, refuse_another


@runtime_checkable
class Stateful(Protocol):
    """A network, an optimizer, a schedule."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class Training:
    """A training in the folder of a run: `advance` after each step, then `log`, `add_test` and `save` if it is time.

    Attributes:
        step: how many steps are done.
        first_step: how many were done before, by an interrupted run in the same folder.
        rows: what is kept of each test so far; on the first process.
        broken: the training images that could not be read.
        stopped_by: the signal that ends the training after this step, or 0.
        is_logged, is_tested, is_saved: whether it is time to, after this step.
        progress: what the user sees.
    """

    def __init__(
        self,
        run: Run,
        backbone: OpenedBackbone,
        num_images: int,
        *,
        num_steps: int,
        batch_size: int,
        save_steps: Collection[int],
        test_steps: Collection[int],
        stop: StopSignal,
        log_every: int = 10,
        max_broken_share: float = 0.0,
    ) -> None:
        """Read the last checkpoint in the folder that `run` has taken, if there is one.

        Args:
            backbone, num_images: which weights the run starts from, and how many training images it has.
            batch_size: images of one step, over all processes.
            save_steps, test_steps: number of steps after which a checkpoint is saved, and a test is made.

        Raises:
            ValueError: the checkpoint started from other weights or has other images.
        """
        self._run, self._stop, self._checkpoint = run, stop, run.folder.last_checkpoint
        self._batch_size, self._log_every = batch_size, log_every
        self._save_steps, self._test_steps = save_steps, test_steps
        self._identity = {"backbone": backbone.sha256, "num_images": num_images}
        self._state: Mapping[str, Any] = {}
        if self._checkpoint.exists():
            self._state = load_checkpoint(self._checkpoint)
            refuse_another(self._state, backbone, num_images, run.folder.path)
        self.rows: list[dict[str, Any]] = self._state.get("tests", [])
        self.num_steps, self.stopped_by = num_steps, 0
        self.is_logged = self.is_tested = self.is_saved = False
        self.step = self.first_step = self._state.get("step", 0)
        self.broken = BrokenFiles({}, num_images=num_images, max_share=max_broken_share)
        self._errors: list[tuple[str, str]] = []
        is_main = run.world.is_main
        self._log = run.held.enter_context(MetricsLog(run.folder, self.step)) if is_main else None
        self.progress = run.held.enter_context(Progress(num_steps, initial=self.step, visible=is_main))

    def resume(self, parts: Mapping[str, Stateful]) -> None:
        """Take `parts`, whose state a checkpoint holds by these names, from the last one, if there is one."""
        self._parts = parts
        if self._state:
            for name, part in parts.items():
                part.load_state_dict(self._state[name])
            self._state = {}
            self.progress.say(
                f"resuming after step {self.step} of {self.num_steps} in {self._run.folder.path}"
            )
        self._restart_clock()

    def next_batch(self, batches: Iterator[Batch], losses: RunningLosses) -> Batch:
        """The next batch; where the process that reads it was killed, everything is saved before the error."""
        try:
            batch = next(batches)
        except LostWorkerError:
            if self._run.world.size == 1 and self.step > self.first_step:
                losses.check_finite()
                self.broken.add(self._errors)
                self.save()
                self.progress.say(f"saved after step {self.step} in {self._checkpoint}")
            raise
        self._errors += batch.errors
        return batch

    def advance(self) -> None:
        """A step is done."""
        self.step += 1
        self.progress.advance()
        self.stopped_by = self._stop.agreed()
        self.is_tested = self.step in self._test_steps
        self.is_saved = self.step in self._save_steps or bool(self.stopped_by)
        # Before each save, so that a checkpoint knows every broken file.
        self.is_logged = self.step % self._log_every == 0 or self.is_saved

    def log(self, row: Mapping[str, float], shown: Mapping[str, float] | None = None) -> None:
        """Log the numbers since the last call, and show them, or `shown`.

        Raises:
            RunFailedError: too many images are unreadable.
        """
        seconds = (time.perf_counter() - self._clock) / (self.step - self._logged_step)
        for line in self.broken.add(chain.from_iterable(self._run.world.gather(self._errors))):
            self.progress.say(line)
        self._errors = []
        self.broken.check(self.step * self._batch_size)
        speed = {"images_per_second": self._batch_size / seconds}
        if self._log:
            self._log.write(self.step, {**row, **speed, "broken_files": len(self.broken.reasons)})
        seconds_left = (self.num_steps - self.step) * seconds
        self.progress.show(self.step, {**(shown or row), **speed}, seconds_left)
        self._restart_clock()

    def add_test(self, row: dict[str, Any], numbers: Mapping[str, float], message: str | None = None) -> None:
        """Keep `row` of a test, log its numbers and say the message, or the numbers."""
        self.rows.append(row)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in numbers.items())
        self.progress.say(message or f"test at step {self.step}: {shown}")
        if self._log:
            self._log.write(self.step, numbers)
        self._restart_clock()

    def save(self) -> None:
        """Write the checkpoint, on the first process."""
        if self._run.world.is_main:
            states = {name: part.state_dict() for name, part in self._parts.items()}
            state = {"step": self.step, "tests": self.rows, **states, **self._identity}
            save_checkpoint(self._checkpoint, state)

    def end(self) -> None:
        """Name the broken training images.

        Raises:
            StoppedError: a signal ended the training before its last step.
        """
        self.say_broken("training", self.broken)
        if self.stopped_by and self.step < self.num_steps:
            raise StoppedError.after_step(self.step, self.num_steps, self._checkpoint, self.stopped_by)

    def say_broken(self, kind: str, broken: BrokenFiles) -> None:
        """Name the broken images of a kind, `test`, if there are any."""
        if broken.reasons:
            self.progress.say(f"{len(broken.reasons)} broken {kind} files were skipped: {broken.listing()}")

    def _restart_clock(self) -> None:
        self._logged_step, self._clock = self.step, time.perf_counter()


class FrameworkRun(Training):
    """A training whose loop is a framework's, which calls `begin` before its first step and `after_step` after each.

    Checkpoints are this project's: whole or not there, while the frameworks write in place.
    """

    def begin(
        self,
        parts: Mapping[str, Stateful],
        *,
        losses: Callable[[int], dict[str, float]],
        test: Callable[[], dict[str, Any]],
        gallery: Callable[[], UInt8[np.ndarray, "height width 3"]],
    ) -> None:
        """`resume`; all arguments but `parts` are called on every process, and count on the first.

        Args:
            losses: the mean losses of that many last steps, the optimised one as `loss`, and `lr`.
            test: the metrics of the network as it is now, in percent.
            gallery: pictures of what the last test predicted.
        """
        self._losses, self._test, self._draw = losses, test, gallery
        self.resume(parts)

    def after_step(self) -> bool:
        """Log, test and save where it is time to; whether a signal came, so that the loop must end."""
        self.advance()
        if self.is_logged or self.is_tested:
            self.log(self._losses(self.step - self._logged_step))
        if self.is_tested:
            metrics, gallery = self._test(), self._draw()
            numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
            self.add_test({"step": self.step, **metrics}, numbers)
            if self._log:
                self._log.write_image(self.step, "predictions", gallery)
                folder = self._run.folder
                folder.samples.mkdir(exist_ok=True)
                with whole_file(folder.gallery(self.step)) as file:
                    Image.fromarray(gallery).save(file, format="png")
        if self.is_saved:
            self.save()
        return bool(self.stopped_by)


def every(interval: int, num_steps: int) -> Collection[int]:
    """The steps after which something is done: every so many, and the last."""
    return {*range(interval, num_steps, interval), num_steps}
