"""Which records stand side by side, and what becomes of their seeds and settings."""

import numpy as np
import pytest

from tests.transfer.table.made_records import BASE, random_records, record, table_of
from transfer.table.comparison import make_tables
from transfer.table.figure import looks
from transfer.table.text import latex, markdown


def row_of(table, label):
    (row,) = [of for of in table.rows if of.label == label]
    return row


def test_a_cell_is_the_mean_and_the_sample_deviation_that_numpy_finds(tmp_path):
    values, records = random_records(tmp_path)
    table = table_of(*records)
    cells = table.rows[0].cells
    assert list(cells) == list(table.columns) == ["conv1", "conv2", "conv3"]
    np.testing.assert_allclose([cell.mean for cell in cells.values()], values.mean(1))
    np.testing.assert_allclose([cell.deviation for cell in cells.values()], values.std(1, ddof=1))
    printed = f"{values[0].mean():.1f} ± {values[0].std(ddof=1):.1f}"
    assert printed in markdown([table])
    assert printed.replace("±", r"$\pm$") in latex([table])


@pytest.mark.parametrize("field", ["task", "data", "protocol", "metric"])
def test_results_of_another_task_data_set_protocol_or_metric_are_in_another_table(field):
    tables = make_tables([record(), record(**{field: "zhang16, 112 px of 128"})])
    assert [getattr(table, field) for table in tables] == [getattr(BASE, field), "zhang16, 112 px of 128"]
    assert [len(table.rows[0].cells["conv1"].values) for table in tables] == [1, 1]


def chosen(on, **changes):
    details = {
        "lr": 0.1,
        "chosen_among": {"lr": [0.01, 0.1]},
        "chosen_by": f"top1 on 10 {on} images",
        on: {"top1": 45.0},
    }
    return record(chosen_on=on, **({"details": details} | changes))


def test_what_was_chosen_on_the_test_images_is_in_a_table_of_its_own_that_says_so():
    tables = make_tables([chosen("test", value=60.0), chosen("validation", value=55.0), record()])
    assert [table.chosen_on for table in tables] == ["validation", None, "test"]
    main, optimistic = markdown(tables).split("### Chosen on the test images (optimistic)")
    assert "60.0" not in main
    assert "60.0" in optimistic
    assert "learning rate among 0.01, 0.1; by top1 on 10 validation images." in main


def test_the_best_stage_is_that_of_the_highest_mean_on_the_validation_images():
    on_validation = {"conv1": (30.0, 50.0), "conv2": (45.0, 45.0)}
    records = [
        chosen(
            "validation",
            stage=stage,
            seed=seed,
            value=90.0 if stage == "conv1" else 10.0,
            details={"chosen_among": {}, "chosen_by": "top1", "validation": {"top1": value}},
        )
        for stage, values in on_validation.items()
        for seed, value in enumerate(values)
    ]
    table = table_of(*records)
    assert table.rows[0].chosen_column == "conv2"
    assert "The best column on the validation images: colorization: conv2." in markdown([table])
    assert table_of(record(), record(stage="conv2")).rows[0].chosen_column is None


def test_each_learning_rate_is_a_row():
    table = table_of(record(settings={"lr": 1.0}, value=90.0), record(settings={"lr": 0.1}, value=30.0))
    assert [row.label for row in table.rows] == [f"colorization, learning rate = {lr}" for lr in (1.0, 0.1)]


def test_each_k_is_a_row_and_a_backbones_rows_stand_together_in_one_colour():
    table = table_of(
        *(
            record(task="knn", backbone=backbone, settings={"k": k, "temperature": 0.07})
            for k in (10, 20)
            for backbone in ("a", "b")
        )
    )
    assert [row.label for row in table.rows] == [f"{of}, k = {k}" for of in "ab" for k in (10, 20)]
    colours = [look.colour for look in looks(table)]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert len({(look.colour, str(look.dashes)) for look in looks(table)}) == 4


def test_a_setting_of_all_rows_is_said_once_below_the_table():
    changed = {"epochs": 15, "batch_size": 32}
    records = [record(backbone=of, settings=changed) for of in "ab"]
    table = table_of(*records)
    assert [row.label for row in table.rows] == ["a", "b"]
    assert "All with epochs = 15, batch size = 32." in markdown([table])
    mixed = table_of(*records, record(backbone="c", settings={"epochs": 28}))
    assert [row.label for row in mixed.rows][::2] == ["a, epochs = 15, batch size = 32", "c, epochs = 28"]
    assert mixed.common == ()


def test_of_low_shot_results_the_shots_are_columns_and_the_mean_is_over_draws_and_seeds():
    values = np.random.default_rng(0).uniform(10, 60, (2, 2, 5))  # shots, seeds, draws
    table = table_of(
        *(
            record(
                task="low_shot_svm",
                settings={"shots": (16, 1)[shots], "sample": sample},
                seed=seed,
                value=float(value),
            )
            for (shots, seed, sample), value in np.ndenumerate(values)
        )
    )
    assert table.columns == ("1 shot", "16 shots")
    cells = row_of(table, "colorization, conv1").cells
    np.testing.assert_allclose(cells["16 shots"].mean, values[0].mean())
    np.testing.assert_allclose(cells["16 shots"].deviation, values[0].std(ddof=1))
    assert (table.count, table.rows[0].most) == ("draws", 10)


def test_stages_stand_in_order_of_depth_whatever_was_measured_first():
    orders = {
        "a": ["conv3", "conv5"],
        "b": ["conv1", "conv2", "conv3", "conv4", "conv5"],
        "c": ["layer1", "layer2"],
    }
    table = table_of(
        *(record(backbone=name, stage=stage) for name, order in orders.items() for stage in order)
    )
    assert table.columns == ("conv1", "conv2", "conv3", "conv4", "conv5", "layer1", "layer2")


def test_fine_tuned_layers_stand_from_the_head_to_all_as_in_the_paper():
    table = table_of(*(record(task="finetune", stage=stage) for stage in ("all", "fc6", "head")))
    assert table.columns == ("head", "fc6", "all")


def test_the_same_record_given_twice_is_one_value():
    assert table_of(record(), record(details={"host": "b"})).rows[0].most == 1


def test_one_name_and_seed_for_two_networks_is_an_error_that_names_both():
    with pytest.raises(
        ValueError, match=r"'colorization' with seed 0 is two networks.*abababababab and cdcdcdcdcdcd"
    ):
        make_tables([record(), record(weights="cd" * 32, stage="conv2")])


def test_several_pretrainings_may_share_a_name_where_their_seeds_differ():
    assert table_of(record(), record(weights="cd" * 32, seed=1)).rows[0].most == 2


def test_two_values_of_one_number_are_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"two values of top1 at conv1, 50 and 51.*abababababab"):
        make_tables([record(), record(value=51.0)])
