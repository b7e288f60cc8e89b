"""Speed and memory of soft targets + rebalanced loss, forward and backward.

    python benchmarks/objective.py [--device cuda] [--batch_size 40]

On a GPU the logits are bfloat16 and channels-last, as a training makes them; the peers compute in float32, as autocast
lets them.
"""

import argparse

import torch
import torch.nn.functional as F
from colorful_colorization import NEIGHBOURS, SIGMA, dense_loss
from measure import Target, interleaved_medians, peak_tensor_memory, report, synchronizer
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.tasks.colorization import Colorization

SIDE = 44


def inputs(batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, ab, and hard labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch_size, 313, SIDE, SIDE, generator=generator)
    ab = 25 * torch.randn(batch_size, 2, SIDE, SIDE, generator=generator)
    return logits, ab, torch.randint(313, (batch_size, SIDE, SIDE), generator=generator)


def step(loss: Tensor, logits: Tensor) -> None:
    logits.grad = None
    loss.backward()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    bins = AbBins.published()
    task = Colorization(neighbours=NEIGHBOURS, sigma=SIGMA).to(options.device)
    logits, ab, labels = (tensor.to(options.device) for tensor in inputs(options.batch_size))
    if options.device == "cuda":
        logits = logits.to(torch.bfloat16, memory_format=torch.channels_last)
    logits.requires_grad_()
    centres = bins.centres.to(options.device)
    task.losses(logits, ab)  # makes its table
    ours, dense, hard = "targets + rebalanced loss", "dense targets + loss", "F.cross_entropy, hard labels"
    seconds = interleaved_medians(
        {
            ours: lambda: step(task.losses(logits, ab).optimised.mean(), logits),
            dense: lambda: step(dense_loss(logits, ab, centres, task.weights), logits),
            hard: lambda: step(F.cross_entropy(logits.float(), labels), logits),
        },
        synchronize=synchronizer(options.device),
    )
    peak = peak_tensor_memory(lambda: step(task.losses(logits, ab).optimised.mean(), logits))
    memory = peak / (logits.numel() * logits.element_size()) - 1
    targets = [
        Target("times as fast as the dense formulation", seconds[dense] / seconds[ours], 6),
        Target("rate relative to hard-label cross-entropy", seconds[hard] / seconds[ours], 0.65),
        # What is allocated during a step includes the gradient, but not the logits.
        Target("peak memory beyond logits and gradient / logits", memory, 0.3, at_least=False),
    ]
    shape = f"batch {options.batch_size}, 313 bins, {SIDE}x{SIDE}, K = {NEIGHBOURS}"
    what = f"Soft targets and loss, forward + backward, {shape}"
    report("objective", what, seconds, targets, device=options.device)


if __name__ == "__main__":
    main()
