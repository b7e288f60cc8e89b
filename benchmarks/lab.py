"""Speed of the Lab conversion against scikit-image and kornia.

    python benchmarks/lab.py [--device cuda] [--batch_size 40]

On a GPU it is compiled, as a training with `compile` runs it; scikit-image stays on the CPU.
"""

import argparse

import kornia
import skimage.color
import torch
from measure import Target, interleaved_medians, report, synchronizer

from pretext.color.lab import lab_to_rgb, rgb_to_lab

CROP_SIZE = 176


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    shape = (options.batch_size, 3, CROP_SIZE, CROP_SIZE)
    rgb = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    lab = rgb_to_lab(rgb)
    # Each peer gets the layout it works on.
    rgb_last, lab_last = (batch.permute(0, 2, 3, 1).contiguous().numpy() for batch in (rgb, lab))
    rgb, lab = rgb.to(options.device), lab.to(options.device)
    to_lab, to_rgb = rgb_to_lab, lab_to_rgb
    if options.device == "cuda":
        to_lab, to_rgb = torch.compile(rgb_to_lab), torch.compile(lab_to_rgb)
    seconds = interleaved_medians(
        {
            "rgb_to_lab": lambda: to_lab(rgb),
            "rgb_to_lab, scikit-image": lambda: skimage.color.rgb2lab(rgb_last),
            "rgb_to_lab, kornia": lambda: kornia.color.rgb_to_lab(rgb),
            "lab_to_rgb": lambda: to_rgb(lab),
            "lab_to_rgb, scikit-image": lambda: skimage.color.lab2rgb(lab_last),
            "lab_to_rgb, kornia": lambda: kornia.color.lab_to_rgb(lab),
        },
        synchronize=synchronizer(options.device),
    )
    targets = [
        Target(
            f"rgb_to_lab: times as fast as {peer}",
            seconds[f"rgb_to_lab, {peer}"] / seconds["rgb_to_lab"],
            limit,
        )
        for peer, limit in (("scikit-image", 3), ("kornia", 5))
    ]
    what = f"Lab conversion of a {shape} float32 batch"
    report("lab", what, seconds, targets, ("scikit-image", "kornia"), options.device)


if __name__ == "__main__":
    main()
