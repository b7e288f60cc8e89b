"""MAE's fine-tuning of a vision transformer (He et al. 2022), against what its published code does."""

import dataclasses
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import StochasticDepth

from pretext.images.loader import shuffled_batches
from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.command_line import StoppedError
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig, DataConfig
from transfer.finetuning import run as finetuning
from transfer.finetuning.config import FinetuneConfig
from transfer.finetuning.protocols import FINETUNE_PROTOCOLS
from transfer.finetuning.regularisation import augmented_crop, decayed_groups, drop_blocks, mixed
from transfer.finetuning.run import Classifier
from transfer.partial_training import train_only_from
from transfer.results import read_records

pytest.importorskip("timm", reason="install timm: pip install timm")

MAE = FINETUNE_PROTOCOLS["mae22"]
VIT = BackboneConfig(model="random:timm:vit_tiny_patch16_224")


@pytest.fixture(scope="module")
def vit():
    return open_backbone(VIT).network


def test_learning_rates_and_weight_decays_are_those_of_mae_s_code(vit):
    train_only_from(vit, "all", "blocks.11")
    names = {id(parameter): name for name, parameter in vit.named_parameters()}
    factors, decays = {}, {}
    for group in decayed_groups(vit, 0.65, 0.05):
        for parameter in group["params"]:
            factors[names[id(parameter)]] = group["lr_factor"]
            decays[names[id(parameter)]] = group["weight_decay"]
    assert factors.keys() == {name for name, p in vit.named_parameters() if p.requires_grad}
    # util/lr_decay.py: layer_decay ** (num_layers - layer) of len(blocks) + 1 layers, block i being layer i + 1.
    for name, factor in factors.items():
        block = int(name.split(".")[2]) if name.startswith("network.blocks.") else -1
        assert factor == pytest.approx(0.65 ** (13 - (block + 1)))
    assert decays["network.blocks.3.mlp.fc1.weight"] == 0.05
    for name in (
        "pos_embed",
        "cls_token",
        "blocks.3.mlp.fc1.bias",
        "blocks.3.norm1.weight",
        "patch_embed.proj.bias",
    ):
        assert decays[f"network.{name}"] == 0
    assert len(factors) > 100


def test_the_learning_rate_warms_up_for_five_epochs_and_falls_to_a_millionth():
    # main_finetune.py: blr 5e-4 times the batch over 256; util/lr_sched.py: half a cosine to min_lr.
    peak = 5e-4 * 1024 / 256
    rates = [MAE.lr_at(step, 1000) for step in (0, 25, 50, 525, 1000)]
    assert rates == pytest.approx([0, peak / 2, peak, (peak + 1e-6) / 2, 1e-6])
    assert dataclasses.replace(MAE, batch_size=256).lr_at(50, 1000) == pytest.approx(5e-4)


def test_blocks_are_dropped_more_often_the_deeper_they_are_and_only_where_they_are_trained():
    network = open_backbone(VIT).network
    drop_blocks(network, 0.1)
    layers = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    assert [layer.p for layer in layers[::2]] == pytest.approx(np.linspace(0, 0.1, 12).tolist())
    assert len(layers) == 24  # each block has two branches
    classifier = Classifier(network, 5, "blocks.10", normalised=True).train()
    assert [layer.training for layer in layers] == [False] * 20 + [True] * 4
    classifier.eval()
    assert not any(layer.training for layer in layers)


@pytest.mark.parametrize("seed", range(8))
def test_the_share_of_a_class_is_the_share_of_the_image(seed):
    torch.manual_seed(seed)
    rgb = torch.arange(4.0)[:, None, None, None].expand(4, 3, 32, 32).contiguous()  # image i is of value i
    labels = torch.arange(4)
    images, shares = mixed(rgb, labels, 6, mixup=0.8, cutmix=1.0)
    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    torch.testing.assert_close(images.mean((1, 2, 3)), shares @ torch.arange(6.0))
    assert (shares > 0).sum(1).max() <= 2


def test_labels_are_smoothed_as_in_deit():
    torch.manual_seed(0)
    _, shares = MAE.transformer.mix(torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 0, 0]), 10)
    # timm's mixup_target: 1 - 0.1 + 0.1 / 10 for the class, 0.1 / 10 for each other one.
    torch.testing.assert_close(shares, torch.tensor([[0.91] + [0.01] * 9] * 4))


def test_an_augmented_crop_is_a_function_of_the_image_and_its_random_numbers_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    image = Image.fromarray(pixels)
    crops = []
    for seed in range(200):
        before = torch.get_rng_state()
        crops.append(augmented_crop(image, random.Random(seed), 32))
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(1)
    assert all(
        torch.equal(crop, augmented_crop(image, random.Random(seed), 32))
        for seed, crop in enumerate(crops[:20])
    )
    assert len({crop.numpy().tobytes() for crop in crops}) > 190


def write_images(folder):
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for name, brightness in (("bright", 190), ("dark", 60)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(brightness - 40, brightness + 40, (40, 44, 3), np.uint8)
                Image.fromarray(noise).save(folder / split / name / f"{number}.png")


@pytest.fixture
def config(tmp_path):
    write_images(tmp_path / "data")
    return FinetuneConfig(
        backbone=VIT,
        data=DataConfig(
            train=str(tmp_path / "data" / "train"),
            test=str(tmp_path / "data" / "val"),
            image_size=40,
            crop_size=32,
            num_workers=0,
        ),
        out=str(tmp_path / "run"),
        protocol="mae22",
        steps=4,
        batch_size=4,
        device="cpu",
    )


def test_a_stopped_fine_tuning_of_a_transformer_resumes_to_the_same_bits(config, tmp_path, monkeypatch):
    undisturbed = dataclasses.replace(config, out=str(tmp_path / "undisturbed"))
    finetuning.run(undisturbed)

    def interrupted(*args, **options):
        for number, batch in enumerate(shuffled_batches(*args, **options)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "shuffled_batches", interrupted)
        with pytest.raises(StoppedError, match="after step 3 of 4"):
            finetuning.run(config)
    finetuning.run(config)
    one, other = (
        load_checkpoint(Path(folder.out) / "checkpoints" / "last.pt")["network"]
        for folder in (config, undisturbed)
    )
    assert all(torch.equal(one[name], other[name]) for name in other)
    (record,) = read_records([tmp_path / "run"])
    assert (record.protocol, record.metric, record.stage) == ("mae22, 32 of 40 px", "top1", "all")


def test_what_it_cannot_train_is_refused_before_anything_is_made(config, tmp_path):
    network = dataclasses.replace(config, backbone=BackboneConfig(model="random:alexnet", width=0.125))
    with pytest.raises(ValueError, match=r"mae22 fine-tunes vision transformers.*take a timm:vit_"):
        finetuning.run(network)
    assert not (tmp_path / "run").exists()
