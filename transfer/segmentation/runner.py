"""mmengine's runner, and the hook by which its loop tells a run of each step."""

import warnings
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from mmengine import Config
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from mmseg.models import SegTTAModel
from torch import nn

from pretext.images.workers import GuardedLoader
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.distributed import World
from pretext.runtime.running_losses import RunningLosses
from transfer.data.step_order import seed_step
from transfer.segmentation.evaluation import Evaluation
from transfer.segmentation.loading import test_pipeline, train_pipeline
from transfer.segmentation.protocols import SegmentationProtocol
from transfer.training import FrameworkRun

MOMENTUM = 0.9


def build_runner(
    network: nn.Module,
    protocol: SegmentationProtocol,
    *,
    folder: Path,
    seed: int,
    world: World,
    train_data: GuardedLoader,
    test_data: GuardedLoader,
    hook: "RunHook",
) -> Runner:
    """The runner that trains `network`, which is on its device, and tests it when `hook` asks for it.

    Args:
        folder: where mmengine writes its configuration and its log.
    """
    model = network
    if world.size > 1:
        synchronise_batch_norm(network)  # so that a step is the same however many processes share it
        model = MMDistributedDataParallel(
            module=network,
            device_ids=[world.device.index] if world.device.type == "cuda" else None,
        )
    training = {
        "optim_wrapper": optimizer_config(protocol),
        "param_scheduler": scheduler_configs(protocol),
        "train_cfg": {"by_epoch": False, "max_iters": protocol.schedule.steps},
    }
    pipelines = {"train_pipeline": train_pipeline(protocol), "test_pipeline": test_pipeline(protocol)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting MKL_NUM_THREADS")  # as torchrun does with OMP_NUM_THREADS
        runner = Runner(
            model=model,
            work_dir=str(folder),
            **training,
            train_dataloader=train_data,
            test_dataloader=test_data,
            test_cfg={},
            test_evaluator=[hook.evaluation],
            # Its log and its checkpoints have a place here; see `FrameworkRun`.
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


def optimizer_config(protocol: SegmentationProtocol) -> dict[str, Any]:
    """mmengine's configuration of the optimiser."""
    if protocol.optimizer == "adamw":
        return {
            "optimizer": {"type": "AdamW", "lr": protocol.schedule.lr, "weight_decay": protocol.weight_decay}
        }
    return {
        "optimizer": {
            "type": "SGD",
            "lr": protocol.schedule.lr,
            "momentum": MOMENTUM,
            "weight_decay": protocol.weight_decay,
        }
    }


def scheduler_configs(protocol: SegmentationProtocol) -> list[dict[str, Any]]:
    """mmengine's configuration of the learning rate, and of its warm-up where there is one."""
    schedule = protocol.schedule
    if protocol.lr_drops is not None:
        milestones = [round(share * schedule.steps) for share in protocol.lr_drops]
        return [{"type": "MultiStepLR", "milestones": milestones, "gamma": 0.1, "by_epoch": False}]
    falling = {
        "type": "PolyLR",
        "power": protocol.power,
        "eta_min": schedule.lr * protocol.lr_end,
        "begin": schedule.warmup_steps,
        "end": schedule.steps,
        "by_epoch": False,
    }
    if not schedule.warmup_steps:
        return [falling]
    warmup = {"type": "LinearLR", "start_factor": 1e-6, "end": schedule.warmup_steps, "by_epoch": False}
    return [warmup, falling]


class RunHook(Hook):
    """Tells `run` of each step of mmengine's loop.

    A checkpoint names the network `state_dict`, as mmsegmentation's tools look for it.

    Args:
        network: without wrapper.
        test_scales: see `SegmentationProtocol`.
    """

    priority = "VERY_LOW"  # after the learning rate's, so that what is saved is ready for the next step

    def __init__(
        self,
        run: FrameworkRun,
        network: nn.Module,
        evaluation: Evaluation,
        *,
        seed: int,
        world: World,
        test_scales: Sequence[float] = (),
    ) -> None:
        self.run, self.network, self.evaluation, self.test_scales = run, network, evaluation, test_scales
        self.seed, self.world = seed, world

    def before_train(self, runner: Runner) -> None:
        """Resume from the run's checkpoint, as Runner.resume does from mmengine's: the loop then skips the data."""
        self._running_losses = RunningLosses(["loss"], self.world, way_out="Lower lr, in a new out folder")
        self._lr = 0.0
        self.run.begin(
            {
                "state_dict": self.network,
                "optimizer": runner.optim_wrapper,
            }
            | {
                f"scheduler_{number}" if number else "scheduler": scheduler
                for number, scheduler in enumerate(runner.param_schedulers)
            },
            losses=lambda _: self._running_losses.take() | {"lr": self._lr},
            test=partial(self._test, runner),
            gallery=self.evaluation.gallery,
        )
        runner.train_loop._iter = self.run.first_step

    def _test(self, runner: Runner) -> dict[str, Any]:
        if not self.test_scales:
            return runner.test_loop.run()
        trained = runner.model
        runner.model = SegTTAModel(module=self.network)  # which averages what it says of each scale
        try:
            with warnings.catch_warnings():
                # It leaves out a dimension that mmengine then adds, and says so of the first image.
                warnings.filterwarnings("ignore", "The shape of value will convert")
                return runner.test_loop.run()
        finally:
            runner.model = trained

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Every step has random numbers (dropout) of its own, so that a resumed run draws the same."""
        seed_step(self.seed, runner.iter, self.world)
        self._lr = runner.optim_wrapper.get_lr()["lr"][0]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log, test and save; end the loop when a signal came."""
        loss = outputs["loss"].detach()[None]
        self._running_losses.add(runner.iter, loss, torch.ones_like(loss, dtype=torch.bool))
        runner.train_loop.stop_training = self.run.after_step()
