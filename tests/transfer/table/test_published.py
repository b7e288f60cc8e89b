"""The published numbers, against the papers."""

import pytest
import torch

from pretext.networks.alexnet import AlexNet
from pretext.quoted import FromMemory
from tests.transfer.table.made_records import record
from transfer.table.comparison import make_tables
from transfer.table.page import render_page
from transfer.table.published import PASCAL, PASCAL_SIDE_BY_SIDE, PUBLISHED, published_beside
from transfer.table.text import latex, markdown
from transfer.table.words import published_number


def rows_of(task, protocol, metric, network):
    (table,) = [of for of in published_beside(task, protocol, metric) if of.network.startswith(network)]
    return table.rows


def by_text(text):
    """Rows as typed from the paper: a method, a colon, its numbers."""
    rows = (line.split(":") for line in text.strip().splitlines())
    return {method.strip(): tuple(map(float, numbers.split())) for method, numbers in rows}


# Zhang, Isola, Efros (CVPR 2017), arXiv 1611.09842v3, tables 2 and 3: conv1 ... conv5.
IMAGENET = by_text("""
    supervised: 19.3 36.3 44.2 48.3 50.5
    random: 11.6 17.1 16.9 16.3 14.1
    k-means initialisation: 17.5 23.0 24.5 23.2 20.6
    Jigsaw: 19.2 30.1 34.7 33.9 28.3
    context: 16.2 23.3 30.2 31.7 29.6
    BiGAN: 17.7 24.5 31.0 29.9 28.0
    inpainting: 14.1 20.7 21.0 19.8 15.5
    colorization: 13.1 24.8 31.0 32.6 31.8
    autoencoder: 12.9 20.1 18.5 15.1 11.5
    autoencoder, half of its input dropped: 12.1 20.4 19.7 16.1 12.3
    L → ab (cl): 12.5 25.4 32.4 33.1 32.0
    L → ab (reg): 12.3 23.5 29.6 31.1 30.1
    ab → L (cl): 11.6 19.2 22.6 21.7 19.2
    ab → L (reg): 11.5 19.4 23.5 23.9 21.7
    (L, ab) → (ab, L): 15.1 22.6 24.4 23.2 21.1
    (L, ab, Lab) → (ab, L, Lab): 15.4 22.9 24.0 22.0 18.9
    two L → ab, ensembled: 11.7 23.7 30.9 32.2 31.3
    split-brain (reg, reg): 17.4 27.9 33.6 34.2 32.3
    split-brain: 17.7 29.3 35.4 35.2 32.8
""")
PLACES = by_text("""
    supervised: 22.1 35.1 40.2 43.3 44.6
    ImageNet labels: 22.7 34.8 38.4 39.4 38.7
    random: 15.7 20.3 19.8 19.1 17.5
    k-means initialisation: 21.4 26.2 27.1 26.1 24.0
    Jigsaw: 23.0 32.1 35.5 34.8 31.3
    context: 19.7 26.7 31.9 32.7 30.9
    tracking (Wang and Gupta 2015): 20.1 28.5 29.9 29.7 27.9
    sound (Owens et al. 2016): 19.9 29.3 32.1 28.8 29.8
    BiGAN: 22.0 28.7 31.8 31.3 29.7
    inpainting: 18.2 23.2 23.4 21.9 18.4
    colorization: 16.0 25.7 29.6 30.3 29.7
    L → ab (cl): 16.4 27.5 31.4 32.1 30.2
    L → ab (reg): 16.2 26.5 30.0 30.5 29.4
    ab → L (cl): 15.6 22.5 24.8 25.1 23.0
    ab → L (reg): 15.9 22.8 25.6 26.2 24.9
    split-brain: 21.3 30.7 34.0 34.1 32.5
""")


@pytest.mark.parametrize(("data", "typed"), [("ImageNet", IMAGENET), ("Places205", PLACES)])
def test_the_linear_numbers_are_those_of_split_brain_autoencoders(data, typed):
    (table,) = published_beside("linear", "zhang16", "top1", data)
    assert table.rows == typed
    assert not table.from_memory
    assert "57, 29, 15, 15 and 15" in table.remark


def test_the_maps_of_this_projects_alexnet_are_as_wide_as_the_remark_says():
    with torch.device("meta"):
        maps = AlexNet().forward_stages(
            torch.empty(1, 1, 227, 227), ["conv1", "conv2", "conv3", "conv4", "conv5"]
        )
    assert [stage.shape[-1] for stage in maps.values()] == [57, 29, 15, 15, 15]


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
    assert (resnet["RotNet, ImageNet-22k"], resnet["Jigsaw, YFCC-100M"]) == ((54.89,), (51.37,))
    assert (alexnet["Jigsaw, ImageNet-22k"], alexnet["Jigsaw, YFCC-100M"]) == ((37.5,), (37.01,))
    assert (resnet["supervised"], alexnet["supervised"]) == ((75.88,), (49.54,))
    assert (alexnet["RotNet"], alexnet["DeepCluster"]) == ((39.51,), (37.88,))


# Classification fc8, fc6-8, all; detection; segmentation. Without mark: Split-Brain Autoencoders, table 4. With †:
# table 2 of Colorful Image Colorization, which nobody here could read.
PASCAL_CELLS = """
    ImageNet labels: 76.8† 78.9 79.9 56.8 48.0
    Gaussian: - - 53.3 43.4 19.8
    k-means initialisation: 32.0† 39.2 56.6 45.6 32.6
    autoencoder: - 16.0 53.8 41.9 25.2
    egomotion (Agrawal et al. 2015): - 31.0 54.2 43.9 -
    egomotion (Jayaraman and Grauman 2015): - - - 41.7 -
    tracking (Wang and Gupta 2015): - - 63.1 47.2 -
    context: 44.7† 55.1 65.3 51.1 -
    shuffled frames (Misra et al. 2016): - - - 42.4 -
    inpainting: - - 56.5 44.5 29.7
    BiGAN: - 52.3 60.1 46.9 35.2
    sound (Owens et al. 2016): - 52.3 61.3 44.0 -
    moving objects (Pathak et al. 2017): - - 61.0 52.2 -
    colorization, grey input: 52.4† 61.5 65.9 46.1† 35.0†
    colorization, colour input: 52.4† 61.5† 65.6† 46.9 35.6
    colorization (Larsson et al. 2017): - - 65.9 - 38.4
    split-brain: - 63.0 67.1 46.7 36.0
"""


def test_every_pascal_cell_is_the_papers_and_marked_where_it_could_not_be_read():
    typed = dict(line.strip().split(": ") for line in PASCAL_CELLS.strip().splitlines())
    assert PASCAL_SIDE_BY_SIDE.columns == (
        "Classification, fc8: mAP",
        "Classification, fc6-8: mAP",
        "Classification, all: mAP",
        "Detection, all: mAP",
        "Segmentation, all: mIU",
    )
    shown = {
        method: " ".join(published_number(number) or "-" for number in numbers)
        for method, numbers in PASCAL_SIDE_BY_SIDE.rows.items()
    }
    assert shown == typed
    assert PASCAL_SIDE_BY_SIDE.from_memory
    assert {task for task, table in PASCAL.items() if table.from_memory} == {"finetune", "detect", "segment"}


@pytest.mark.parametrize(
    ("task", "protocol", "metric"),
    [
        ("finetune", "voc07", "mAP"),
        ("detect", "zhang16, fc", "AP50_11_point"),
        ("segment", "zhang16, fc7", "mIoU"),
    ],
)
def test_the_note_on_memory_stands_wherever_a_number_is_marked(task, protocol, metric):
    """In Markdown, LaTeX and the page, below a table of one's own."""
    tables = make_tables([record(task=task, protocol=protocol, metric=metric, stage="all")])
    (published,) = published_beside(task, protocol, metric)
    marked = sum(isinstance(of, FromMemory) for numbers in published.rows.values() for of in numbers)
    for text, sign in (
        (markdown(tables), "†"),
        (latex(tables), r"$^\dagger$"),
        (render_page(tables, None, {}, [record(task=task)], []), "†"),
    ):
        assert "Quoted from memory: no readable source was at hand." in text
        assert text.count(sign) == marked + 2  # in the source and in the note


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
    assert read == {
        ("linear", "zhang16"),
        ("linear", "goyal19"),
        ("linear", "mae22"),
        ("finetune", "mae22"),
        ("detect", "moco_24k"),
    }


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
        ("places205", "zhang16", True),
        ("Places205 val", "zhang16", True),
        ("Places365", "zhang16", False),
        ("tiny-imagenet val", "zhang16", False),
        ("VOC2007 test", "zhang16", False),
        ("ImageNet", "zhang16, 112 px of 128", False),
    ],
)
def test_only_the_same_data_and_crop_are_comparable(data, protocol, comparable):
    (table,) = published_beside("linear", protocol, "top1", data)
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


def test_a_run_on_another_data_set_stands_beside_the_numbers_on_imagenet_alone():
    assert [of.data for of in published_beside("linear", "zhang16", "top1", "imagenette")] == ["ImageNet val"]
    text = markdown(make_tables([record(data="Places205")]))
    assert "### Published, on Places205 val" in text
    assert "ImageNet val" not in text
    assert "The same test images, protocol and measure as above" in text
