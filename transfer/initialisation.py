"""Other weights to start from than those that a network is made with: baselines that have learned nothing.

Krahenbuhl et al. (2016), "Data-dependent initializations of convolutional neural networks", compare with them.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from torch import Tensor, nn

from pretext.networks import Backbone

GAUSSIAN_STD = 0.01
NUM_IMAGES, NUM_PATCHES = 64, 10_240
MAX_COMPONENTS = 256
MIN_VARIANCE = 1e-3  # of the largest component's: whitening what hardly varies would answer to noise


@torch.no_grad()
def draw_gaussian(network: nn.Module) -> None:
    """Weights of deviation 0.01 and biases of 0 in every convolution: AlexNet's, and the papers' row "Gaussian"."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=GAUSSIAN_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def cluster_layers(
    network: Backbone, images: Float[Tensor, "batch channels height width"], seed: int
) -> None:
    """Make the filters of each convolution the clusters of what arrives there: the papers' row "k-means".

    One pass of the images remakes layer after layer: patches of what arrives are whitened and clustered, the centres
    become the filters, and weights and biases are scaled so that each channel has mean 0 and variance 1 on these
    images. A BatchNorm takes the mean and variance of what arrives as its own. Transposed convolutions stay as they
    are.

    Args:
        images: what the network sees of some images.
        seed: of the patches and the clusters.
    """
    generator = torch.Generator().manual_seed(seed)

    def remake(layer: nn.Module, args: tuple[Any, ...]) -> None:
        (arriving,) = args
        if isinstance(layer, nn.Conv2d):
            groups = _patches(arriving, layer, generator).chunk(layer.groups, dim=1)
            count = layer.out_channels // layer.groups
            filters = [_cluster_centres(patches.flatten(1).numpy(), count, seed) for patches in groups]
            layer.weight.copy_(torch.from_numpy(np.concatenate(filters)).view_as(layer.weight))
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            variance, mean = torch.var_mean(arriving, dim=(0, 2, 3))
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)

    def normalise(layer: nn.Conv2d, _: tuple[Any, ...], output: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(output, dim=(0, 2, 3))
        deviation.clamp_(min=1e-6)
        layer.weight.div_(deviation[:, None, None, None])
        if layer.bias is None:
            mean.zero_()
        else:
            layer.bias.copy_(-mean / deviation)
        return (output - mean[:, None, None]) / deviation[:, None, None]

    hooks = []
    for layer in network.modules():
        hooks.append(layer.register_forward_pre_hook(remake))
        if isinstance(layer, nn.Conv2d):
            hooks.append(layer.register_forward_hook(normalise))
    network.forward_stages(images[:NUM_IMAGES], network.stages)
    for hook in hooks:
        hook.remove()


def _cluster_centres(
    rows: Float[np.ndarray, "patches inputs"], count: int, seed: int
) -> Float[np.ndarray, "{count} inputs"]:
    """Filters that answer to a patch as the centres of the clusters of whitened patches do."""
    whitening = PCA(min(MAX_COMPONENTS, *rows.shape), random_state=seed).fit(rows)
    variances = whitening.explained_variance_
    kept = variances > MIN_VARIANCE * variances[0]
    directions = whitening.components_[kept] / np.sqrt(variances[kept, None])
    whitened = (rows - whitening.mean_) @ directions.T
    clusters = MiniBatchKMeans(count, n_init=1, random_state=seed).fit(whitened)
    return np.asarray(clusters.cluster_centers_ @ directions, np.float32)


def _patches(
    maps: Float[Tensor, "images channels height width"], layer: nn.Conv2d, generator: torch.Generator
) -> Float[Tensor, "patches channels kernel kernel"]:
    """What the layer's filters see at random places of the maps."""
    assert not isinstance(layer.padding, str)
    vertical, horizontal = layer.padding
    padded = nn.functional.pad(maps, [horizontal, horizontal, vertical, vertical])
    spans = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    steps = layer.dilation
    patches = []
    for image in padded:
        limits = [length - span + 1 for length, span in zip(image.shape[1:], spans, strict=True)]
        for _ in range(math.ceil(NUM_PATCHES / len(maps))):
            top, left = (int(torch.randint(limit, (), generator=generator)) for limit in limits)
            patches.append(image[:, top : top + spans[0] : steps[0], left : left + spans[1] : steps[1]])
    return torch.stack(patches)
