"""What is compared on what: methods and images opened, and images that a method lacks dealt with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eval_colorization.colorized_folder import ColorizedFolder
from eval_colorization.config import MethodConfig, ReportConfig, TuringConfig
from eval_colorization.images import Images, ImageSet, choose_images, describe_images, read_batch
from eval_colorization.methods import LiveMethod, Method, open_methods
from eval_colorization.squares import SAME_PICTURE
from pretext.spelling import first_few

TRIED_IMAGES = 16


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Methods and the images that all of them have.

    Attributes:
        methods: by name; without `random` where there is one image only.
        images: to compare them on.
        lacking: (image, reason) of those that some folder lacks, with `missing: leave_out`.
    """

    methods: dict[str, Method]
    images: ImageSet
    lacking: list[tuple[str, str]]


def open_comparison(
    images: Images,
    methods: Mapping[str, MethodConfig | LiveMethod],
    config: ReportConfig | TuringConfig,
    *,
    image_size: int,
    device: torch.device,
) -> Comparison:
    """Open images and methods, for which `config` says the rest; see `evaluate`.

    Raises:
        ValueError: no such data, method or folder; an image that a folder lacks, unless `missing` is leave_out; a
            folder of other pictures, see `_try_folders`.
    """
    opened = open_methods(methods, device)
    source, indices = choose_images(images, subset=config.subset, max_images=config.max_images)
    all_names = [source.name(index) for index in range(len(source))]
    names = [all_names[index] for index in indices]
    folders = {
        name: ColorizedFolder(Path(method.folder).expanduser(), all_names, names)
        for name, method in methods.items()
        if isinstance(method, MethodConfig) and method.folder is not None
    }
    lacking = {
        image: f"{name} ({folder.root}) has no such image"
        for name, folder in folders.items()
        for image in folder.missing
    }
    if lacking and config.missing == "error":
        lacks = "; ".join(
            f"{folder.root} lacks {len(folder.missing)} of {len(names)} images of {name!r}: "
            f"{first_few(folder.missing, 5)}"
            for name, folder in folders.items()
            if folder.missing
        )
        raise ValueError(
            f"{lacks}; colorize them, or set missing: leave_out to compare all methods without them"
        )
    kept = np.array(
        [index for index, name in zip(indices, names, strict=True) if name not in lacking], np.int64
    )
    if not len(kept):
        raise ValueError(
            f"no image of {describe_images(images)} is in all of {', '.join(str(f.root) for f in folders.values())}"
        )
    image_set = ImageSet(
        source,
        kept,
        size=image_size,
        protocol=config.protocol,
        folders=folders,
        leave_out=config.missing == "leave_out",
        seed=config.seed,
    )
    if folders:
        _try_folders(image_set)
    if len(kept) == 1:
        opened.pop("random", None)  # it takes another image's colours
    return Comparison(methods=opened, images=image_set, lacking=list(lacking.items()))


def _try_folders(images: ImageSet) -> None:
    """Read a few images spread over the set, to find what is wrong with a whole folder before anything long starts.

    Raises:
        ValueError: a colorized image that cannot be compared; most of those tried do not have the lightness of
            their originals.
    """
    tried = np.linspace(0, len(images) - 1, min(TRIED_IMAGES, len(images))).round().astype(int)
    batch = read_batch(images, tried.tolist())
    for name, folder in images.folders.items():
        others = [images.names[position] for position, method in batch.other_lightness if method == name]
        if len(others) > len(batch.positions) / 2:
            raise ValueError(
                f"{folder.root} does not hold colorized versions of these photographs: of {len(batch.positions)} tried "
                f"{len(others)} have another lightness (a correlation below {SAME_PICTURE}): {first_few(others, 5)}; "
                f"colorization keeps the lightness, so {name!r} has other photographs under these names, or they are "
                "mirrored, turned or cut otherwise"
            )
