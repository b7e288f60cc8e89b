"""Other weights for the same function: BatchNorm folded into convolutions, layers of unit variance.

Zhang et al. (2016) fine-tune an AlexNet so: the BatchNorm of pretraining is absorbed, then every layer is rescaled
on data, after Krahenbuhl et al. (2016), "Data-dependent initializations of convolutional neural networks".
"""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pretext.images.image_file import BrokenImageError
from pretext.images.order import DataOrder, augmentation_rng
from pretext.networks.alexnet import AlexNet
from transfer.data.crops import central_crop

BATCH = 32
NUM_CROPS, WHOLE_SIDE = 160, 227


def absorb_batch_norm(network: nn.Module) -> None:
    """Fold every BatchNorm into the convolution before it, in place; an identity takes its place.

    In the networks of this project and of torchvision, modules are registered in the order in which they run.

    Raises:
        ValueError: a BatchNorm follows something else, or there is none; then nothing was changed.
    """
    pairs = []
    for path, parent in network.named_modules():
        before, previous = "", None
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                if not isinstance(previous, (nn.Conv2d, nn.ConvTranspose2d)):
                    raise ValueError(
                        f"absorb_batch_norm: the BatchNorm {path}.{name} follows no convolution but a "
                        f"{type(previous).__name__}, and the zero-padded convolution after it cannot take in its "
                        "shift; alexnet, resnet50 and torchvision's networks with BatchNorm can absorb theirs"
                    )
                pairs.append((parent, before, previous, name, layer))
            before, previous = name, layer
    if not pairs:
        raise ValueError("absorb_batch_norm: the backbone has no BatchNorm; leave the key out")
    for parent, before, convolution, name, layer in pairs:
        fused = fuse_conv_bn_eval(convolution, layer, transpose=isinstance(convolution, nn.ConvTranspose2d))
        parent.add_module(before, fused)
        parent.add_module(name, nn.Identity())


@torch.no_grad()
def rescale_layers(network: AlexNet, lightness: Float[Tensor, "batch 1 height width"]) -> None:
    """Scale every layer so that its stage has unit standard deviation on these images, in place.

    ReLU and max-pooling commute with a positive scale, so each layer undoes that of the layer before it and fc8 the
    last one: the network's output stays the same. The BatchNorms must have been absorbed.

    Args:
        lightness: L in [0, 100].

    Raises:
        ValueError: a stage is the same everywhere on these images.
    """
    arriving = 1.0
    for stage, deviation in _stage_deviations(network, lightness).items():
        if deviation == 0:
            raise ValueError(f"rescale: the stage {stage} does not vary over the images; it has no scale")
        convolution = network.get_submodule(f"{stage}.0")
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None, "without its BatchNorm a layer has a bias"
        convolution.weight *= arriving / deviation
        convolution.bias /= deviation
        arriving = deviation
    if isinstance(network.fc8, nn.Conv2d):
        network.fc8.weight *= arriving


def _stage_deviations(network: AlexNet, lightness: Tensor) -> dict[str, float]:
    count, total, squares = (dict.fromkeys(network.stages, 0.0) for _ in range(3))
    for batch in lightness.split(BATCH):
        for stage, output in network.forward_stages(batch, network.stages).items():
            count[stage] += output.numel()
            total[stage] += output.double().sum().item()
            squares[stage] += output.double().square().sum().item()
    return {
        stage: max(0.0, squares[stage] / count[stage] - (total[stage] / count[stage]) ** 2) ** 0.5
        for stage in network.stages
    }


def crops_to_rescale_on(
    group_sizes: Sequence[int],
    open_image: Callable[[int], Image.Image],
    cut: Callable[[Image.Image, random.Random], Tensor],
    seed: int,
) -> Float[Tensor, "batch 3 size size"]:
    """Crops of random training images, RGB in [0, 1], which stand for all; unreadable images are left out.

    Args:
        group_sizes: see `ImageSource`.
        open_image: gives an image by its place.
        cut: gives a crop in 0..255.
    """
    crops = []
    for sample in DataOrder(tuple(group_sizes), seed).samples(range(NUM_CROPS)):
        with suppress(BrokenImageError):
            crops.append(cut(open_image(sample.index), augmentation_rng(seed, sample)))
    return torch.stack(crops) / 255


def central_square(image: Image.Image, rng: random.Random) -> UInt8[Tensor, "3 side side"]:
    """What stands for an image whose training shows it whole, as that of detectors does."""
    return central_crop(image, WHOLE_SIDE, WHOLE_SIDE)
