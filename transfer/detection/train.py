"""Training a detector: check -> build -> resume -> Detectron2's trainer -> results."""

from contextlib import ExitStack
from dataclasses import asdict

import torch
from detectron2.engine import SimpleTrainer, hooks
from detectron2.solver import build_lr_scheduler, build_optimizer
from PIL import Image
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import join_world
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import open_backbone
from transfer.config import DetectConfig
from transfer.data.sample_crops import sample_crops
from transfer.detection.adapter import build_detector, choose_detector, detectron_config
from transfer.detection.checkpoint import Begun, StrictCheckpointer, detectron2_log
from transfer.detection.data import open_detection, summary, train_proposals
from transfer.detection.evaluation import PeriodicEvaluation
from transfer.detection.hooks import LogLosses, SeedEachStep, StopOnSignal
from transfer.detection.loading import detectron_records, training_loader
from transfer.detection.protocols import resolve_protocol
from transfer.detection.records import detection_records
from transfer.detection.truth import require_full_marks
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.results import results_table, write_records
from transfer.stages import choose_stage


def detect(config: DetectConfig) -> None:
    """Run `config` to its end, from its last checkpoint where there is one, and write the results.

    Raises:
        ValueError: the configuration or its data cannot be used as they are, the evaluator does not give 100 to the
            truth itself, or the folder holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ check
        protocol, schedule = resolve_protocol(config)
        train_images, test_images = world.on_main(lambda: open_detection(config.data))
        eleven_points = config.average_precision == "11_point"
        require_full_marks(test_images, eleven_points=eleven_points, world=world)
        records = [
            record
            for images, proposals in zip(train_images, train_proposals(config.data), strict=True)
            for record in detectron_records(images, proposals)
            if any(not annotation["iscrowd"] for annotation in record["annotations"])
        ]
        test_records = detectron_records(test_images, config.data.test_proposals)

        # ------------------------------------------------------------------------------ build
        paths = [image.path for images in train_images for image in images.images]
        backbone = open_backbone(
            config.backbone,
            config.seed,
            lambda: sample_crops(paths, config.seed),
            colour_input=config.colour_input,
        )
        detector = choose_detector(backbone.network, config.detector)
        stage = {"c4": "layer3", "fpn": "layer4"}.get(detector) or choose_stage(
            backbone.network, config.stage, fully_connected=False
        )
        cfg = detectron_config(
            protocol,
            schedule,
            detector=detector,
            stage=stage,
            num_classes=len(test_images.classes),
            with_proposals=config.data.train_proposals is not None,
            device=str(world.device),
        )
        torch.manual_seed(config.seed)
        network = build_detector(
            backbone.network,
            cfg,
            detector=detector,
            train_from=config.train_from,
            trains_batch_norm=protocol.batch_norm == "train",
        )
        frozen = frozen_tensors(network.backbone)
        optimizer = build_optimizer(cfg, network)
        if world.size > 1:
            synchronise_batch_norm(network)
        model: nn.Module = network if world.size == 1 else DistributedDataParallel(network)
        tests = PeriodicEvaluation(
            test_images,
            test_records,
            cfg,
            eleven_points=eleven_points,
            num_workers=config.data.num_workers,
        )

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.out)
        world.on_main(lambda: run_dir.prepare(asdict(config), opened, free=free_keys(config)))
        if world.is_main:
            run_dir.detectron2.mkdir(exist_ok=True)
            (run_dir.detectron2 / "config.yaml").write_text(cfg.dump())
        world.wait()
        opened.enter_context(detectron2_log(run_dir.detectron2 / f"log{world.rank or ''}.txt"))
        scheduler = build_lr_scheduler(cfg, optimizer)
        checkpointer = StrictCheckpointer(
            network,
            str(run_dir.detectron2),
            save_to_disk=world.is_main,
            optimizer=optimizer,
            scheduler=scheduler,
            tests=tests,
            begun=Begun(config, backbone, len(records)),
        )
        first_step = checkpointer.resume_or_load("", resume=True).get("iteration", -1) + 1
        loader = training_loader(
            records,
            cfg,
            seed=config.seed,
            start_step=first_step,
            world=world,
            num_workers=config.data.num_workers,
        )
        log = opened.enter_context(MetricsLog(run_dir, first_step)) if world.is_main else None
        progress = opened.enter_context(Progress(schedule.steps, initial=first_step, visible=world.is_main))
        for images in (*train_images, test_images):
            for line in (summary(images), *images.notes()):
                progress.say(line)
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        progress.say(
            f"{backbone.name}, {detector} on {stage}, trained from {config.train_from} ({trained:.1f} M parameters), "
            f"on {world.device} x {world.size}: {schedule.described(protocol.schedule)}"
        )
        if first_step:
            progress.say(f"going on after step {first_step} of {schedule.steps} in {run_dir.path}")

        # ------------------------------------------------------------------------------ train
        def test() -> None:
            step = min(trainer.iter + 1, schedule.steps)
            metrics = tests.run(network, step)
            if log:
                log.write(step, metrics)
                progress.say(
                    f"step {step}: " + ", ".join(f"{of} {value:.2f}" for of, value in metrics.items())
                )
                gallery = tests.gallery(network)
                run_dir.samples.mkdir(exist_ok=True)
                Image.fromarray(gallery).save(run_dir.gallery(step))
                log.write_image(step, "predictions", gallery)

        trainer = SimpleTrainer(model, loader, optimizer)
        losses = LogLosses(schedule, log, progress)
        trainer.register_hooks(
            [
                SeedEachStep(config.seed, world),
                hooks.LRScheduler(optimizer, scheduler),
                losses,
                hooks.EvalHook(config.evaluate_every, test),
                hooks.PeriodicCheckpointer(checkpointer, config.save_every, max_to_keep=1)
                if world.is_main
                else None,
                StopOnSignal(schedule.steps, checkpointer, stop, losses),
            ]
        )
        try:
            trainer.train(first_step, schedule.steps)
        except FloatingPointError as error:
            raise RunFailedError(
                f"the loss became NaN or infinite in step {trainer.iter + 1}; {run_dir.detectron2} holds the last "
                "checkpoint; lower the learning rate (--lr) in a new out folder"
            ) from error

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network.backbone, frozen)
        if world.is_main:
            results = detection_records(
                config,
                protocol,
                schedule,
                backbone,
                f"{detector} {stage}",
                train_images,
                test_images,
                tests.rows,
            )
            path = write_records(run_dir.path, results)
            progress.say(f"{results_table(results)}\nresults     {path}")
