"""What a classifier answers on the test images."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import nn

from pretext.runtime.distributed import World
from transfer.data.batches import LabelledBatch


@torch.no_grad()
def score_images(
    network: nn.Module, batches: Iterable[LabelledBatch], world: World, autocast: torch.autocast
) -> tuple[
    Float[np.ndarray, "images classes"],
    Shaped[np.ndarray, "images *classes"],
    Bool[np.ndarray, " images"],
    list[tuple[str, str]],
]:
    """Scores, labels and readability of all test images, and (name, reason) of the unreadable ones.

    Every process gets them all, in an order that depends on how many processes there are. Several crops of an image
    are averaged. The network is in evaluation mode afterwards.

    Args:
        batches: this process's share of the images.
    """
    network.eval()
    answered, errors = [], []
    for batch in batches:
        rgb = batch.rgb.to(world.device, non_blocking=True) / 255
        with autocast:
            logits = network(rgb.flatten(0, -4))
        scores = logits.float().unflatten(0, (len(rgb), -1)).mean(1)
        answered.append((scores.cpu().numpy(), batch.labels.numpy(), ~batch.broken))
        errors += batch.errors
    gathered = world.gather((answered, errors))
    columns = zip(*chain.from_iterable(rows for rows, _ in gathered), strict=True)
    scores, labels, readable = map(np.concatenate, columns)
    return scores, labels, readable, list(chain.from_iterable(errors for _, errors in gathered))
