"""A folder of features that `transfer features` extracted, in place of images and backbone."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pretext.images.image_source import ImageSource
from pretext.spelling import unknown_name
from transfer.features.files import Features, read_features

ADDRESS = "features:"
INDEX = "images.csv"
SINGLE = [
    "image",
    "class",
]  # header of the index of images of one class each; else `image` and a column for each class


@dataclass(frozen=True, kw_only=True)
class ExtractedBackbone:
    """The backbone whose features are in a folder.

    Attributes:
        name: of the backbone in results.
        sha256: of its weights.
        protocol: that the features are of, as results describe it.
    """

    name: str
    sha256: str
    protocol: str


class FeatureSource(ImageSource):
    """The images of a folder of features; their pictures are not at hand.

    Attributes:
        folder: where the features are.
        backbone: whose features they are.
        features: stage -> features, in order of depth.
    """

    def __init__(self, folder: Path, names: list[str]) -> None:
        """Raises ValueError for a stage that is not extracted to its end, and for stages of two extractions."""
        self.folder, self._names = folder, names
        stages = {path.stem: read_features(path) for path in folder.glob("*.npy")}
        if not stages:
            raise ValueError(
                f"{folder} has no STAGE.npy; give the --out folder of a `transfer features` command"
            )
        in_order = sorted(stages, key=lambda stage: stages[stage][0]["depth"])
        self.features: Mapping[str, Features] = {stage: stages[stage][1] for stage in in_order}
        backbones = {_backbone_of(identity) for identity, _ in stages.values()}
        counts = {len(features.kept) for features in self.features.values()}
        if len(backbones) > 1 or counts != {len(names)}:
            raise ValueError(
                f"{folder} holds features of several extractions: {INDEX} has {len(names)} images, its arrays "
                f"{', '.join(map(str, sorted(counts)))}, of {', '.join(sorted(of.name for of in backbones))}; extract "
                "them anew into an empty folder"
            )
        (self.backbone,) = backbones

    def __len__(self) -> int:
        return len(self._names)

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """Raises ValueError: there are none."""
        raise ValueError(f"{self.folder} holds features and no pictures: it is data for knn and svm alone")

    def name(self, index: int) -> str:
        """The name of the image that the features are of."""
        return self._names[index]

    def described(self) -> str:
        """What is in the folder."""
        backbone = self.backbone
        return f"{', '.join(self.features)} of {backbone.name} ({backbone.sha256[:12]}) under {backbone.protocol}"

    def choose(self, asked: list[str] | None) -> dict[str, Features]:
        """The features of the stages asked for, in order of depth; None is all.

        Raises:
            ValueError: one is not here.
        """
        for stage in asked or ():
            if stage not in self.features:
                raise ValueError(f"{self.folder}: {unknown_name('stage', stage, self.features)}")
        return {
            stage: features for stage, features in self.features.items() if asked is None or stage in asked
        }


def _backbone_of(identity: Mapping[str, Any]) -> ExtractedBackbone:
    return ExtractedBackbone(
        name=identity["backbone"], sha256=identity["weights"], protocol=identity["described"]
    )


def write_index(
    folder: Path, names: Sequence[str], classes: Sequence[str], labels: np.ndarray | None
) -> None:
    """The table of images: `image,class`, or where an image may show several classes 1, -1 or 0 for each.

    Args:
        labels: class indices, or signs (images, classes); None leaves the classes empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if labels is not None and labels.ndim == 2:
        writer.writerow(["image", *classes])
        writer.writerows([name, *row] for name, row in zip(names, labels.tolist(), strict=True))
    else:
        of_images = [""] * len(names) if labels is None else [classes[label] for label in labels.tolist()]
        writer.writerow(SINGLE)
        writer.writerows(zip(names, of_images, strict=True))
    (folder / INDEX).write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape")


def read_index(folder: Path) -> tuple[list[str], list[str], np.ndarray | list[str]]:
    """Names; classes and signs (images, classes) where an image may show several, else no classes and each one's class.

    Raises:
        ValueError: there is no such table.
    """
    path = folder / INDEX
    if not path.exists():
        raise ValueError(f"there is no {path}; give the --out folder of a `transfer features` command")
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    names = [row[0] for row in rows]
    if header == SINGLE:
        return names, [], [row[1] for row in rows]
    return names, header[1:], np.array([row[1:] for row in rows], np.int8)
