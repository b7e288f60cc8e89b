"""All tasks of one checkpoint side by side: which numbers stand there, and what is said of them."""

import statistics

import pytest

from tests.transfer.table.made_records import record
from transfer.table.overview import make_overview
from transfer.table.text import markdown


def finetuned(**changes):
    return record(**{"task": "finetune", "protocol": "voc07", "metric": "mAP", "stage": "all"} | changes)


def detected(**changes):
    own = {"task": "detect", "protocol": "zhang16, dc5 conv5", "metric": "AP50", "stage": "all"}
    return record(**own | changes)


def segmented(**changes):
    own = {"task": "segment", "data": "VOC2012 segval11", "protocol": "zhang16, fc7", "metric": "mIoU"}
    return record(**own | {"stage": "all"} | changes)


def shown(overview):
    """Backbone -> head of a column -> its values."""
    heads = dict(zip(overview.columns, overview.heads(), strict=True))
    return {row.label: {heads[key]: of.values for key, of in row.cells.items()} for row in overview.rows}


def test_a_row_has_all_tasks_of_a_backbone_and_a_number_is_the_mean_over_seeds():
    overview = make_overview(
        [
            *(
                finetuned(stage=stage, seed=seed, value=40.0 + seed)
                for stage in ("all", "head")
                for seed in (0, 1, 2)
            ),
            *(detected(seed=seed, value=50.0 + 3 * seed) for seed in (0, 1)),
            segmented(value=30.0),
            finetuned(backbone="random", value=20.0),
        ]
    )
    assert shown(overview) == {
        "colorization": {
            "Fine-tuning, head: mAP (1)": (40.0, 41.0, 42.0),
            "Fine-tuning, all: mAP (1)": (40.0, 41.0, 42.0),
            "Object detection, all: AP50 (2)": (50.0, 53.0),
            "Semantic segmentation, all: mIoU (3)": (30.0,),
        },
        "random": {"Fine-tuning, all: mAP (1)": (20.0,)},
    }
    assert statistics.stdev((50, 53)) == pytest.approx(2.121, abs=1e-3)
    text = " ".join(markdown([], overview).split())
    assert "| colorization | 3 | 41.0 ± 1.0 | **41.0** ± 1.0 | 51.5 ± 2.1 (n = 2) | 30.0 (n = 1) |" in text
    assert "| random | 1 | | 20.0 | | |" in text


@pytest.mark.parametrize(
    "records",
    [
        [finetuned(), finetuned(stage="head"), record(task="svm"), record(task="knn")],
        [detected(), segmented(chosen_on="test")],
        [detected(), segmented(metric="aAcc")],
        [record(), record(task="svm")],
    ],
    ids=["classification alone", "chosen on the test images", "no headline metric", "frozen features"],
)
def test_of_fewer_than_two_tasks_there_is_no_overview(records):
    assert make_overview(records) is None


@pytest.mark.parametrize(
    "change",
    [
        {"data": "VOC2012 val"},
        {"protocol": "plain, dc5 conv5"},
        {"settings": {"batch_size": 4}},
        {"stage": "head"},
        {"metric": "AP50_11_point"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_numbers_of_another_data_set_protocol_setting_training_or_measure_are_in_another_column(change):
    overview = make_overview(
        [segmented(), detected(value=40.0), detected(backbone="b", value=60.0, **change)]
    )
    detections = [
        [values for head, values in of.items() if head.startswith("Object detection")]
        for of in shown(overview).values()
    ]
    assert detections == [[(40.0,)], [(60.0,)]]
    assert len(overview.columns) == 3
    assert not overview.best


def test_both_settings_of_one_backbone_are_shown_and_told_in_the_notes():
    overview = make_overview(
        [finetuned(), segmented(value=30.0), segmented(value=35.0, settings={"batch_size": 8})]
    )
    (row,) = overview.rows
    assert [row.cells[key].values for key in overview.columns[1:]] == [(30.0,), (35.0,)]
    assert overview.column_notes() == [
        "(1) Fine-tuning on VOC2007 test, voc07.",
        "(2) Semantic segmentation on VOC2012 segval11, zhang16, fc7.",
        "(3) Semantic segmentation on VOC2012 segval11, zhang16, fc7, with batch size = 8.",
    ]


def test_settings_that_all_rows_share_are_told_in_the_notes_too():
    changed = {"settings": {"batch_size": 4, "lr": 0.005}}
    overview = make_overview([finetuned(), detected(**changed), detected(backbone="b", **changed)])
    assert overview.column_notes()[1].endswith(
        "zhang16, dc5 conv5, with batch size = 4, learning rate = 0.005."
    )


def test_a_second_measure_of_the_same_runs_is_left_to_their_own_table():
    both = [finetuned(metric="mAP_11_point", value=49.0), finetuned()]
    overview = make_overview([*both, segmented()])
    assert shown(overview)["colorization"]["Fine-tuning, all: mAP (1)"] == (50.0,)
    assert len(overview.columns) == 2


def test_two_networks_of_one_name_and_seed_have_a_row_each():
    other = "cd" * 32
    overview = make_overview([finetuned(), segmented(weights=other), segmented(backbone="b")])
    assert [row.label for row in overview.rows] == [
        "colorization, weights abababababab",
        "colorization, weights cdcdcdcdcdcd",
        "b",
    ]
    of_seeds = make_overview(
        [finetuned(), finetuned(weights=other, seed=1), segmented(weights=other, seed=1)]
    )
    assert [row.label for row in of_seeds.rows] == ["colorization"]


def test_the_papers_table_stands_beside_and_says_which_columns_compare():
    records = [finetuned(), detected(metric="AP50_11_point"), segmented()]
    text = markdown([], make_overview(records))
    row = "| colorization, grey input | 52.4† | 61.5 | 65.9 | 46.1† | 35.0† |"
    assert row in " ".join(text.split())
    # The paper's detector has fc6 and fc7 of the network behind the boxes, which no detector here has.
    assert "Of these test images, protocols and measures: (1), (3) above, comparable where" in text
    assert "The others are not comparable." in text
    assert "† Quoted from memory: no readable source was at hand." in text


def test_changed_settings_compare_with_no_published_number():
    changed = {"settings": {"steps": 100}}
    notes = make_overview([finetuned(**changed), segmented(settings={"lr": 1.0})]).pascal_notes()
    assert "Nothing above is of these test images, protocols and measures: not comparable." in notes
