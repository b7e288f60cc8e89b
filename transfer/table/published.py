"""Published results, printed beside one's own: what a reader will want to compare with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """Numbers of a paper, in percent, as it printed them.

    Attributes:
        task, protocol, metrics: of the results that they stand beside.
        data: what they were measured on: a data set and its split.
        network: which backbone, and whatever else a column's name does not say.
        columns: stages, in the paper's words.
        rows: method -> its number by column; None where the paper has none.
        source: the paper, and which of its tables.
        from_memory: not checked against the source.
    """

    task: str
    protocol: str
    metrics: tuple[str, ...]
    data: str
    network: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    source: str
    from_memory: bool

    def comparable(self, data: str, protocol: str) -> bool:
        """Whether results on `data` under `protocol` were measured as these were, as far as names tell.

        `imagenet val` and `ImageNet` both name `ImageNet val`.
        """
        names = (self.data, self.data.split()[0])
        return protocol == self.protocol and _plain(data) in map(_plain, names)


def published_beside(task: str, protocol: str, metric: str) -> list[PublishedTable]:
    """The published tables of this task, metric and family of protocols.

    A protocol's family is its name without what the user changed: `zhang16` of `zhang16, 112 px of 128`.
    """
    family = re.split(r"[, ]", protocol, maxsplit=1)[0]
    return [of for of in PUBLISHED if (of.task, of.protocol) == (task, family) and metric in of.metrics]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


_MODEL_ZOO = "VISSL's model zoo, linear ImageNet models of Goyal et al. 2019 (Scaling and Benchmarking)"

PUBLISHED = (
    PublishedTable(
        task="linear",
        protocol="zhang16",
        metrics=("top1",),
        data="ImageNet val",
        network="AlexNet, resized features",
        columns=("conv1", "conv2", "conv3", "conv4", "conv5"),
        rows={
            "supervised": (19.3, 36.3, 44.2, 48.3, 50.5),
            "random": (11.6, 17.1, 16.9, 16.3, 14.1),
            "k-means initialisation": (17.5, 23.0, 24.5, 23.2, 20.6),
            "context": (16.2, 23.3, 30.2, 31.7, 29.6),
            "inpainting": (14.1, 20.7, 21.0, 19.8, 15.5),
            "BiGAN": (17.7, 24.5, 31.0, 29.9, 28.0),
            "colorization": (12.5, 24.5, 30.4, 31.5, 30.3),
            "split-brain": (17.7, 29.3, 35.4, 35.2, 32.8),
        },
        source="Zhang, Isola, Efros 2017 (Split-Brain Autoencoders), linear classification on ImageNet",
        from_memory=True,
    ),
    PublishedTable(
        task="linear",
        protocol="goyal19",
        metrics=("top1",),
        data="ImageNet val",
        network="ResNet-50, one number a network: its best stage",
        columns=("best stage",),
        rows={
            "supervised": (75.88,),
            "Jigsaw, ImageNet-1k": (46.58,),
            "colorization, ImageNet-1k": (40.11,),
            "colorization, ImageNet-22k": (49.24,),
            "colorization, YFCC-100M": (47.46,),
        },
        source=_MODEL_ZOO,
        from_memory=False,
    ),
    PublishedTable(
        task="linear",
        protocol="goyal19",
        metrics=("top1",),
        data="ImageNet val",
        network="AlexNet, one number a network: its best stage",
        columns=("best stage",),
        rows={
            "supervised": (49.54,),
            "Jigsaw, ImageNet-1k": (34.82,),
            "RotNet": (39.51,),
            "DeepCluster": (37.88,),
            "colorization, ImageNet-1k": (30.39,),
            "colorization, ImageNet-22k": (36.83,),
            "colorization, YFCC-100M": (34.19,),
        },
        source=_MODEL_ZOO,
        from_memory=False,
    ),
    PublishedTable(
        task="finetune",
        protocol="voc07",
        metrics=("mAP", "mAP_11_point"),  # the printed tables say mAP alone
        data="VOC2007 test",
        network="AlexNet, by the layers that were trained",
        columns=("fc8", "fc6-8", "all"),
        rows={
            "ImageNet labels": (76.8, 78.9, 79.9),
            "Gaussian": (None, None, 53.3),
            "k-means initialisation": (32.0, 39.2, 56.6),
            "context": (44.7, 55.1, 65.3),
            "inpainting": (None, None, 56.5),
            "BiGAN": (38.2, 50.2, 58.6),
            "colorization, grey input": (52.4, 61.5, 65.9),
            "colorization, colour input": (52.4, 61.5, 65.6),
        },
        source="Zhang, Isola, Efros 2016 (Colorful Image Colorization), PASCAL VOC 2007 classification",
        from_memory=True,
    ),
)
