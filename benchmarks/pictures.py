"""Memory and time of a page of pictures of 5,000 images.  Run: python benchmarks/pictures.py

The shipped network and a random one, all stages, on random details of real photographs, crops of 112 px. Peak memory is
the largest resident set of the process and of its two readers, each by itself.
"""

import random
import sys
import tempfile
from pathlib import Path

import skimage.data
from measure import GIB, Target, report, run_measured
from PIL import Image

NUM_IMAGES = 5000
SIDE = 128


def save_details(folder: Path) -> Path:
    """Random details of three photographs, a class each."""
    rng = random.Random(0)
    for number in range(NUM_IMAGES):
        name = ("astronaut", "coffee", "chelsea")[number % 3]
        picture = Image.fromarray(getattr(skimage.data, name)())
        left, top = rng.randint(0, picture.width - SIDE), rng.randint(0, picture.height - SIDE)
        (folder / name).mkdir(parents=True, exist_ok=True)
        detail = picture.crop((left, top, left + SIDE, top + SIDE))
        detail.save(folder / name / f"{number:04}.jpg", quality=92)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        images = save_details(root / "images")
        command = [
            sys.executable, "-m", "transfer", "pictures", "--backbone.model", "eccv16-photographs",
            "--others", '[{model: "random:eccv16"}]', "--images", images, "--out", root / "page", "--cache", root,
            "--image_size", SIDE, "--crop_size", 112, "--device", "cpu",
        ]  # fmt: skip
        seconds, memory = run_measured(command)
    report(
        "pictures",
        f"transfer pictures, 2 networks, {NUM_IMAGES} images: {memory / GIB:.2f} GiB, {seconds:.0f} s",
        {f"{NUM_IMAGES} images": seconds},
        [Target(f"peak memory with {NUM_IMAGES} images, GiB", memory / GIB, 2, at_least=False)],
        ("numpy", "pillow", "scikit-learn"),
    )


if __name__ == "__main__":
    main()
