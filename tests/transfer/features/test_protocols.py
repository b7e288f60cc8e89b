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

ALEXNET = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}  # channels
SIDES = {"conv1": 55, "conv2": 27, "conv3": 13, "conv4": 13, "conv5": 13}  # of the maps of 227 px


def dimensions(protocol, stages):
    return [spec.channels * protocol.grid(name, spec) ** 2 for name, spec in stages.items()]


@pytest.mark.parametrize("name", LINEAR_PROTOCOLS)
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
    pooled = {name: protocol.pool("conv5", spec, features) for name, protocol in LINEAR_PROTOCOLS.items()}
    resized = F.interpolate(features, (6, 6), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pooled["zhang16"], resized, rtol=0, atol=0)
    for name in ("goyal19", "deepcluster18"):
        torch.testing.assert_close(pooled[name], F.adaptive_avg_pool2d(features, 6), rtol=0, atol=0)
    torch.testing.assert_close(pooled["rotnet18"], F.adaptive_max_pool2d(features, 6), rtol=0, atol=0)


@pytest.mark.parametrize("name", LINEAR_PROTOCOLS)
def test_a_map_smaller_than_its_grid_keeps_the_protocols_dimensions(name):
    pooled = LINEAR_PROTOCOLS[name].pool("conv1", StageSpec(96, 4), torch.randn(1, 96, 4, 4))
    assert pooled.shape == (1, 96, 10, 10)


def test_a_stage_of_too_many_channels_is_refused_by_name():
    with pytest.raises(ValueError, match="stage fc8 has 10000 channels and zhang16 at most 9600"):
        LINEAR_PROTOCOLS["zhang16"].grid("fc8", StageSpec(10000, 32))


def test_the_rate_falls_at_the_same_share_of_a_shorter_training():
    protocol = LINEAR_PROTOCOLS["zhang16"]  # a tenth after 8, 16, 24 of 28 epochs
    published = [protocol.lr_factor(step, 140_000) for step in (0, 39_999, 40_000, 80_000, 120_000, 139_999)]
    assert published == [1, 1, 0.1, 0.01, 0.001, 0.001]
    assert [protocol.lr_factor(step, 7) for step in range(7)] == [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001]


def test_rotnets_rates_are_the_papers():
    protocol = LINEAR_PROTOCOLS["rotnet18"]
    rates = [protocol.lr * protocol.lr_factor(epoch, 35) for epoch in (0, 4, 5, 15, 25, 34)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.002, 0.0004, 0.0004])


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
