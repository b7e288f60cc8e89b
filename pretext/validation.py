"""Validation: losses, what the best constant answer would lose, and PSNR, over all processes' images."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from pretext.color.lab import lab_to_rgb, rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.data.loader import Batch
from pretext.objective import Objective
from pretext.runtime.distributed import World


@torch.inference_mode()
def validate(
    colorizer: Colorizer, objective: Objective, batches: Iterable[Batch], world: World, autocast: torch.autocast
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Metrics by name, and (name, reason) of this process's unreadable files.

    The losses are means over coloured images; `validation_constant_answer` is the loss of the best single
    answer, the same distribution (or colour) at every pixel of every image, found on these very images: what a
    network must beat to have looked at its input. PSNR is the mean over images, in dB, in RGB, beside that of
    leaving the image grey.
    """
    network, stride = colorizer.network, colorizer.network.output_stride
    network.eval()
    sums = torch.zeros(6, dtype=torch.float64, device=world.device)
    statistics = None
    errors = []
    for batch in batches:
        errors += batch.errors
        rgb = batch.rgb[~batch.broken].to(world.device) / 255
        if not len(rgb):
            continue
        lab = rgb_to_lab(rgb)
        ab = lab[:, 1:, ::stride, ::stride]
        with autocast:
            output = network(lab[:, :1])
        losses = objective(output, ab)
        painted = lab_to_rgb(torch.cat([lab[:, :1], colorizer.upsampled_ab(output, lab.shape[-2:])], dim=1))
        grey = lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))
        sums += torch.stack(
            [
                losses.loss.sum(),
                losses.loss_unweighted.sum(),
                losses.coloured.sum(),
                psnr(painted, rgb).sum(),
                psnr(grey, rgb).sum(),
                torch.tensor(len(rgb), device=world.device),
            ]
        )
    ...


def psnr(
    image: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB of RGB in [0, 1], an image at a time; at most 100 (equal images)."""
    return -10 * (image - truth).square().mean(dim=(1, 2, 3)).clamp_min(1e-10).log10()
