"""All linear classifiers tested in one pass over the test images."""

from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from pretext.runtime.distributed import World
from transfer.classification.heads import LinearHeads
from transfer.classification.metrics import class_ranks, measure, rank_metrics
from transfer.data.batches import LabelledBatch


@torch.no_grad()
def measure_heads(
    heads: LinearHeads,
    pooled_features: Callable[[Tensor], dict[str, Tensor]],
    batches: Iterable[LabelledBatch],
    world: World,
) -> tuple[dict[str, list[dict[str, float]]], list[tuple[str, str]]]:
    """Stage -> for each learning rate metric -> percent; and (name, reason) of the unreadable images.

    Every process gets the same. Several crops of an image are averaged: their probabilities, or their logits where an
    image may show several classes. The heads are in evaluation mode afterwards.

    Args:
        pooled_features: of RGB in 0..255.
        batches: this process's share of the images.
    """
    heads.eval()
    answered, errors = [], []
    for batch in batches:
        logits = heads(pooled_features(batch.rgb.flatten(0, -4)))
        multi_label = batch.labels.ndim == 2
        scores = logits if multi_label else logits.softmax(-1)
        scores = scores.unflatten(0, (len(batch.rgb), -1)).mean(1)
        # Of one class an image's rank is enough: ImageNet's scores of all classifiers would fill the memory.
        answers = scores if multi_label else class_ranks(scores, batch.labels.to(world.device))
        answered.append((batch.indices, answers.cpu().numpy(), batch.labels.numpy(), ~batch.broken))
        errors += batch.errors
    gathered = world.gather((answered, errors))
    rows = zip(*chain.from_iterable(answered for answered, _ in gathered), strict=True)
    indices, answers, labels, readable = map(np.concatenate, rows)
    order = np.argsort(indices)
    answers, labels, readable = answers[order], labels[order], readable[order]

    def metrics(answer: np.ndarray) -> dict[str, float]:
        if labels.ndim == 2:
            return measure(answer, labels, readable)
        return rank_metrics(answer[readable], heads.num_classes)

    by_stage = {
        stage: [metrics(answers[:, place, rate]) for rate in range(len(heads.learning_rates))]
        for place, stage in enumerate(heads.stages)
    }
    return by_stage, list(chain.from_iterable(errors for _, errors in gathered))
