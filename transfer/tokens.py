"""What a vision transformer says of a whole image: its class token, the mean of its patch tokens, or both.

As the linear evaluations of DINO (Caron et al. 2021) and DINOv2 (Oquab et al. 2023) take them: after the network's last
normalisation, which is applied to every block taken.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

NUMBERS_OF_BLOCKS = (1, 4)  # DINO and DINOv2 concatenate the class tokens of the last one or four


class VectorSpec(NamedTuple):
    """What a stage without positions gives: how many numbers."""

    channels: int


def token_specs(channels: int, num_blocks: int, *, has_class_token: bool) -> Mapping[str, VectorSpec]:
    """Name -> how many numbers.

    `class4` are the class tokens of the last four blocks, `class4+mean` beside them the mean of the last block's patch
    tokens, `mean` that alone.

    Args:
        num_blocks: whose tokens are at hand.
    """
    specs = {}
    for number in NUMBERS_OF_BLOCKS:
        if has_class_token and number <= num_blocks:
            specs[f"class{number}"] = VectorSpec(number * channels)
            specs[f"class{number}+mean"] = VectorSpec((number + 1) * channels)
    return {**specs, "mean": VectorSpec(channels)}


TOKENS = tuple(token_specs(1, max(NUMBERS_OF_BLOCKS), has_class_token=True))
"""All names."""


def token_vectors(
    blocks: Sequence[Tensor], num_prefix_tokens: int, normalise: Callable[[Tensor], Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """The vectors of `token_specs`, (batch, numbers, 1, 1) each.

    Args:
        blocks: the tokens (batch, tokens, channels) of the last blocks, class token first.
        num_prefix_tokens: class and register tokens, before the patches.
        normalise: the network's last normalisation.
    """
    last = [normalise(tokens) for tokens in blocks[-max(NUMBERS_OF_BLOCKS) :]]
    mean = last[-1][:, num_prefix_tokens:].mean(1)
    for number in NUMBERS_OF_BLOCKS:
        if num_prefix_tokens and number <= len(last):
            classes = torch.cat([tokens[:, 0] for tokens in last[-number:]], dim=1)
            yield f"class{number}", classes[..., None, None]
            yield f"class{number}+mean", torch.cat([classes, mean], dim=1)[..., None, None]
    yield "mean", mean[..., None, None]
