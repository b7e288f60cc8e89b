"""From a configuration to a visual Turing test: photographs read, painted by every method, and written."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from eval_colorization.comparison import Comparison, open_comparison
from eval_colorization.config import TuringConfig
from eval_colorization.images import read_batch
from eval_colorization.manifest import describe_software
from eval_colorization.methods import Network, is_grey, on_device
from eval_colorization.squares import describe_resizing
from eval_colorization.turing.export import SIDE, write_test
from pretext.runtime.distributed import choose_device
from pretext.runtime.progress import Progress


def export_test(config: TuringConfig) -> None:
    """Write the test that `config` describes, and say what can be done with it.

    Photographs that cannot be read, or are grey (their painted version could not be mistaken), or whose painted
    version has another lightness, are left out and named.

    Raises:
        ValueError: data, a method or a folder is not as it must be, or too few photographs are left.
    """
    device = choose_device(config.device)
    comparison = open_comparison(
        data=config.data,
        subset=config.subset,
        max_images=config.max_images,
        protocol=config.protocol,
        image_size=SIDE,
        missing=config.missing,
        seed=config.seed,
        methods=config.methods,
        device=device,
    )
    images = comparison.images
    positions: dict[str, int] = {}
    left_out = dict(comparison.lacking)
    with Progress(len(images), unit="photo") as progress:
        for position, name in enumerate(images.names):
            batch = read_batch(images, [position])
            if batch.left_out:
                left_out[name] = batch.left_out[0][1]
            elif is_grey(on_device(batch, device))[0]:
                left_out[name] = "it is grey"
            elif batch.other_lightness:
                left_out[name] = f"{batch.other_lightness[0][1]} has another lightness"
            else:
                positions[name] = position
            progress.advance()
    for name, reason in left_out.items():
        print(f"left out: {name} ({reason})")

    def paint(photo: str) -> dict[str, np.ndarray]:
        canvas = on_device(read_batch(images, [positions[photo]]), device)
        painted = {name: method.paint(canvas) for name, method in comparison.methods.items()}
        pictures = painted | {"truth": canvas.truth}
        return {name: images[0].permute(1, 2, 0).cpu().numpy() for name, images in pictures.items()}

    out = Path(config.out)
    key = write_test(
        out,
        photos=list(positions),
        methods=list(comparison.methods),
        paint=paint,
        manifest=_manifest(config, comparison, left_out),
        practice_trials=config.practice_trials,
        test_trials=config.test_trials,
        vigilance_trials=config.vigilance_trials,
        display_seconds=config.display_seconds,
        seed=config.seed,
        base_url=config.base_url,
    )
    print(
        f"{len(key.forms)} forms, one a participant; every pair of photograph and method is in one of them\n"
        f"  send       {out}/form-01 as a zip archive; its page, opened as a file, saves the answers in a file\n"
        f"  or serve   eval_colorization turing-serve {out} --invitations {2 * len(key.forms)}\n"
        f"  or crowd   {out}/crowd.csv\n"
        f"  then       eval_colorization turing-score ANSWERS --key {out}/key.json --out {out}/score\n"
        f"keep {out}/key.json to yourself: it says which images are painted"
    )


def _manifest(config: TuringConfig, comparison: Comparison, left_out: dict[str, str]) -> dict[str, Any]:
    return {
        **describe_software(),
        "config": asdict(config),
        "resize filter": describe_resizing(config.protocol),
        "left out": left_out,
        "methods": {
            name: {"what": method.description}
            | ({"sha256": method.trained.pretrained.sha256} if isinstance(method, Network) else {})
            for name, method in comparison.methods.items()
        },
    }
