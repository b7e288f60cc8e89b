"""The published numbers, against the papers."""

import pytest

from transfer.table.published import PUBLISHED, published_beside


def rows_of(task, protocol, metric, network):
    (table,) = [of for of in published_beside(task, protocol, metric) if of.network.startswith(network)]
    return table.rows


def test_the_linear_numbers_are_those_of_split_brain_autoencoders():
    # Zhang, Isola, Efros (CVPR 2017), linear classification on ImageNet, conv1 ... conv5.
    rows = rows_of("linear", "zhang16", "top1", "AlexNet")
    assert rows["colorization"] == (12.5, 24.5, 30.4, 31.5, 30.3)
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


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.network)
def test_every_published_row_has_a_number_or_none_for_each_column_in_percent(table):
    assert table.source
    for numbers in table.rows.values():
        assert len(numbers) == len(table.columns)
        assert all(number is None or 0 < number < 100 for number in numbers)


def test_only_numbers_with_a_readable_source_are_not_marked_as_quoted_from_memory():
    assert {of.protocol for of in PUBLISHED if not of.from_memory} == {"goyal19"}


def test_a_changed_crop_keeps_the_family_of_the_protocol_and_another_task_or_metric_has_nothing():
    assert published_beside("linear", "zhang16, 112 px of 128", "top1") == published_beside(
        "linear", "zhang16", "top1"
    )
    assert published_beside("finetune", "voc07 10%", "mAP")
    assert not published_beside("linear", "zhang16", "top5")
    assert not published_beside("knn", "zhang16", "top1")
    assert not published_beside("linear", "zhang16x", "top1")


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
    assert table.comparable(data, protocol) == comparable
