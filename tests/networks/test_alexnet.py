"""alexnet against the published `train_alexnet`."""

import torch
from torch import nn

from pretext.networks.alexnet import AlexNet


def test_convolutions_have_the_published_shapes() -> None:
    with torch.device("meta"):
        network = AlexNet()
    shapes = [tuple(module.weight.shape) for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert shapes == [
        (96, 1, 11, 11),
        (256, 96 // 2, 5, 5),
        (384, 256, 3, 3),
        (384, 384 // 2, 3, 3),
        (256, 384 // 2, 3, 3),
        (4096, 256, 6, 6),
        (4096, 4096, 1, 1),
        (313, 4096, 1, 1),
    ]


def test_the_published_crop_of_180_gives_the_23_x_23_labels_of_stride_8() -> None:
    with torch.device("meta"):
        logits = AlexNet()(torch.empty(80, 1, 180, 180))
    assert logits.shape == (80, 313, 23, 23)
