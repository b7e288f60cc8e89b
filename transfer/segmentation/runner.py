"""mmengine's runner, and around its loop what every run of this project has."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_start_method
from typing import Any
from uuid import uuid4

import torch
from mmengine import Config
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from PIL import Image
from torch import nn

from pretext.images.workers import GuardedLoader
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.checkpoint import save_checkpoint
from pretext.runtime.distributed import World
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir
from pretext.runtime.stop_signal import StopSignal
from transfer.config import SegmentConfig
from transfer.data.step_order import seed_step
from transfer.running_loss import RunningLoss
from transfer.schedule import Schedule
from transfer.segmentation.evaluation import PeriodicEvaluation
from transfer.segmentation.loading import test_pipeline, train_pipeline
from transfer.segmentation.protocols import SegmentationProtocol

LOG_EVERY = 10  # steps
MOMENTUM = 0.9


def build_runner(
    network: nn.Module,
    protocol: SegmentationProtocol,
    schedule: Schedule,
    *,
    run_dir: RunDir,
    seed: int,
    world: World,
    train_data: GuardedLoader,
    test_data: GuardedLoader,
    hook: "TrainingHook",
) -> Runner:
    """The runner that trains `network`, which is on its device, and tests it where `hook` asks for it."""
    model = network
    if world.size > 1:
        synchronise_batch_norm(network)  # so that a step is the same however many processes share it
        model = MMDistributedDataParallel(
            module=network,
            device_ids=[world.device.index] if world.device.type == "cuda" else None,
        )
    training = {
        "optim_wrapper": optimizer_config(protocol, schedule),
        "param_scheduler": scheduler_config(protocol, schedule),
        "train_cfg": {"by_epoch": False, "max_iters": schedule.steps},
    }
    pipelines = {"train_pipeline": train_pipeline(protocol), "test_pipeline": test_pipeline(protocol)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting MKL_NUM_THREADS")  # as torchrun does with OMP_NUM_THREADS
        runner = Runner(
            model=model,
            work_dir=str(run_dir.mmengine),
            **training,
            train_dataloader=train_data,
            test_dataloader=test_data,
            test_cfg={},
            test_evaluator=[hook.tests],
            # Its log and its checkpoints have a place here; see `TrainingHook`.
            default_hooks=dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "checkpoint")),
            custom_hooks=[hook],
            launcher="pytorch" if world.size > 1 else "none",
            env_cfg={"cudnn_benchmark": True, "mp_cfg": {"mp_start_method": get_start_method()}},
            log_level="WARNING",
            default_scope="mmseg",
            randomness={"seed": seed},
            experiment_name=uuid4().hex,  # the key of what it keeps for the whole process
            cfg=Config(training | pipelines),  # written into its folder
        )
    runner.model.to(world.device)  # it takes a GPU whenever there is one
    return runner


def optimizer_config(protocol: SegmentationProtocol, schedule: Schedule) -> dict[str, Any]:
    """mmengine's configuration of the optimiser."""
    return {
        "optimizer": {
            "type": "SGD",
            "lr": schedule.lr,
            "momentum": MOMENTUM,
            "weight_decay": protocol.weight_decay,
        }
    }


def scheduler_config(protocol: SegmentationProtocol, schedule: Schedule) -> dict[str, Any]:
    """mmengine's configuration of the learning rate."""
    if protocol.lr_drops is not None:
        milestones = [round(share * schedule.steps) for share in protocol.lr_drops]
        return {"type": "MultiStepLR", "milestones": milestones, "gamma": 0.1, "by_epoch": False}
    return {
        "type": "PolyLR",
        "power": 0.9,
        "eta_min": schedule.lr / 100,
        "end": schedule.steps,
        "by_epoch": False,
    }


@dataclass(kw_only=True, eq=False)
class TrainingHook(Hook):
    """After each step of mmengine's loop: log -> test -> save, and stop when a signal came.

    Checkpoints are this project's: whole or not there, while mmengine writes in place and has removed an older one by
    then. `state_dict` in them is the network, as mmsegmentation's tools look for it.

    Attributes:
        network: without wrapper.
        state: a checkpoint to go on from.
        begun: what a checkpoint says of where the run began.
        stopped_by: number of the signal that ended the training, 0 for none.
    """

    network: nn.Module
    config: SegmentConfig
    schedule: Schedule
    tests: PeriodicEvaluation
    begun: Mapping[str, Any]
    state: Mapping[str, Any] | None
    run_dir: RunDir
    world: World
    stop: StopSignal
    log: MetricsLog | None
    progress: Progress
    stopped_by: int = 0
    priority = "VERY_LOW"  # after the learning rate's, so that what is saved is ready for the next step

    def before_train(self, runner: Runner) -> None:
        """Take everything from the checkpoint."""
        if self.state:
            self.network.load_state_dict(self.state["state_dict"])
            runner.optim_wrapper.load_state_dict(self.state["optimizer"])
            runner.param_schedulers[0].load_state_dict(self.state["scheduler"])
            runner.train_loop._iter = self.state[
                "step"
            ]  # as Runner.resume does it; the loop then skips the data
        self._running_loss = RunningLoss(self.world)
        self._logged_step, self._clock = runner.iter, time.perf_counter()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Every step has random numbers (dropout) of its own, so that a run that goes on draws the same."""
        seed_step(self.config.seed, runner.iter, self.world)
        self._lr = runner.optim_wrapper.get_lr()["lr"][0]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        loss = outputs["loss"].detach()[None]
        self._running_loss.add(runner.iter, loss, torch.ones_like(loss, dtype=torch.bool))
        self.progress.advance()
        done = runner.iter + 1
        self.stopped_by = self.stop.agreed()
        is_last = done == self.schedule.steps
        is_saved = done % self.config.save_every == 0 or is_last or self.stopped_by
        if done % LOG_EVERY == 0 or is_saved:
            self._write(done)
        if done % self.config.evaluate_every == 0 or is_last:
            self._running_loss.check_finite()
            self._test(runner, done)
        if is_saved and self.world.is_main:
            self._save(runner, done)
        runner.train_loop.stop_training = bool(self.stopped_by)

    def _write(self, done: int) -> None:
        seconds = (time.perf_counter() - self._clock) / (done - self._logged_step)
        row = {
            "loss": self._running_loss.take(),
            "lr": self._lr,
            "images_per_second": self.schedule.batch_size / seconds,
        }
        if self.log:
            self.log.write(done, row)
        self.progress.show(done, row, seconds_left=(self.schedule.steps - done) * seconds)
        self._logged_step, self._clock = done, time.perf_counter()

    def _test(self, runner: Runner, done: int) -> None:
        metrics = self.tests.add(done, runner.test_loop.run())
        shown = ", ".join(f"{name} {value:.2f}" for name, value in metrics.items())
        self.progress.say(f"test at step {done}: {shown}")
        gallery = self.tests.gallery()
        if self.log:
            self.log.write(done, metrics)
            self.log.write_image(done, "predictions", gallery)
            self.run_dir.samples.mkdir(exist_ok=True)
            Image.fromarray(gallery).save(self.run_dir.gallery(done))
        self._logged_step, self._clock = done, time.perf_counter()

    def _save(self, runner: Runner, done: int) -> None:
        state = {
            "step": done,
            "state_dict": self.network.state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "scheduler": runner.param_schedulers[0].state_dict(),
            "tests": self.tests.rows,
            **self.begun,
        }
        save_checkpoint(self.run_dir.last_checkpoint, state)
