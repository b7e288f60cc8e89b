"""Fine-tuning: build -> resume -> step -> log -> test -> save, from top to bottom."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pretext.broken_files import BrokenFiles
from pretext.images.loader import Batch, shuffled_batches
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.running_losses import RunningLosses
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, open_backbone
from transfer.classification import answers_to_all, classification_losses, measure
from transfer.data.labelled import (
    AnyImages,
    LabelledImages,
    images_by_class,
    label_images,
    open_labelled,
    require_pictures,
    take_label_share,
)
from transfer.data.step_order import seed_step
from transfer.finetuning.config import FinetuneConfig
from transfer.finetuning.protocols import FinetuneProtocol, resolve
from transfer.finetuning.regularisation import decayed_groups, drop_blocks
from transfer.partial_training import assert_unchanged, frozen_tensors, set_mode, train_only_from
from transfer.results import Record, make_records, results_table
from transfer.runs import config_of, start_run
from transfer.stages import TransferBackbone
from transfer.training import Training, every

NORMALISED_HEAD_STD = 2e-5  # as in MAE's code
HEAD_STD = 0.01  # of the new weights, as of a new layer in Krahenbuhl et al. (2016)


def run(config: FinetuneConfig) -> list[Record]:
    """`finetune` with what `config` names."""
    return _train_classifier(config, config.backbone, *open_labelled(config.data))


def finetune(
    backbone: AnyBackbone,
    train: AnyImages,
    test: AnyImages,
    *,
    out: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train a backbone, or its last layers, with labels.

    Args:
        backbone: see `open_backbone`; a copy is trained.
        train, test: see `label_images`.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        keys: of `FinetuneConfig` and `DataConfig`, by their own names.

    Returns:
        For each metric a record, of the test after the last step.

    Raises:
        ValueError: an argument means nothing, or the folder holds another run.
        RunFailedError: the loss became NaN or infinite, or too many images are unreadable.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config_of(FinetuneConfig, backbone, train, test, out, keys)
    return _train_classifier(config, backbone, *label_images(train, test, config.data))


def _train_classifier(
    config: FinetuneConfig, backbone: AnyBackbone, labelled: LabelledImages, test: LabelledImages
) -> list[Record]:
    for key, value in (("save_every", config.save_every), ("evaluate_every", config.evaluate_every)):
        if value < 1:
            raise ValueError(f"{key} is {value}, expected at least 1")
    require_pictures(labelled, test)
    recipe = resolve(
        config.protocol,
        steps=config.steps,
        batch_size=config.batch_size,
        lr=config.lr,
        head_lr_factor=config.head_lr_factor,
        image_size=config.data.image_size,
        crop_size=config.data.crop_size,
    )
    if recipe.transformer and labelled.multi_label:
        raise ValueError(
            f"protocol {recipe.name} mixes images of one class each, and those of {labelled.name} may show several; "
            "take another protocol"
        )
    train = take_label_share(labelled, config.label_share, config.seed)
    with start_run(config) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ build
        world = run.world
        torch.backends.cudnn.benchmark = True  # all crops have one size
        num_images = len(train.source)
        num_steps = recipe.num_steps(num_images)
        opened = open_backbone(
            backbone,
            config.seed,
            lambda: train.random_crops(recipe.train_cut(), config.seed),
            colour_input=config.colour_input,
        )
        torch.manual_seed(config.seed)
        network = Classifier(
            opened.network, len(train.classes), config.train_from, normalised=recipe.transformer is not None
        )
        if recipe.transformer:
            drop_blocks(opened.network, recipe.transformer.drop_path)
        network.to(world.device).to(memory_format=torch.channels_last)
        frozen = frozen_tensors(network)
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer = _optimizer(network, recipe)
        autocast = torch.autocast(world.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

        def answer(batch: Batch) -> Tensor:
            """Logits, of several crops the mean."""
            rgb = batch.rgb.to(world.device, non_blocking=True) / 255
            with autocast:
                logits = network(rgb.flatten(0, -4))
            return logits.float().unflatten(0, (len(rgb), -1)).mean(1)

        # ----------------------------------------------------------------------------- resume
        run.take_folder()
        broken_tests = BrokenFiles({}, num_images=len(test.source), max_share=config.data.max_broken_share)
        training = Training(
            run,
            opened,
            num_images,
            num_steps=num_steps,
            batch_size=recipe.batch_size,
            save_steps=every(config.save_every, num_steps),
            test_steps=every(config.evaluate_every, num_steps),
            stop=stop,
            max_broken_share=config.data.max_broken_share,
        )
        by_class = images_by_class(train)
        training.progress.say(
            f"{opened.name}, trained from {config.train_from} ({sum(p.numel() for p in trained) / 1e6:.1f} M "
            f"parameters), {num_images} of {len(labelled.source)} training images ({by_class.min()} to "
            f"{by_class.max()} of a class) and {len(test.source)} test images, on {world.device} x {world.size}"
        )
        training.resume(
            {
                "network": network,
                "optimizer": optimizer,
                "broken_files": training.broken,
                "broken_test_files": broken_tests,
            }
        )
        batches = shuffled_batches(
            train.source,
            recipe.train_cut(),
            short_side=None,
            seed=config.seed,
            num_steps=num_steps,
            batch_size=recipe.batch_size,
            start_step=training.step,
            rank=world.rank,
            world_size=world.size,
            num_workers=config.data.num_workers,
            pin_memory=world.device.type == "cuda",
        )
        if world.size > 1:
            synchronise_batch_norm(network)  # so that a step is the same however many processes share it
        model: nn.Module = network if world.size == 1 else DistributedDataParallel(network)
        running_losses = RunningLosses(["loss"], world, way_out="Lower lr, in a new out folder")

        # ------------------------------------------------------------------------------- step
        for step in range(training.step, num_steps):
            network.train()
            step_lr = recipe.lr_at(step, num_steps)
            for group in optimizer.param_groups:
                group["lr"] = step_lr * group["lr_factor"]
            batch = training.next_batch(batches, running_losses)
            rgb = batch.rgb.to(world.device, non_blocking=True) / 255
            readable = torch.from_numpy(~batch.broken).to(world.device)
            labels = train.labels_at(batch.indices).to(world.device)
            seed_step(config.seed, step, world)
            if recipe.transformer:
                rgb, labels = recipe.transformer.mix(rgb, labels, len(train.classes))
            with autocast:
                logits = model(rgb)
            losses = classification_losses(logits.float(), labels) * readable
            # Over all images, the broken ones' zeros included: the same gradient however processes share the batch.
            losses.mean().backward()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(trained, recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            running_losses.add(step, losses.sum()[None], readable)
            training.advance()

            # ---------------------------------------------------------------------------- log
            if training.is_logged:
                training.log(running_losses.take() | {"lr": step_lr})

            # --------------------------------------------------------------------------- test
            if training.is_tested:
                running_losses.check_finite()
                network.eval()
                scores, was_readable = answers_to_all(
                    test,
                    answer,
                    recipe.test_cut(),
                    short_side=recipe.image_size,
                    batch_size=recipe.batch_size,
                    num_workers=config.data.num_workers,
                    world=world,
                    broken=broken_tests,
                    progress=training.progress,
                )
                metrics = measure(scores, test.labels, was_readable)
                training.add_test({"step": training.step, **metrics}, metrics)

            # --------------------------------------------------------------------------- save
            if training.is_saved:
                training.save()
            if training.stopped_by:
                break

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        training.end()
        training.say_broken("test", broken_tests)
        records = make_records(
            training.rows[-1],
            {
                "train_images": num_images,
                "train_images_by_class": [int(by_class.min()), int(by_class.max())],
                "test_images": len(test.source),
                "broken_train_images": len(training.broken.reasons),
                "broken_test_images": len(broken_tests.reasons),
            },
            task="finetune",
            data=test.name,
            protocol=recipe.described(config.label_share),
            backbone=opened.name,
            weights=opened.sha256,
            stage=config.train_from,
            seed=config.seed,
            settings=recipe.overrides(),
        )
        return run.finish(records, results_table(records), training.progress.say)


def _optimizer(network: "Classifier", recipe: FinetuneProtocol) -> torch.optim.Optimizer:
    """With groups that say in `lr_factor` how many times the step's learning rate theirs is."""
    of_head = {"lr_factor": recipe.head_lr_factor}
    if recipe.transformer is None:
        trained = [p for p in network.backbone.parameters() if p.requires_grad]
        return torch.optim.SGD(
            [{"params": trained, "lr_factor": 1.0}, {"params": list(network.head.parameters()), **of_head}],
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
    matrices = [p for p in network.head.parameters() if p.ndim > 1]
    vectors = [p for p in network.head.parameters() if p.ndim == 1]
    return torch.optim.AdamW(
        [
            *decayed_groups(network.backbone, recipe.transformer.layer_decay, recipe.weight_decay),
            {"params": matrices, "weight_decay": recipe.weight_decay, **of_head},
            {"params": vectors, "weight_decay": 0.0, **of_head},
        ],
        lr=recipe.lr,
    )


class Classifier(nn.Module):
    """The deepest map, averaged over all positions, and a linear layer: one score for each class.

    For a fully convolutional AlexNet this is fc8 at each position and the mean of its answers. Everything before
    `train_from` is frozen, and stays in evaluation mode even in training.

    Args:
        train_from: `head`, the first stage that is trained, or `all`.
        normalised: a LayerNorm stands before the linear layer.

    Raises:
        ValueError: there is no such stage.
    """

    def __init__(
        self, backbone: TransferBackbone, num_classes: int, train_from: str, *, normalised: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.stage, spec = list(backbone.stages.items())[-1]
        train_only_from(backbone, train_from, self.stage)
        linear = nn.Linear(spec.channels, num_classes)
        nn.init.normal_(linear.weight, std=NORMALISED_HEAD_STD if normalised else HEAD_STD)
        nn.init.zeros_(linear.bias)
        self.head = nn.Sequential(nn.LayerNorm(spec.channels, eps=1e-6), linear) if normalised else linear

    def forward(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Scores (logits) of RGB in [0, 1]."""
        return self.head(self.backbone.forward_stages(rgb, [self.stage])[self.stage].mean((2, 3)))

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode where something is trained."""
        set_mode(self, mode)
        return self
