"""Weights that have learned nothing: Gaussian, and clusters of patches after Krahenbuhl et al. (2016)."""

import numpy as np
import pytest
import torch
from torch import nn

import transfer
from pretext.images.sample import sample_source
from pretext.networks import build_network
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.initialisation import GAUSSIAN_STD, cluster_layers, draw_gaussian


@pytest.fixture(autouse=True)
def few_patches(monkeypatch):
    monkeypatch.setattr("transfer.initialisation.NUM_PATCHES", 1000)


def photographs(size=64, count=9):
    pictures = [sample_source("train").open(index).resize((size, size)) for index in range(count)]
    return torch.from_numpy(np.stack([np.array(picture) for picture in pictures])).permute(0, 3, 1, 2) / 255


def test_gaussian_weights_have_the_deviation_of_alexnet():
    network = build_network("eccv16", output=None, width=0.5)
    draw_gaussian(network)
    convolutions = [
        module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    for layer in convolutions[3:]:
        assert layer.weight.std().item() == pytest.approx(GAUSSIAN_STD, rel=0.05)
        assert not layer.bias.any()


@pytest.mark.parametrize("name", ["eccv16", "alexnet"])  # convolutions with biases, and groups without
def test_clustered_layers_have_channels_of_mean_0_and_variance_1_on_the_images(name):
    # Krahenbuhl et al. (2016), section 3: what they ask of an initialisation.
    torch.manual_seed(0)
    network = build_network(name, output=None, width=0.125).eval()
    seen = network.see(photographs())
    cluster_layers(network, seen, seed=0)
    outputs = {}
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(
                lambda _, __, output, path=path: outputs.update({path: output.clone()})
            )
    with torch.no_grad():
        network.forward_stages(seen, network.stages)
    assert len(outputs) > 10
    for path, output in outputs.items():
        module = network.get_submodule(path)
        deviation, mean = torch.std_mean(output, dim=(0, 2, 3))
        torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=0.02, rtol=0)
        if isinstance(module, nn.BatchNorm2d) or module.bias is not None:
            torch.testing.assert_close(mean, torch.zeros_like(mean), atol=0.02, rtol=0)


def test_the_clusters_of_patches_answer_to_edges_and_to_each_other_s_patches_least():
    # Coates and Ng (2012): k-means on whitened patches finds distinct filters.
    torch.manual_seed(0)
    network = build_network("alexnet", output=None, width=0.125).eval()
    cluster_layers(network, network.see(photographs(size=128)), seed=0)
    filters = nn.functional.normalize(network.conv1[0].weight.flatten(1))
    likeness = (filters @ filters.T).fill_diagonal_(0)
    assert likeness.abs().max() < 0.9


@pytest.mark.slow
def test_clusters_are_those_of_the_seed_and_the_images():
    def weights(seed, images):
        torch.manual_seed(7)
        network = build_network("alexnet", output=None, width=0.125).eval()
        cluster_layers(network, network.see(images), seed)
        return network.conv2[0].weight

    images = photographs(count=4)
    assert torch.equal(weights(0, images), weights(0, images))
    assert not torch.equal(weights(0, images), weights(1, images))
    assert not torch.equal(weights(0, images), weights(0, images.flip(1)))


@pytest.mark.parametrize("initialisation", ["gaussian", "kmeans"])
def test_a_baseline_is_tested_under_its_name(initialisation):
    records = transfer.knn(
        BackboneConfig(model="random:alexnet", width=0.125, initialisation=initialisation),
        "sample",
        "sample",
        k=[1],
        stages=["conv1", "conv5"],
        image_size=40,
        crop_size=32,
        num_workers=0,
        device="cpu",
    )
    assert {record.backbone for record in records} == {f"random alexnet x0.125, {initialisation}"}
    plain = open_backbone(BackboneConfig(model="random:alexnet", width=0.125)).sha256
    assert plain not in {record.weights for record in records}


@pytest.mark.parametrize("model", ["random:torchvision:resnet18", "eccv16-photographs"])
def test_it_is_refused_where_it_means_nothing(model):
    with pytest.raises(
        ValueError, match=r"initialisation is for random:NAME of this project, .* leave initialisation out"
    ):
        open_backbone(BackboneConfig(model=model, initialisation="gaussian"))
