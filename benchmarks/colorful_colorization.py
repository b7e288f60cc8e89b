"""The peer of the training benchmarks: the published formulation as a port to PyTorch trains it.

Written from its facts (layers, loss, optimiser), not from anybody's code. Its network has eccv16's layers. The target
of each position is dense: all bins' distances are sorted, the five nearest weighted by a Gaussian and scattered into
313 channels. The loss is the cross-entropy with it, times the class weight of its likeliest bin; Adam is torch's own.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEIGHBOURS, SIGMA = 5, 5.0
BLOCKS = (  # channels of the convolutions, stride of the last, dilation
    ((1, 64, 64), 2, 1),
    ((64, 128, 128), 2, 1),
    ((128, 256, 256, 256), 2, 1),
    ((256, 512, 512, 512), 1, 1),
    ((512, 512, 512, 512), 1, 2),
    ((512, 512, 512, 512), 1, 2),
    ((512, 512, 512, 512), 1, 1),
)


def peer_network(num_bins: int = 313) -> nn.Sequential:
    """(L - 50) / 100 -> logits of a quarter of the size."""
    layers: list[nn.Module] = []
    for channels, stride, dilation in BLOCKS:
        for place in range(1, len(channels)):
            last = place == len(channels) - 1
            layers += [
                nn.Conv2d(
                    channels[place - 1],
                    channels[place],
                    kernel_size=3,
                    stride=stride if last else 1,
                    padding=dilation,
                    dilation=dilation,
                ),
                nn.ReLU(),
            ]
        layers.append(nn.BatchNorm2d(channels[-1]))
    layers += [nn.ConvTranspose2d(512, 256, kernel_size=4, stride=2, padding=1), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(256, num_bins, kernel_size=1))


def dense_loss(logits: Tensor, ab: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """The mean over positions of class weight x cross-entropy; computed in float32, as autocast does."""
    distance, index = torch.cdist(ab.permute(0, 2, 3, 1).flatten(0, 2), centres).sort(dim=1)
    weight = (-distance[:, :NEIGHBOURS].square() / (2 * SIGMA**2)).softmax(dim=1)
    target = weight.new_zeros(len(weight), len(centres)).scatter_(1, index[:, :NEIGHBOURS], weight)
    target = target.unflatten(0, (len(ab), *ab.shape[2:])).permute(0, 3, 1, 2)
    return (F.cross_entropy(logits.float(), target, reduction="none") * weights[target.argmax(dim=1)]).mean()


def peer_step(
    lightness: Tensor, ab: Tensor, centres: Tensor, weights: Tensor, *, tuned: bool
) -> Callable[[], None]:
    """A training step from ready lightness and ab; `tuned` with bfloat16 autocast and channels-last."""
    network = peer_network(len(centres)).to(lightness.device)
    inputs = (lightness - 50) / 100
    if tuned:
        network, inputs = network.to(memory_format=torch.channels_last), inputs.contiguous()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-5, betas=(0.9, 0.99))
    autocast = torch.autocast(lightness.device.type, torch.bfloat16, enabled=tuned)

    def step() -> None:
        with autocast:
            logits = network(inputs)
        dense_loss(logits, ab, centres, weights).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
