"""The learning rate as a function of the step."""

import math
from collections.abc import Mapping

from pretext.spelling import unknown_name


def learning_rate(
    step: int,
    *,
    base: float,
    schedule: str,
    num_steps: int,
    warmup_steps: int = 0,
    lr_steps: Mapping[int, float] | None = None,
) -> float:
    """Learning rate of step `step` (from 0) of `num_steps`.

    Args:
        base: rate after the warm-up.
        schedule: `step`: from each step of `lr_steps` on, its rate; `cosine`: half a cosine from base to zero.
        warmup_steps: steps over which the rate rises linearly to its scheduled value.
        lr_steps: step -> learning rate.

    Raises:
        ValueError: there is no such schedule.
    """
    if schedule == "cosine":
        progress = max(0, step - warmup_steps) / max(1, num_steps - warmup_steps)
        rate = base * 0.5 * (1 + math.cos(math.pi * progress))
    elif schedule == "step":
        passed = [start for start in lr_steps or {} if start <= step]
        rate = lr_steps[max(passed)] if lr_steps and passed else base
    else:
        raise ValueError(unknown_name("schedule", schedule, ("step", "cosine")))
    return rate * min(1.0, (step + 1) / (warmup_steps + 1))
