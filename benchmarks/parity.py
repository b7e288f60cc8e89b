"""Whether a GPU computes what a CPU does.  Run: python benchmarks/parity.py [--device cuda]

Photographs of 256 px and paintings of them go through colour conversion, objective, a compiled training step and the
metrics of a report on both. For each stands the largest difference. On a CPU it shows that the command runs.
"""

import argparse

import torch
from measure import Target, report
from metrics import pairs
from torch import Tensor
from training_step import CROP_SIZE, make, training_step

from eval_colorization.metrics.metric import Pictures, measure_images
from eval_colorization.metrics.table import METRICS
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.tasks.colorization import Colorization

METRIC_TOLERANCE = {"mse": 1e-6, "ssim": 1e-5}  # of the others 1e-3, in their units
WIDTH, BATCH_SIZE = 0.25, 8


def colour(truth: Tensor) -> dict[str, Tensor]:
    rgb = truth / 255
    lab = rgb_to_lab(rgb)
    vivid = lab * torch.tensor([1.0, 2.5, 2.5], device=lab.device)[:, None, None]
    return {
        "RGB -> Lab": lab,
        "Lab -> RGB": lab_to_rgb(lab),
        "fitted to the gamut": fit_chroma_to_gamut(vivid),
    }


def objective(truth: Tensor, logits: Tensor) -> dict[str, Tensor]:
    task = Colorization().to(truth.device)
    ab = rgb_to_lab(truth[:BATCH_SIZE] / 255)[:, 1:, ::8, ::8]
    logits = logits.to(memory_format=torch.channels_last).requires_grad_()
    losses = task.losses(logits, ab)
    (gradient,) = torch.autograd.grad(losses.optimised.sum(), logits)
    return {**losses.by_name, "gradient of the loss": gradient}


def training_losses(truth: Tensor, *, low: bool) -> Tensor:
    """The losses of five steps on one batch; `low` for bfloat16, compiled."""
    device, task = truth.device, Colorization()
    rgb = truth[:BATCH_SIZE, :, :CROP_SIZE, :CROP_SIZE]
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=low)
    step = training_step(make(task, device, WIDTH), task.to(device), rgb, autocast, compiled=low, lr=1e-3)
    return torch.stack([step() for _ in range(5)])


def metrics(colorized: Tensor, truth: Tensor) -> dict[str, Tensor]:
    few = slice(0, 16)
    pictures = Pictures(colorized[few]), Pictures(truth[few])
    return {
        name: measure_images(name, metric, *pictures) for name, metric in METRICS.items() if metric.measure
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    colorized, truth = pairs()
    logits = torch.randn(BATCH_SIZE, 313, 32, 32, generator=torch.Generator().manual_seed(0))
    there = [images.to(options.device) for images in (colorized, truth)]

    tolerances = {"RGB -> Lab": 2e-3, "Lab -> RGB": 1e-4, "fitted to the gamut": 2e-2}
    tolerances |= {"loss": 1e-4, "loss_unweighted": 1e-4, "gradient of the loss": 1e-8}
    tolerances |= {name: METRIC_TOLERANCE.get(name, 1e-3) for name in METRICS}
    expected = colour(truth) | objective(truth, logits) | metrics(colorized, truth)
    measured = colour(there[1]) | objective(there[1], logits.to(options.device)) | metrics(there[0], there[1])
    targets = [
        Target(
            f"{name}: largest difference",
            (measured[name].cpu() - value).abs().nan_to_num().max().item(),
            tolerances[name],
            at_least=False,
        )
        for name, value in expected.items()
    ]
    reference = training_losses(truth, low=False)
    for name, low, tolerance in (("float32", False, 1e-3), ("bfloat16, compiled", True, 2e-2)):
        difference = (training_losses(there[1], low=low).cpu() / reference - 1).abs().max().item()
        targets.append(
            Target(f"loss of 5 steps, {name}: relative difference", difference, tolerance, at_least=False)
        )
    report("parity", "against this processor in float32", {}, targets, device=options.device)


if __name__ == "__main__":
    main()
