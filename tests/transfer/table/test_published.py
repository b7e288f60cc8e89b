"""The published numbers, against the papers."""

import pytest

from transfer.table.published import PASCAL_SIDE_BY_SIDE, PUBLISHED, published_beside


def rows_of(task, protocol, metric, network):
    (table,) = [of for of in published_beside(task, protocol, metric) if of.network.startswith(network)]
    return table.rows


def test_the_linear_numbers_are_those_of_split_brain_autoencoders():
    # Zhang, Isola, Efros (CVPR 2017), arXiv 1611.09842v3, table 2, conv1 ... conv5.
    rows = rows_of("linear", "zhang16", "top1", "AlexNet")
    assert rows["colorization"] == (13.1, 24.8, 31.0, 32.6, 31.8)
    assert rows["random"] == (11.6, 17.1, 16.9, 16.3, 14.1)
    assert rows["split-brain"] == (17.7, 29.3, 35.4, 35.2, 32.8)
    assert rows["supervised"] == (19.3, 36.3, 44.2, 48.3, 50.5)
    assert len(rows) == 8


def test_the_numbers_of_goyal19_are_those_of_the_vissl_model_zoo():
    # VISSL's model zoo, ImageNet linear classification of the models of Goyal et al. (ICCV 2019).
    resnet, alexnet = (rows_of("linear", "goyal19", "top1", name) for name in ("ResNet-50", "AlexNet"))
    assert [resnet[f"colorization, {data}"] for data in ("ImageNet-1k", "ImageNet-22k", "YFCC-100M")] == [
        (40.11,),
        (49.24,),
        (47.46,),
    ]
    assert [alexnet[f"colorization, {data}"] for data in ("ImageNet-1k", "ImageNet-22k", "YFCC-100M")] == [
        (30.39,),
        (36.83,),
        (34.19,),
    ]
    assert (resnet["supervised"], alexnet["supervised"]) == ((75.88,), (49.54,))
    assert (alexnet["RotNet"], alexnet["DeepCluster"]) == ((39.51,), (37.88,))


def test_the_pascal_numbers_are_those_of_colorful_image_colorization():
    # Zhang, Isola, Efros (ECCV 2016), PASCAL classification: fc8, fc6-8, all.
    rows = rows_of("finetune", "voc07", "mAP_11_point", "AlexNet")
    assert rows["colorization, grey input"] == (52.4, 61.5, 65.9)
    assert rows["ImageNet labels"] == (76.8, 78.9, 79.9)
    assert rows["Gaussian"] == (None, None, 53.3)


def test_the_pascal_numbers_of_all_tasks_side_by_side_are_those_of_colorful_image_colorization():
    # Zhang, Isola, Efros (ECCV 2016): classification fc8, fc6-8, all; detection; segmentation.
    assert PASCAL_SIDE_BY_SIDE.columns == (
        "Classification, fc8: mAP",
        "Classification, fc6-8: mAP",
        "Classification, all: mAP",
        "Detection, all: mAP",
        "Segmentation, all: mIU",
    )
    assert PASCAL_SIDE_BY_SIDE.rows == {
        "ImageNet labels": (76.8, 78.9, 79.9, 56.8, 48.0),
        "Gaussian": (None, None, 53.3, 43.4, 19.8),
        "k-means initialisation": (32.0, 39.2, 56.6, 45.6, 32.6),
        "context": (44.7, 55.1, 65.3, 51.1, None),
        "inpainting": (None, None, 56.5, 44.5, 29.7),
        "BiGAN": (38.2, 50.2, 58.6, 46.2, 34.9),
        "colorization, grey input": (52.4, 61.5, 65.9, 46.1, 35.0),
        "colorization, colour input": (52.4, 61.5, 65.6, 46.9, 35.6),
    }
    assert PASCAL_SIDE_BY_SIDE.from_memory


@pytest.mark.parametrize("measure", ["{}", "{}_11_point"])
def test_the_numbers_of_moco_are_those_of_its_published_detection_code(measure):
    # github.com/facebookresearch/moco, detection/README.md: VOC2007 test, Faster R-CNN on ResNet-50 C4.
    rows = {
        metric: rows_of("detect", "moco_24k, c4 layer3", measure.format(metric), "ResNet-50")
        for metric in ("AP50", "AP", "AP75")
    }
    by_method = {method: tuple(rows[metric][method][0] for metric in rows) for method in rows["AP"]}
    assert by_method == {
        "ImageNet labels": (81.3, 53.5, 58.8),
        "MoCo v1, 200 epochs": (81.5, 55.9, 62.6),
        "MoCo v2, 200 epochs": (82.4, 57.0, 63.6),
        "MoCo v2, 800 epochs": (82.5, 57.4, 64.0),
    }


@pytest.mark.parametrize(
    "table", PUBLISHED, ids=lambda table: f"{table.task} {table.network} {table.metrics[0]}"
)
def test_every_published_row_has_a_number_or_none_for_each_column_in_percent(table):
    assert table.source
    for numbers in table.rows.values():
        assert len(numbers) == len(table.columns)
        assert all(number is None or 0 < number < 100 for number in numbers)


def test_only_numbers_with_a_readable_source_are_not_marked_as_quoted_from_memory():
    read = {(of.task, of.family) for of in PUBLISHED if not of.from_memory}
    assert read == {("linear", "zhang16"), ("linear", "goyal19"), ("detect", "moco_24k")}


def test_a_changed_crop_keeps_the_family_of_the_protocol_and_another_task_or_metric_has_nothing():
    assert published_beside("linear", "zhang16, 112 px of 128", "top1") == published_beside(
        "linear", "zhang16", "top1"
    )
    assert published_beside("finetune", "voc07 10%", "mAP")
    assert not published_beside("linear", "zhang16", "top5")
    assert not published_beside("knn", "zhang16", "top1")
    assert not published_beside("linear", "zhang16x", "top1")
    assert {of.task for of in published_beside("detect", "zhang16, dc5 conv5, 320 px", "AP50")} == {"detect"}
    assert {of.task for of in published_beside("segment", "zhang16, conv5", "mIoU")} == {"segment"}
    assert not published_beside("segment", "fcn_20k, conv5", "mIoU")


@pytest.mark.parametrize(
    ("data", "protocol", "comparable"),
    [
        ("imagenet val", "zhang16", True),
        ("ImageNet", "zhang16", True),
        ("tiny-imagenet val", "zhang16", False),
        ("VOC2007 test", "zhang16", False),
        ("ImageNet", "zhang16, 112 px of 128", False),
    ],
)
def test_only_the_same_data_and_crop_are_comparable(data, protocol, comparable):
    (table,) = published_beside("linear", protocol, "top1")
    assert table.comparable(data, protocol, "top1") == comparable


@pytest.mark.parametrize(
    ("task", "protocol", "metric"),
    [
        ("finetune", "voc07", "mAP"),
        ("detect", "moco_24k, c4 layer3", "AP50_11_point"),
        ("segment", "zhang16, fc7", "mIoU"),
    ],
)
def test_only_the_measure_and_the_stage_of_the_paper_are_comparable(task, protocol, metric):
    (table,) = published_beside(task, protocol, metric)
    assert table.comparable(table.data, protocol, metric)
    assert not table.comparable(table.data, f"{protocol}, 320 px", metric)
    assert not any(table.comparable(table.data, protocol, other) for other in (*table.metrics[1:], "AP75"))
