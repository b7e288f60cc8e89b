"""What keeps a vision transformer from overfitting in fine-tuning: augmented and mixed images, dropped branches, and
learning rates that fall from block to block. As in MAE's recipe (He et al. 2022), which is that of DeiT and BEiT.
"""

import random
import re
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import StochasticDepth
from torchvision.transforms import RandomErasing, v2

from pretext.networks.backbone import IMAGENET_MEAN, IMAGENET_STD
from transfer.data.crops import random_resized_crop
from transfer.stages import TransferBackbone

ERASED_SHARE = 0.25
ERASED_AREA, ERASED_ASPECT = (0.02, 1 / 3), (0.3, 1 / 0.3)  # of timm, which MAE's code takes it from
_RAND_AUGMENT = v2.RandAugment(
    num_ops=2,
    magnitude=9,
    interpolation=v2.InterpolationMode.BILINEAR,
    fill=[255 * mean for mean in IMAGENET_MEAN],
)


def augmented_crop(
    image: Image.Image, rng: random.Random, crop_size: int
) -> UInt8[Tensor, "3 {crop_size} {crop_size}"]:
    """A random resized crop after RandAugment (two operations, magnitude 9), in 0..255.

    In a quarter of the crops a random box is filled with noise of ImageNet's colours.
    """
    crop = random_resized_crop(image, rng, crop_size, resample=Image.Resampling.BICUBIC)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rng.getrandbits(63))  # which torchvision draws from
        crop = _RAND_AUGMENT(crop)
        if rng.random() < ERASED_SHARE:
            top, left, height, width, _ = RandomErasing.get_params(
                crop, ERASED_AREA, list(ERASED_ASPECT), [0.0]
            )
            noise = torch.randn(3, height, width) * torch.tensor(IMAGENET_STD)[:, None, None]
            box = 255 * (noise + torch.tensor(IMAGENET_MEAN)[:, None, None])
            crop[:, top : top + height, left : left + width] = box.round().clamp(0, 255).byte()
    return crop


def mixed(
    rgb: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, " batch"],
    num_classes: int,
    *,
    mixup: float,
    cutmix: float,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch classes"]]:
    """Each image with another one, and how much of each class is in it: by half of the chances mixup, else CutMix.

    Mixup (Zhang et al. 2018) takes a weighted mean, CutMix (Yun et al. 2019) puts a box of the other image into it.
    One weight, or one box, is drawn for the whole batch from torch's global random numbers.

    Args:
        mixup, cutmix: alpha of the beta distribution of the weight, or of the share of the box.
    """
    mix: Any = v2.CutMix if torch.rand(()) < 0.5 else v2.MixUp
    alpha = cutmix if mix is v2.CutMix else mixup
    images, shares = mix(alpha=alpha, num_classes=num_classes)(rgb, labels)
    return images, shares


def drop_blocks(backbone: TransferBackbone, rate: float) -> None:
    """Let each block leave out its branches for some of the images in training: none at first, `rate` in the last.

    Raises:
        ValueError: as `_blocks`.
    """
    blocks = _blocks(backbone)
    for block, share in zip(blocks, torch.linspace(0, rate, len(blocks)).tolist(), strict=True):
        for name in ("drop_path", "drop_path1", "drop_path2"):  # as timm, DINO and MAE call it
            if hasattr(block, name):
                setattr(block, name, StochasticDepth(share, "row"))


def decayed_groups(
    backbone: TransferBackbone, layer_decay: float, weight_decay: float
) -> Iterator[dict[str, Any]]:
    """Groups of the trained parameters for an optimiser, each with the factor `lr_factor` of its learning rate.

    It is multiplied by `layer_decay` for each block between the parameter and the head; what comes before the blocks
    counts as one more. Vectors, position embeddings and the class token have no weight decay.

    Raises:
        ValueError: as `_blocks`.
    """
    num_layers = len(_blocks(backbone)) + 1
    undecayed = set(getattr(backbone.get_submodule("network"), "no_weight_decay", set)())
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            own_name = name.removeprefix("network.")
            block = re.match(r"blocks\.(\d+)\.", own_name)
            layer = int(block[1]) + 1 if block else num_layers if own_name.startswith("norm.") else 0
            decays = parameter.ndim > 1 and own_name not in undecayed
            groups.setdefault((layer, decays), []).append(parameter)
    for (layer, decays), parameters in groups.items():
        yield {
            "params": parameters,
            "lr_factor": layer_decay ** (num_layers - layer),
            "weight_decay": weight_decay if decays else 0.0,
        }


def _blocks(backbone: TransferBackbone) -> nn.ModuleList | nn.Sequential:
    """The blocks of a vision transformer; raises ValueError where there are none."""
    blocks = getattr(getattr(backbone, "network", None), "blocks", None)
    if not isinstance(blocks, nn.ModuleList | nn.Sequential):
        raise ValueError(
            "protocol mae22 fine-tunes vision transformers, whose layers are in `blocks` as timm's, DINO's and MAE's; "
            "take a timm:vit_... backbone, or another protocol"
        )
    return blocks
