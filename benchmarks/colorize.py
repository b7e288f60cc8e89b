"""Memory of colorizing a large photograph, strip by strip, against the whole.  Run: python benchmarks/colorize.py

The peak of the process's resident memory, on Linux, beyond what it was before: picture, result and all between.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
import torch
from measure import Target, report
from PIL import Image

from pretext.color.lab import rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.pretrained import load_pretrained

SIDE = {"strips": 5000, "whole": 2000}  # pixels; per pixel the whole takes the same for any size


def resident(field: str) -> int:
    """VmRSS, or its peak VmHWM, in bytes."""
    return int(re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024


def peak_per_pixel(side: int, colorize: Callable[[Image.Image], object]) -> float:
    """Bytes for each pixel of a photograph of side x side."""
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    colorize(Image.fromarray(skimage.data.coffee()).resize((side, side)))
    return (resident("VmHWM") - before) / side**2


def main() -> None:
    pretrained = load_pretrained("eccv16-photographs")
    colorizer = Colorizer(pretrained.network, pretrained.bins, size=pretrained.image_size)

    def whole(image: Image.Image) -> Image.Image:
        lightness = rgb_to_lab(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255)[:, :1]
        colorized = colorizer.colorize(lightness, colorizer.network_output(lightness))[0]
        return Image.fromarray(colorized.permute(1, 2, 0).numpy())

    colorizer(Image.fromarray(skimage.data.coffee()))  # what stays for good comes before
    strips = peak_per_pixel(SIDE["strips"], colorizer)
    at_once = peak_per_pixel(SIDE["whole"], whole)
    targets = [
        Target("bytes a pixel, strip by strip, 25 megapixels", strips, 12, at_least=False),
        Target("share of the memory of the whole at once", strips / at_once, 0.2, at_least=False),
    ]
    report("colorize", "Peak memory of colorizing, eccv16-photographs", {}, targets, ("pillow",))


if __name__ == "__main__":
    main()
