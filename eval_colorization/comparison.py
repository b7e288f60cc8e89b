"""What is compared on what: methods and images opened, and images that a method lacks dealt with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from eval_colorization.config import MethodConfig, Subset
from eval_colorization.images import ImageSet, choose_images
from eval_colorization.methods import Method, open_methods
from eval_colorization.painted_folder import PaintedFolder


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
    *,
    data: str,
    subset: Subset,
    max_images: int | None,
    image_size: int,
    missing: Literal["error", "leave_out"],
    seed: int,
    methods: Mapping[str, MethodConfig],
    device: torch.device,
) -> Comparison:
    """Open images and methods; the arguments are the configuration's keys of the same names.

    Raises:
        ValueError: no such data, method or folder; an image that a folder lacks, unless `missing` is leave_out.
    """
    opened = open_methods(methods, device)
    source, indices = choose_images(data, subset=subset, max_images=max_images)
    names = [source.name(int(index)) for index in indices]
    folders = {
        name: PaintedFolder(Path(method.folder).expanduser(), names)
        for name, method in methods.items()
        if method.folder is not None
    }
    lacking = {
        image: f"{name} ({folder.root}) has no such image"
        for name, folder in folders.items()
        for image in folder.missing
    }
    if lacking and missing == "error":
        raise ValueError(_what_is_missing(folders, len(names)))
    kept = np.array(
        [index for index, name in zip(indices, names, strict=True) if name not in lacking], np.int64
    )
    if not len(kept):
        raise ValueError(
            f"no image of {data} is in all of {', '.join(str(f.root) for f in folders.values())}"
        )
    images = ImageSet(
        source, kept, size=image_size, folders=folders, leave_out=missing == "leave_out", seed=seed
    )
    if len(kept) == 1:
        opened.pop("random", None)  # it takes another image's colours
    return Comparison(methods=opened, images=images, lacking=list(lacking.items()))


def _what_is_missing(folders: Mapping[str, PaintedFolder], num_images: int) -> str:
    sentences = [
        f"{folder.root} lacks {len(folder.missing)} of {num_images} images of {name!r}: {_some(folder.missing)}"
        for name, folder in folders.items()
        if folder.missing
    ]
    return (
        f"{'; '.join(sentences)}; paint them, or set missing: leave_out to compare all methods without them"
    )


def _some(names: Sequence[str], shown: int = 5) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
