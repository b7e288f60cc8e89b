"""`turing-export`: a folder that is a finished visual Turing test.

    OUT/key.json        which image is the colorized one; stays with the researcher
    OUT/crowd.csv       the trials for crowd-work platforms
    OUT/form-01/        the test of one participant: index.html and images/

The protocol is that of Zhang, Isola, Efros (2016), section 3.1. Nothing in a form's folder tells a real photo from a
colorized one: both are written by the same encoder, without compression and so in equally many bytes, in random order,
with one time stamp, under random names.
"""

import csv
import itertools
import os
import random
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from eval_colorization.comparison import Comparison, open_comparison
from eval_colorization.config import TuringConfig
from eval_colorization.images import read_batch
from eval_colorization.manifest import describe_software
from eval_colorization.methods import Canvas, is_grey
from eval_colorization.squares import describe_resizing
from eval_colorization.turing.database import shuffled_plan
from eval_colorization.turing.key import Form, Key, Kind, Trial, write_key
from eval_colorization.turing.pages import participant_page, shown_test
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.runtime.distributed import choose_device
from pretext.runtime.progress import Progress

Picture = UInt8[np.ndarray, "256 256 3"]

SIDE = 256
TIME_STAMP = 946_684_800  # 2000-01-01, of every file and folder of a form
RAINBOW_CHROMA = 70.0


def export_test(config: TuringConfig) -> None:
    """Write the test that `config` describes, and say what can be done with it.

    Photographs that cannot be read, or are grey (their colorized version could not be mistaken), or whose colorized
    version has another lightness, are left out and named.

    Raises:
        ValueError: data, a method or a folder is not as it must be, or too few photographs are left.
    """
    device = choose_device(config.device)
    comparison = open_comparison(config.data, config.methods, config, image_size=SIDE, device=device)
    images = comparison.images
    positions: dict[str, int] = {}
    left_out = dict(comparison.lacking)
    with Progress(len(images), unit="photo") as progress:
        for position, name in enumerate(images.names):
            batch = read_batch(images, [position])
            if batch.left_out:
                left_out[name] = batch.left_out[0][1]
            elif is_grey(Canvas(batch, device))[0]:
                left_out[name] = "it is grey"
            elif batch.other_lightness:
                left_out[name] = f"{batch.other_lightness[0][1]} has another lightness"
            else:
                positions[name] = position
            progress.advance()
    for name, reason in left_out.items():
        print(f"left out: {name} ({reason})")

    def colorize(photo: str) -> dict[str, np.ndarray]:
        canvas = Canvas(read_batch(images, [positions[photo]]), device)
        colorized = {name: method.colorize(canvas) for name, method in comparison.methods.items()}
        pictures = colorized | {"truth": canvas.truth}
        return {name: images[0].permute(1, 2, 0).cpu().numpy() for name, images in pictures.items()}

    out = Path(config.out)
    key = write_test(
        config,
        photos=list(positions),
        methods=list(comparison.methods),
        colorize=colorize,
        manifest=_manifest(config, comparison, left_out),
    )
    print(
        f"{len(key.forms)} forms, one per participant; every pair of photograph and method is in one of them\n"
        f"  send       {out}/form-01 as a zip archive; its page, opened as a file, saves the answers in a file\n"
        f"  or serve   eval_colorization turing-serve {out} --invitations {2 * len(key.forms)}\n"
        f"  or crowd   {out}/crowd.csv\n"
        f"  then       eval_colorization turing-score ANSWERS --key {out}/key.json --out {out}/score\n"
        f"keep {out}/key.json to yourself: it says which images are colorized"
    )


def write_test(
    config: TuringConfig,
    *,
    photos: Sequence[str],
    methods: Sequence[str],
    colorize: Callable[[str], Mapping[str, Picture]],
    manifest: Mapping[str, Any],
) -> Key:
    """Write the test into the new folder `config.out` and return its answer key.

    Photos are dealt out by `config.seed`: the first ones to practice and vigilance, the same in every form, the rest to
    blocks of exactly `test_trials`. A block makes one form for each method: form r shows photo i by method
    (i + r) mod M, a Latin square. So every form is as long as asked, every pair of photo and method is in one form,
    and forms used equally often balance photos and methods. Photos that fill no block any more are not used; the
    key's manifest names them under `unused_photos`.

    Every image takes 197 kB, so a form of the default size takes 21 MB.

    Args:
        config: of the trials and the folder, which must not exist, or be empty; it appears whole or not at all. The
            fake of a vigilance trial is a rainbow; in the paper, where it has the colours of another image, a tenth of
            the trials are of this kind. Names, order and sides are secret and do not depend on the seed.
        photos: names that `colorize` understands.
        methods: names of the colorization systems.
        colorize: photo -> {"truth": real photo, method: colorized photo, ...}; called once for each photo used.
        manifest: how the images were made, for the key.

    Raises ValueError for too few photos, an impossible number, or a folder that holds something.
    """
    out, block_size = Path(config.out).resolve(), config.test_trials
    _check(config, out, len(photos), len(methods))
    dealt = list(photos)
    random.Random(config.seed).shuffle(dealt)
    practice, dealt = dealt[: config.practice_trials], dealt[config.practice_trials :]
    vigilance, dealt = dealt[: config.vigilance_trials], dealt[config.vigilance_trials :]
    num_blocks = len(dealt) // block_size
    blocks = [dealt[i * block_size : (i + 1) * block_size] for i in range(num_blocks)]
    digits = max(2, len(str(num_blocks * len(methods))))
    names = (f"form-{number:0{digits}}" for number in itertools.count(1))
    key = Key(
        test_id=secrets.token_hex(8),
        display_seconds=float(config.display_seconds),
        methods=tuple(methods),
        manifest={**manifest, "unused_photos": sorted(dealt[num_blocks * block_size :])},
        forms=tuple(
            _form(next(names), turn, methods, practice, block, vigilance)
            for block in blocks
            for turn in range(len(methods))
        ),
    )
    with _whole_folder(out) as folder:
        _write_images(folder, key, colorize)
        for form in key.forms:
            page = participant_page(shown_test(key, form, shuffled_plan(form, secrets.SystemRandom())))
            (folder / form.form / "index.html").write_text(page, encoding="utf-8", newline="\n")
        for path in folder.rglob("*"):
            os.utime(path, (TIME_STAMP, TIME_STAMP))
        write_key(key, folder / "key.json")
        _write_crowd_csv(folder / "crowd.csv", key, config.base_url)
    return key


def rainbow(photo: Picture) -> Picture:
    """The photo's lightness under all hues from left to right, as saturated as the gamut allows: plainly fake."""
    rgb = torch.tensor(photo).permute(2, 0, 1) / 255
    hue = torch.linspace(0, 2 * torch.pi, rgb.shape[2]).expand(rgb.shape[1:])
    ab = RAINBOW_CHROMA * torch.stack([hue.cos(), hue.sin()])
    colorized = lab_to_rgb(fit_chroma_to_gamut(torch.cat([rgb_to_lab(rgb)[:1], ab])))
    return (colorized * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def _manifest(config: TuringConfig, comparison: Comparison, left_out: dict[str, str]) -> dict[str, Any]:
    return {
        **describe_software(),
        "config": asdict(config),
        "resize filter": describe_resizing(config.protocol),
        "left out": left_out,
        "methods": {
            name: {"what": method.description}
            | ({"sha256": method.network.weights} if method.network else {})
            for name, method in comparison.methods.items()
        },
    }


def _check(config: TuringConfig, out: Path, num_photos: int, num_methods: int) -> None:
    practice, test, vigilance = config.practice_trials, config.test_trials, config.vigilance_trials
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already and is not empty: name another folder, or remove it")
    if num_methods == 0:
        raise ValueError("there is no method to test: name at least one besides the truth")
    if practice < 0 or vigilance < 0 or test < 1:
        raise ValueError(
            f"practice_trials ({practice}) and vigilance_trials ({vigilance}) must be at least 0, "
            f"test_trials ({test}) at least 1"
        )
    if not config.display_seconds > 0:
        raise ValueError(
            f"display_seconds must be positive but is {config.display_seconds}: the paper's is 1"
        )
    needed = practice + vigilance + test
    if num_photos < needed:
        raise ValueError(
            f"the test needs {needed} photos ({practice} practice + {vigilance} vigilance + {test} test trials), "
            f"but there are {num_photos}: give more photos or ask for fewer trials"
        )


def _form(
    name: str,
    turn: int,
    methods: Sequence[str],
    practice: Sequence[str],
    block: Sequence[str],
    vigilance: Sequence[str],
) -> Form:
    def by_turns(kind: Kind, photos: Sequence[str]) -> list[Trial]:
        return [_trial(kind, photo, methods[(i + turn) % len(methods)]) for i, photo in enumerate(photos)]

    obvious = [_trial("vigilance", photo, None) for photo in vigilance]
    return Form(form=name, trials=(*by_turns("practice", practice), *by_turns("test", block), *obvious))


def _trial(kind: Kind, photo: str, method: str | None) -> Trial:
    real, fake = (f"{secrets.token_hex(8)}.png" for _ in range(2))
    return Trial(
        trial=secrets.token_hex(6),
        kind=kind,
        photo=photo,
        method=method,
        real=real,
        fake=fake,
        crowd_left=secrets.choice((real, fake)),
    )


def _write_images(folder: Path, key: Key, colorize: Callable[[str], Mapping[str, Picture]]) -> None:
    """Write all forms' images, one photo at a time, photos and their images in random order."""
    chance = secrets.SystemRandom()
    shown: dict[str, list[tuple[Path, Trial]]] = {}
    for form in key.forms:
        images = folder / form.form / "images"
        images.mkdir(parents=True)
        for trial in form.trials:
            shown.setdefault(trial.photo, []).append((images, trial))
    for photo in chance.sample(list(shown), len(shown)):
        pictures = colorize(photo)
        truth = pictures["truth"]
        files: list[tuple[Path, Picture]] = []
        for images, trial in shown[photo]:
            files.append((images / trial.real, truth))
            files.append(
                (images / trial.fake, rainbow(truth) if trial.method is None else pictures[trial.method])
            )
        for path, picture in chance.sample(files, len(files)):
            assert picture.shape == (SIDE, SIDE, 3), (photo, picture.shape)
            Image.fromarray(picture).save(path, format="PNG", compress_level=0)


def _write_crowd_csv(path: Path, key: Key, base_url: str) -> None:
    base = f"{base_url.rstrip('/')}/" if base_url else ""
    chance = secrets.SystemRandom()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["test_id", "form", "trial", "left", "right"])
        for form in key.forms:
            counted = [trial for trial in form.trials if trial.kind != "practice"]
            for trial in chance.sample(counted, len(counted)):
                right = trial.fake if trial.crowd_left == trial.real else trial.real
                sides = [f"{base}{form.form}/images/{image}" for image in (trial.crowd_left, right)]
                writer.writerow([key.test_id, form.form, trial.trial, *sides])


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block ends well; otherwise nothing is left."""
    temporary = out.with_name(f"{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of an export that was killed
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
