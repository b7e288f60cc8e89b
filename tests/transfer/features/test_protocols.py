import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import nn

from pretext.networks import NETWORKS, StageSpec
from transfer.features.protocols import LINEAR_PROTOCOLS, resolve
from transfer.tokens import VectorSpec

ALEXNET = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}  # channels
OF_MAPS = ("zhang16", "goyal19", "deepcluster18", "rotnet18")
OF_TOKENS = ("dino21", "dinov2", "mae22")
SIDES = {"conv1": 55, "conv2": 27, "conv3": 13, "conv4": 13, "conv5": 13}  # of the maps of 227 px


def dimensions(protocol, stages):
    return [spec.channels * protocol.grid(name, spec) ** 2 for name, spec in stages.items()]


@pytest.mark.parametrize("name", OF_MAPS)
def test_an_alexnets_features_have_the_published_dimensions(name):
    stages = {stage: StageSpec(channels, 16) for stage, channels in ALEXNET.items()}
    # Zhang et al. (2016), section 3.2: "approximately equal (9k)".
    assert dimensions(LINEAR_PROTOCOLS[name], stages) == [9600, 9216, 9600, 9600, 9216]


def test_a_resnet_50s_features_have_the_dimensions_of_goyal_et_al():
    stages = {"conv1": StageSpec(64, 2), **NETWORKS["resnet50"](output="ab").stages}
    assert dimensions(LINEAR_PROTOCOLS["goyal19"], stages) == [9216, 9216, 8192, 9216, 8192]


@pytest.mark.parametrize(
    ("protocol", "pools"),
    [
        ("goyal19", [(19, 4), (12, 3), (9, 1), (9, 1), (8, 1)]),
        # DeepCluster's released eval_linear.py
        ("deepcluster18", [(6, 6, 3), (4, 4), (3, 3, 1), (3, 3, 1), (2, 2)]),
    ],
)
def test_an_alexnets_maps_are_averaged_with_the_published_kernels(protocol, pools):
    for (stage, channels), pool in zip(ALEXNET.items(), pools, strict=True):
        features = torch.randn(1, channels, SIDES[stage], SIDES[stage])
        pooled = LINEAR_PROTOCOLS[protocol].pool(stage, StageSpec(channels, 16), features)
        torch.testing.assert_close(pooled, nn.AvgPool2d(*pool)(features), rtol=0, atol=0)


def test_a_resnet_50s_maps_are_averaged_with_the_kernels_of_vissl():
    pools = {64: (112, 10, 10, 4), 256: (56, 16, 8), 512: (28, 13, 5), 1024: (14, 8, 3), 2048: (7, 6, 1)}
    for channels, (side, *pool) in pools.items():
        features = torch.randn(1, channels, side, side)
        pooled = LINEAR_PROTOCOLS["goyal19"].pool("layer", StageSpec(channels, 16), features)
        torch.testing.assert_close(pooled, nn.AvgPool2d(*pool)(features), rtol=0, atol=0)


def test_maps_of_other_sizes_are_pooled_adaptively():
    features = torch.randn(2, 256, 17, 14)
    spec = StageSpec(256, 16)
    pooled = {name: LINEAR_PROTOCOLS[name].pool("conv5", spec, features) for name in OF_MAPS}
    resized = F.interpolate(features, (6, 6), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pooled["zhang16"], resized, rtol=0, atol=0)
    for name in ("goyal19", "deepcluster18"):
        torch.testing.assert_close(pooled[name], F.adaptive_avg_pool2d(features, 6), rtol=0, atol=0)
    torch.testing.assert_close(pooled["rotnet18"], F.adaptive_max_pool2d(features, 6), rtol=0, atol=0)


@pytest.mark.parametrize("name", OF_TOKENS)
def test_the_protocols_of_transformers_take_vectors_as_they_are_and_average_maps(name):
    protocol, vector, features = LINEAR_PROTOCOLS[name], torch.randn(2, 7, 1, 1), torch.randn(2, 7, 14, 14)
    assert (
        protocol.grid("class1", VectorSpec(20_000)) == protocol.grid("blocks.11", StageSpec(20_000, 16)) == 1
    )
    assert protocol.pool("class1", VectorSpec(7), vector) is vector
    mean = features.mean((2, 3), keepdim=True)
    torch.testing.assert_close(protocol.pool("blocks.11", StageSpec(7, 16), features), mean)


@pytest.mark.parametrize("name", OF_MAPS)
def test_a_map_smaller_than_its_grid_keeps_the_protocols_dimensions(name):
    pooled = LINEAR_PROTOCOLS[name].pool("conv1", StageSpec(96, 4), torch.randn(1, 96, 4, 4))
    assert pooled.shape == (1, 96, 10, 10)


def test_a_stage_of_too_many_channels_is_refused_by_name():
    with pytest.raises(ValueError, match="stage fc8 has 10000 channels and zhang16 at most 9600"):
        LINEAR_PROTOCOLS["zhang16"].grid("fc8", StageSpec(10000, 32))


def test_the_rate_falls_at_the_same_share_of_a_shorter_training():
    protocol = LINEAR_PROTOCOLS["zhang16"]  # a tenth after 8, 16, 24 of 28 epochs
    published = [
        protocol.lr_factor(step, 140_000, 256) for step in (0, 39_999, 40_000, 80_000, 120_000, 139_999)
    ]
    assert published == [1, 1, 0.1, 0.01, 0.001, 0.001]
    assert [protocol.lr_factor(step, 7, 10) for step in range(7)] == [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001]


def test_rotnets_rates_are_the_papers():
    protocol = LINEAR_PROTOCOLS["rotnet18"]
    rates = [protocol.lr * protocol.lr_factor(epoch, 35, 192) for epoch in (0, 4, 5, 15, 25, 34)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.002, 0.0004, 0.0004])


@pytest.mark.parametrize(("name", "steps_of_an_epoch"), [("dino21", 1), ("dinov2", 1250)])
def test_dinos_and_dinov2s_rates_are_those_of_torchs_cosine_for_the_published_batch(name, steps_of_an_epoch):
    # DINO steps its scheduler once an epoch, DINOv2 once a step; both multiply by the batch over 256.
    protocol = LINEAR_PROTOCOLS[name]
    parameter, num_steps = nn.Parameter(torch.zeros(1)), protocol.epochs * steps_of_an_epoch
    optimizer = torch.optim.SGD([parameter], lr=protocol.lr * 1024 / 256)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps, eta_min=0)
    expected = []
    for _ in range(num_steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    rates = [protocol.lr * protocol.lr_factor(step, num_steps, 1024) for step in range(num_steps)]
    np.testing.assert_allclose(rates, expected, atol=1e-12)


def test_dinos_rate_stays_through_an_epoch():
    factors = [LINEAR_PROTOCOLS["dino21"].lr_factor(step, 700, 256) for step in range(14)]
    assert factors[:7] == [1.0] * 7
    assert len(set(factors[7:])) == 1
    assert factors[7] < 1


def test_maes_rate_rises_over_ten_of_ninety_epochs_and_falls_by_half_a_cosine():
    protocol = LINEAR_PROTOCOLS["mae22"]
    rates = {epoch: 0.1 * protocol.lr_factor(epoch * 78, 90 * 78, 16384) for epoch in (0, 5, 10, 50, 90)}
    # 0.1 x 16384 / 256 after the warm-up, half of it in the middle of the rest (its util/lr_sched.py).
    assert rates == pytest.approx({0: 0, 5: 3.2, 10: 6.4, 50: 3.2, 90: 0}, abs=1e-12)


def test_a_result_says_which_crop_was_not_the_protocols():
    assert resolve("zhang16").described() == "zhang16"
    used = resolve("zhang16", image_size=128, crop_size=112)
    assert (used.image_size, used.crop_size) == (128, 112)
    assert used.described() == "zhang16, 112 px of 128"


def test_a_misspelt_protocol_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"no protocol 'zang16' \(did you mean 'zhang16'"):
        resolve("zang16")


def test_a_crop_larger_than_its_image_is_refused():
    with pytest.raises(ValueError, match=r"data\.crop_size 299 must be .* at most data\.image_size, 256"):
        resolve("zhang16", crop_size=299)


@pytest.mark.parametrize("name", LINEAR_PROTOCOLS)
def test_each_protocol_cuts_its_own_size(name):
    protocol = resolve(name, image_size=32, crop_size=24)
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=(40, 50, 3), dtype=np.uint8))
    assert protocol.train_cut()(image, random.Random(0)).shape == (3, 24, 24)
    shape = (10, 3, 24, 24) if name == "deepcluster18" else (3, 24, 24)
    assert protocol.test_cut()(image).shape == shape


def test_torchvisions_alexnet_has_the_maps_whose_kernels_are_published():
    maps, sides = torch.zeros(1, 3, 224, 224), []
    for layer in torchvision.models.alexnet(weights=None).features:
        maps = layer(maps)
        if isinstance(layer, nn.ReLU):
            sides.append(maps.shape[-1])
    assert sides == list(SIDES.values())
