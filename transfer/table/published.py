"""Published results, printed beside one's own, and when one's own are comparable with them.

Every number was read in the source that its table names, but for those that are `FromMemory`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pretext.quoted import FromMemory


@dataclass(frozen=True, kw_only=True)
class PublishedNumbers:
    """Numbers of a paper, in percent, as it printed them.

    Attributes:
        data: what they were measured on: a data set and its split.
        network: which backbone, and whatever else a column's name does not say.
        columns: stages, in the paper's words.
        rows: method -> its number by column, `FromMemory` where it was not read in the source; None where the paper has
            none.
        source: the paper, and which of its tables.
        remark: sentences on what the rows are, and on what this project does otherwise.
    """

    data: str
    network: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    source: str
    remark: str = ""

    @property
    def from_memory(self) -> bool:
        """Whether any of the numbers is."""
        return any(isinstance(number, FromMemory) for numbers in self.rows.values() for number in numbers)


@dataclass(frozen=True, kw_only=True)
class PublishedResults(PublishedNumbers):
    """The published results of one task.

    Attributes:
        protocol: how they were measured, in this project's words.
        metrics: of the results that they stand beside; they themselves are of the first.
    """

    task: str
    protocol: str
    metrics: tuple[str, ...]

    @property
    def family(self) -> str:
        """The name of their protocol alone."""
        return family(self.protocol)

    def is_on(self, data: str) -> bool:
        """Whether `data` names their data set: `imagenet val` and `ImageNet` both name `ImageNet val`."""
        return _plain(data) in map(_plain, (self.data, self.data.split()[0]))

    def comparable(self, data: str, protocol: str, metric: str) -> bool:
        """Whether results on `data` under `protocol` were measured as these were, as far as names tell."""
        return (protocol, metric) == (self.protocol, self.metrics[0]) and self.is_on(data)


def published_beside(task: str, protocol: str, metric: str, data: str = "") -> list[PublishedResults]:
    """The published tables of this task, metric and family of protocols: those of one data set.

    Args:
        data: what one's own results were measured on. Where no table is on it, the data set is that of the first.
    """
    tables = [
        table
        for table in PUBLISHED
        if (table.task, table.family) == (task, family(protocol)) and metric in table.metrics
    ]
    return [table for table in tables if table.is_on(data)] or [
        table for table in tables if table.data == tables[0].data
    ]


def family(protocol: str) -> str:
    """A protocol's name without stages and what the user changed: `zhang16` of `zhang16, 112 px of 128`."""
    return re.split(r"[, ]", protocol, maxsplit=1)[0]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


_SPLIT_BRAIN = "Zhang, Isola, Efros 2017 (Split-Brain Autoencoders, arXiv 1611.09842v3)"
PASCAL_SIDE_BY_SIDE = PublishedNumbers(
    data="VOC2007 test and VOC2012 segval11",
    network="AlexNet",
    columns=(
        "Classification, fc8: mAP",
        "Classification, fc6-8: mAP",
        "Classification, all: mAP",
        "Detection, all: mAP",
        "Segmentation, all: mIU",
    ),
    rows={
        "ImageNet labels": (FromMemory(76.8), 78.9, 79.9, 56.8, 48.0),
        "Gaussian": (None, None, 53.3, 43.4, 19.8),
        "k-means initialisation": (FromMemory(32.0), 39.2, 56.6, 45.6, 32.6),
        "autoencoder": (None, 16.0, 53.8, 41.9, 25.2),
        "egomotion (Jayaraman and Grauman 2015)": (None, None, None, 41.7, None),
        "egomotion (Agrawal et al. 2015)": (None, 31.0, 54.2, 43.9, None),
        "tracking (Wang and Gupta 2015)": (None, None, 63.1, 47.2, None),
        "context": (FromMemory(44.7), 55.1, 65.3, 51.1, None),
        "shuffled frames (Misra et al. 2016)": (None, None, None, 42.4, None),
        "inpainting": (None, None, 56.5, 44.5, 29.7),
        # Classification is of the authors' later model at 112 px; table 2 of 2016 had an earlier one.
        "BiGAN": (None, 52.3, 60.1, 46.9, 35.2),
        "sound (Owens et al. 2016)": (None, 52.3, 61.3, 44.0, None),
        "moving objects (Pathak et al. 2017)": (None, None, 61.0, 52.2, None),
        "colorization, grey input": (FromMemory(52.4), 61.5, 65.9, FromMemory(46.1), FromMemory(35.0)),
        "colorization, colour input": (FromMemory(52.4), FromMemory(61.5), FromMemory(65.6), 46.9, 35.6),
        "colorization (Larsson et al. 2017)": (None, None, 65.9, None, 38.4),
        "split-brain": (None, 63.0, 67.1, 46.7, 36.0),
    },
    source=(
        f"{_SPLIT_BRAIN}, table 4; what is marked † is from table 2 of Zhang, Isola, Efros 2016 (Colorful Image "
        "Colorization)"
    ),
    remark=(
        "Where the paper has a number with weights rescaled before fine-tuning (Krähenbühl et al. 2016) and one "
        "without, it is the one with."
    ),
)


def _part_of_pascal(columns: slice, names: tuple[str, ...], **task: Any) -> PublishedResults:
    """One task's columns of `PASCAL_SIDE_BY_SIDE`, with the methods that have a number there."""
    rows = {method: numbers[columns] for method, numbers in PASCAL_SIDE_BY_SIDE.rows.items()}
    return PublishedResults(
        columns=names,
        rows={method: numbers for method, numbers in rows.items() if any(numbers)},
        source=PASCAL_SIDE_BY_SIDE.source,
        remark=PASCAL_SIDE_BY_SIDE.remark,
        **task,
    )


PASCAL = {
    "finetune": _part_of_pascal(
        slice(0, 3),
        ("fc8", "fc6-8", "all"),
        task="finetune",
        protocol="voc07",
        # The paper says mAP alone; the published code of Krähenbühl et al. 2016, by which they tested, has the area.
        metrics=("mAP", "mAP_11_point"),
        data="VOC2007 test",
        network="AlexNet, by the layers that were trained",
    ),
    "detect": _part_of_pascal(
        slice(3, 4),
        ("all",),
        task="detect",
        protocol="zhang16",
        # The paper says mAP alone; Fast R-CNN, by which they tested, measures VOC2007 by eleven points.
        metrics=("AP50_11_point", "AP50"),
        data="VOC2007 test",
        network="AlexNet, Fast R-CNN with its fc6 and fc7",
    ),
    "segment": _part_of_pascal(
        slice(4, 5),
        ("all",),
        task="segment",
        protocol="zhang16, fc7",
        metrics=("mIoU",),
        data="VOC2012 segval11",
        network="AlexNet, FCN-32s, trained on the images of SBD",
    ),
}

_ALEXNET_ON_IMAGENET = PublishedResults(
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
        "Jigsaw": (19.2, 30.1, 34.7, 33.9, 28.3),
        "context": (16.2, 23.3, 30.2, 31.7, 29.6),
        "inpainting": (14.1, 20.7, 21.0, 19.8, 15.5),
        "BiGAN": (17.7, 24.5, 31.0, 29.9, 28.0),
        # The paper's first version had other values.
        "colorization": (13.1, 24.8, 31.0, 32.6, 31.8),
        "autoencoder": (12.9, 20.1, 18.5, 15.1, 11.5),
        "autoencoder, half of its input dropped": (12.1, 20.4, 19.7, 16.1, 12.3),
        "L → ab (cl)": (12.5, 25.4, 32.4, 33.1, 32.0),
        "L → ab (reg)": (12.3, 23.5, 29.6, 31.1, 30.1),
        "ab → L (cl)": (11.6, 19.2, 22.6, 21.7, 19.2),
        "ab → L (reg)": (11.5, 19.4, 23.5, 23.9, 21.7),
        "(L, ab) → (ab, L)": (15.1, 22.6, 24.4, 23.2, 21.1),
        "(L, ab, Lab) → (ab, L, Lab)": (15.4, 22.9, 24.0, 22.0, 18.9),
        "two L → ab, ensembled": (11.7, 23.7, 30.9, 32.2, 31.3),
        "split-brain (reg, reg)": (17.4, 27.9, 33.6, 34.2, 32.3),
        "split-brain": (17.7, 29.3, 35.4, 35.2, 32.8),
    },
    source=f"{_SPLIT_BRAIN}, table 2",
    remark=(
        "Colorization is the network of 2016, split-brain that by classification; of the others, cl classifies "
        "quantised colours without rebalancing, reg regresses. Jigsaw's conv1 has stride 2: maps of four times as many "
        "positions. The maps of the other AlexNets are 55, 27, 13, 13 and 13 wide before the resizing; this project's "
        "alexnet keeps the padding of its training in the test, and they are 57, 29, 15, 15 and 15."
    ),
)
_GOYAL19_RESNET = PublishedResults(
    task="linear",
    protocol="goyal19",
    metrics=("top1",),
    data="ImageNet val",
    network="ResNet-50, one number per network: its best stage",
    columns=("best stage",),
    rows={
        "supervised": (75.88,),
        "Jigsaw, ImageNet-1k": (46.58,),
        "Jigsaw, ImageNet-22k": (53.09,),
        "Jigsaw, YFCC-100M": (51.37,),
        "RotNet, ImageNet-1k": (48.2,),
        "RotNet, ImageNet-22k": (54.89,),
        "colorization, ImageNet-1k": (40.11,),
        "colorization, ImageNet-22k": (49.24,),
        "colorization, YFCC-100M": (47.46,),
    },
    source="VISSL's model zoo, linear ImageNet models of Goyal et al. 2019 (Scaling and Benchmarking)",
)

PUBLISHED = (
    _ALEXNET_ON_IMAGENET,
    replace(
        _ALEXNET_ON_IMAGENET,
        data="Places205 val",
        rows={
            "supervised": (22.1, 35.1, 40.2, 43.3, 44.6),
            "ImageNet labels": (22.7, 34.8, 38.4, 39.4, 38.7),
            "random": (15.7, 20.3, 19.8, 19.1, 17.5),
            "k-means initialisation": (21.4, 26.2, 27.1, 26.1, 24.0),
            "Jigsaw": (23.0, 32.1, 35.5, 34.8, 31.3),
            "context": (19.7, 26.7, 31.9, 32.7, 30.9),
            "tracking (Wang and Gupta 2015)": (20.1, 28.5, 29.9, 29.7, 27.9),
            "sound (Owens et al. 2016)": (19.9, 29.3, 32.1, 28.8, 29.8),
            "inpainting": (18.2, 23.2, 23.4, 21.9, 18.4),
            "BiGAN": (22.0, 28.7, 31.8, 31.3, 29.7),
            "colorization": (16.0, 25.7, 29.6, 30.3, 29.7),
            "L → ab (cl)": (16.4, 27.5, 31.4, 32.1, 30.2),
            "L → ab (reg)": (16.2, 26.5, 30.0, 30.5, 29.4),
            "ab → L (cl)": (15.6, 22.5, 24.8, 25.1, 23.0),
            "ab → L (reg)": (15.9, 22.8, 25.6, 26.2, 24.9),
            "split-brain": (21.3, 30.7, 34.0, 34.1, 32.5),
        },
        source=f"{_SPLIT_BRAIN}, table 3",
    ),
    _GOYAL19_RESNET,
    replace(
        _GOYAL19_RESNET,
        network="AlexNet, one number per network: its best stage",
        rows={
            "supervised": (49.54,),
            "Jigsaw, ImageNet-1k": (34.82,),
            "Jigsaw, ImageNet-22k": (37.5,),
            "Jigsaw, YFCC-100M": (37.01,),
            "RotNet": (39.51,),
            "DeepCluster": (37.88,),
            "colorization, ImageNet-1k": (30.39,),
            "colorization, ImageNet-22k": (36.83,),
            "colorization, YFCC-100M": (34.19,),
        },
    ),
    *PASCAL.values(),
    *(
        PublishedResults(
            task=task,
            protocol="mae22",
            metrics=("top1",),
            data="ImageNet val",
            network="ViT-B/16",
            columns=(column,),
            rows={"MAE, 1,600 epochs": (number,)},
            source=f"He et al. 2022 (MAE), the results of their published code{of}",
        )
        for task, column, number, of in (
            ("linear", "class1", 67.8, ""),
            ("finetune", "all", 83.57, ", mean of 4 runs, deviation 0.08"),
        )
    ),
    # Detectron2 measures VOC2007 by eleven points.
    *(
        PublishedResults(
            task="detect",
            protocol="moco_24k, c4 layer3",
            metrics=(f"{metric}_11_point", metric),
            data="VOC2007 test",
            network="ResNet-50 C4, trained on trainval of VOC2007 and VOC2012, mean of 5 runs",
            columns=("all",),
            rows={
                "ImageNet labels": (of_labels,),
                "MoCo v1, 200 epochs": (of_v1,),
                "MoCo v2, 200 epochs": (of_v2,),
                "MoCo v2, 800 epochs": (of_longer_v2,),
            },
            source="He et al. 2020 (MoCo), the results of their published detection code",
            remark=f"Standard deviation over the runs: {deviation}.",
        )
        for metric, of_labels, of_v1, of_v2, of_longer_v2, deviation in (
            ("AP50", 81.3, 81.5, 82.4, 82.5, 0.2),
            ("AP", 53.5, 55.9, 57.0, 57.4, 0.2),
            ("AP75", 58.8, 62.6, 63.6, 64.0, 0.4),
        )
    ),
    *(
        PublishedResults(
            task="detect",
            protocol="coco_1x, fpn layer4, Mask R-CNN",
            metrics=(metric,),
            data="COCO val2017",
            network="ResNet-50 FPN, trained on train2017",
            columns=("all",),
            rows={
                "random initialisation": (FromMemory(of_random),),
                "ImageNet labels": (FromMemory(of_labels),),
                "MoCo v1, 200 epochs": (FromMemory(of_v1),),
            },
            source="He et al. 2020 (MoCo), Table 5a",
        )
        for metric, of_random, of_labels, of_v1 in (("AP", 31.0, 38.9, 38.5), ("mask_AP", 28.5, 35.4, 35.1))
    ),
)
