"""Memory and speed of a whole report over 10,000 images.  Run: python benchmarks/evaluation.py

Four methods (a folder that holds the truth, grey, random colours, truth) on links to a few JPEGs of 256 px. The network
is left out: its memory is its own. Peak memory is the largest resident set of the
process and of its two readers, each by itself.
"""

import itertools
import os
import sys
import tempfile
from pathlib import Path

import skimage.data
from measure import GIB, Target, report, run_measured
from PIL import Image

FEW, MANY = 500, 10_000


def save_photographs(folder: Path) -> list[Path]:
    """Details of real photographs as JPEGs of 256 x 256 pixels."""
    folder.mkdir()
    for name, left, top in itertools.product(("astronaut", "coffee", "chelsea"), (0, 90, 180), (0, 40)):
        picture = Image.fromarray(getattr(skimage.data, name)()[top : top + 256, left : left + 256])
        picture.save(folder / f"{name}-{left}-{top}.jpg", quality=92)
    return sorted(folder.iterdir())


def link(originals: list[Path], folder: Path) -> Path:
    """MANY links to the originals, over and over."""
    folder.mkdir()
    for number in range(MANY):
        os.link(originals[number % len(originals)], folder / f"{number:05}.jpg")
    return folder


def evaluate(data: Path, colorized: Path, out: Path, num_images: int) -> tuple[float, int]:
    """Seconds and peak bytes of `eval_colorization report` in a process of its own."""
    command = [
        sys.executable, "-m", "eval_colorization", "report", "--data", data, "--out", out, "--device", "cpu",
        "--methods.colorized.folder", colorized, "--max_images", num_images,
    ]  # fmt: skip
    return run_measured(command)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        originals = save_photographs(root / "originals")
        data, colorized = link(originals, root / "data"), link(originals, root / "colorized")
        few_seconds, few_memory = evaluate(data, colorized, root / "few", FEW)
        many_seconds, many_memory = evaluate(data, colorized, root / "many", MANY)
    report(
        "evaluation",
        f"eval_colorization report, 4 methods, 256 px: {few_memory / GIB:.2f} GiB with {FEW} images, "
        f"{many_memory / GIB:.2f} GiB with {MANY}; {(MANY - FEW) / (many_seconds - few_seconds):.1f} images/s",
        {f"{FEW} images": few_seconds, f"{MANY} images": many_seconds},
        [Target(f"peak memory with {MANY} images, GiB", many_memory / GIB, 2, at_least=False)],
        ("numpy", "pillow"),
    )


if __name__ == "__main__":
    main()
