"""Published results, printed beside one's own: what a reader will want to compare with."""

from transfer.table.published_table import PublishedTable, family, side_by_side


def published_beside(task: str, protocol: str, metric: str) -> list[PublishedTable]:
    """The published tables of this task, metric and family of protocols."""
    return [
        of for of in PUBLISHED if (of.task, of.family) == (task, family(protocol)) and metric in of.metrics
    ]


_COLORFUL = "Zhang, Isola, Efros 2016 (Colorful Image Colorization), PASCAL tests"

# One table of the paper, by task.
_PASCAL = (
    PublishedTable(
        task="finetune",
        protocol="voc07",
        # The paper says mAP alone; the published code of Krähenbühl et al. 2016, by which they tested, has the area.
        metrics=("mAP", "mAP_11_point"),
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
        source=_COLORFUL,
        from_memory=True,
    ),
    PublishedTable(
        task="detect",
        protocol="zhang16",
        # The paper says mAP alone; Fast R-CNN, by which they tested, measures VOC2007 by eleven points.
        metrics=("AP50_11_point", "AP50"),
        data="VOC2007 test",
        network="AlexNet, Fast R-CNN with its fc6 and fc7",
        columns=("all",),
        rows={
            "ImageNet labels": (56.8,),
            "Gaussian": (43.4,),
            "k-means initialisation": (45.6,),
            "context": (51.1,),
            "inpainting": (44.5,),
            "BiGAN": (46.2,),
            "colorization, grey input": (46.1,),
            "colorization, colour input": (46.9,),
        },
        source=_COLORFUL,
        from_memory=True,
    ),
    PublishedTable(
        task="segment",
        protocol="zhang16, fc7",
        metrics=("mIoU",),
        data="VOC2012 segval11",
        network="AlexNet, FCN-32s, trained on the images of SBD",
        columns=("all",),
        rows={
            "ImageNet labels": (48.0,),
            "Gaussian": (19.8,),
            "k-means initialisation": (32.6,),
            "inpainting": (29.7,),
            "BiGAN": (34.9,),
            "colorization, grey input": (35.0,),
            "colorization, colour input": (35.6,),
        },
        source=_COLORFUL,
        from_memory=True,
    ),
)
PASCAL = {table.task: table for table in _PASCAL}
PASCAL_SIDE_BY_SIDE = side_by_side(
    "AlexNet",
    {
        "finetune": "Classification, {}: mAP",
        "detect": "Detection, {}: mAP",
        "segment": "Segmentation, {}: mIU",
    },
    _PASCAL,
)

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
            "colorization": (13.1, 24.8, 31.0, 32.6, 31.8),
            "split-brain": (17.7, 29.3, 35.4, 35.2, 32.8),
        },
        # Of the paper's third version; the first one had other values for colorization.
        source="Zhang, Isola, Efros 2017 (Split-Brain Autoencoders, arXiv 1611.09842v3), table 2",
        from_memory=False,
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
    *_PASCAL,
    # Detectron2 measures VOC2007 by eleven points.
    *(
        PublishedTable(
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
            from_memory=False,
        )
        for metric, of_labels, of_v1, of_v2, of_longer_v2 in (
            ("AP50", 81.3, 81.5, 82.4, 82.5),
            ("AP", 53.5, 55.9, 57.0, 57.4),
            ("AP75", 58.8, 62.6, 63.6, 64.0),
        )
    ),
)
