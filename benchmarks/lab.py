"""Speed of the Lab conversion against scikit-image and kornia.  Run: python benchmarks/lab.py"""

import kornia
import skimage.color
import torch
from measure import Target, interleaved_medians, report

from pretext.color.lab import lab_to_rgb, rgb_to_lab

SHAPE = (40, 3, 176, 176)


def main() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))
    rgb = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    lab = rgb_to_lab(rgb)
    # Each peer gets the layout it works on.
    rgb_last, lab_last = (batch.permute(0, 2, 3, 1).contiguous().numpy() for batch in (rgb, lab))
    seconds = interleaved_medians(
        {
            "rgb_to_lab": lambda: rgb_to_lab(rgb),
            "rgb_to_lab, scikit-image": lambda: skimage.color.rgb2lab(rgb_last),
            "rgb_to_lab, kornia": lambda: kornia.color.rgb_to_lab(rgb),
            "lab_to_rgb": lambda: lab_to_rgb(lab),
            "lab_to_rgb, scikit-image": lambda: skimage.color.lab2rgb(lab_last),
            "lab_to_rgb, kornia": lambda: kornia.color.lab_to_rgb(lab),
        }
    )
    targets = [
        Target(
            f"rgb_to_lab: times as fast as {peer}",
            seconds[f"rgb_to_lab, {peer}"] / seconds["rgb_to_lab"],
            limit,
        )
        for peer, limit in (("scikit-image", 3), ("kornia", 5))
    ]
    report("lab", f"Lab conversion of a {SHAPE} float32 batch", seconds, targets, ("scikit-image", "kornia"))


if __name__ == "__main__":
    main()
