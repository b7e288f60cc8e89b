"""Validation: losses, what the best constant answer would lose, and PSNR, over all processes' images."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from pretext.color.lab import lab_to_rgb, rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.images.loader import Batch
from pretext.objective import Objective
from pretext.runtime.distributed import World


@torch.inference_mode()
def validate(
    colorizer: Colorizer,
    objective: Objective,
    batches: Iterable[Batch],
    world: World,
    autocast: torch.autocast,
    training_colours: Tensor,
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Metrics by name over all processes' `batches`, and (name, reason) of this process's unreadable files.

    The losses are means over the coloured images, and left out if there are none. `validation_constant_answer` is the
    loss of answering every pixel of every image with the prior of the training images (or their mean colour), given as
    this process's `objective.colour_statistics` and left out while no colour is among them: what a network must beat
    to have looked at its input. PSNR is in dB, in RGB, the mean over all images, beside that of leaving them grey.
    """
    network, stride = colorizer.network, colorizer.network.output_stride
    network.eval()
    sums = torch.zeros(6, dtype=torch.float64, device=world.device)
    colours = torch.zeros_like(training_colours)
    errors = []
    for batch in batches:
        errors += batch.errors
        rgb = batch.rgb[~batch.broken].to(world.device) / 255
        if not len(rgb):
            continue
        lab = rgb_to_lab(rgb)
        lightness, ab = lab[:, :1], lab[:, 1:]
        with autocast:
            output = network(lightness)
        targets = ab[:, :, ::stride, ::stride]
        losses = objective(output, targets)
        colours += objective.colour_statistics(targets)
        painted = lab_to_rgb(torch.cat([lightness, colorizer.ab_from_output(output, rgb.shape[-2:])], dim=1))
        grey = lab_to_rgb(torch.cat([lightness, torch.zeros_like(ab)], dim=1))
        found = [
            losses.loss.sum(),
            losses.loss_unweighted.sum(),
            losses.coloured.sum(),
            psnr(painted, rgb).sum(),
            psnr(grey, rgb).sum(),
            rgb.new_tensor(len(rgb)),
        ]
        sums += torch.stack([value.double() for value in found])
    loss, unweighted, coloured, painted_psnr, grey_psnr, images = world.sum(sums).tolist()
    learnt, asked = world.sum(training_colours.clone()), world.sum(colours)
    row: dict[str, float] = {}
    if coloured:
        row["validation_loss"] = loss / coloured
        row["validation_loss_unweighted"] = unweighted / coloured
        if learnt.any():
            constant = objective.constant_answer(learnt, asked)
            row["validation_constant_answer"] = constant.loss
            row["validation_constant_answer_unweighted"] = constant.loss_unweighted
    row |= {
        "validation_psnr": painted_psnr / max(images, 1),
        "validation_psnr_grey": grey_psnr / max(images, 1),
        "validation_grey_images": images - coloured,
    }
    return row, errors


def psnr(
    image: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB of RGB in [0, 1], for each image; at most 100 (equal images)."""
    return -10 * (image - truth).square().mean(dim=(1, 2, 3)).clamp_min(1e-10).log10()
