import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from pretext.runtime.command_line import RunFailedError
from tests.end_to_end.small_run import TORCHRUN, finish
from transfer.classification import average_precision
from transfer.config import BackboneConfig, DataConfig
from transfer.data.labelled import open_labelled
from transfer.linear_svms import class_svm
from transfer.linear_svms import run as svm
from transfer.linear_svms.config import SvmConfig
from transfer.linear_svms.run import one_vs_rest
from transfer.results import read_records

COSTS = [1e-4, 0.01, 1.0]


@pytest.fixture
def config(tmp_path):
    """SVMs of seconds on the photographs of `sample`, a class each: two images to train on, one to test."""
    return SvmConfig(
        backbone=BackboneConfig(model="random:eccv16", width=0.125),
        data=DataConfig(train="sample", test="sample", image_size=40, crop_size=32, num_workers=0),
        cache=str(tmp_path / "cache"),
        stages=["conv2", "conv5"],
        out=str(tmp_path / "svm"),
        costs=COSTS,
        device="cpu",
    )


@pytest.fixture
def voc(config, tmp_path):
    """SVMs on a folder in the layout of VOC: noise whose colours are the classes; some images are "difficult"."""
    rng, root = np.random.default_rng(0), tmp_path / "VOC2007"
    lists, photographs = root / "ImageSets" / "Main", root / "JPEGImages"
    lists.mkdir(parents=True)
    photographs.mkdir()
    for split, num_images in (("trainval", 30), ("test", 20)):
        labels = rng.choice([1, -1, -1, 0], (num_images, 3))
        labels[:3] = 2 * np.eye(3, dtype=int) - 1
        for name, column in zip(("cat", "dog", "horse"), labels.T, strict=True):
            lines = [f"{split}{i:02} {label:2}\n" for i, label in enumerate(column)]
            (lists / f"{name}_{split}.txt").write_text("".join(lines))
        for i, row in enumerate(labels):
            pixels = 120 + 25 * row + rng.normal(0, 40, (36, 44, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(photographs / f"{split}{i:02}.jpg")
    data = dataclasses.replace(config.data, train=f"voc:{root}:trainval", test=f"voc:{root}:test")
    return dataclasses.replace(config, data=data)


def run(config, **changes):
    """Train SVMs with these changes; the records."""
    config = dataclasses.replace(config, **changes)
    svm.run(config)
    return read_records([Path(config.out)])


def cached_features(config, stage):
    """Of the training and of the test images, of which there are fewer, as unit vectors."""
    files = sorted(Path(config.cache).rglob(f"{stage}.npy"), key=lambda path: -path.stat().st_size)
    return [normalize(np.load(path).astype(np.float64)) for path in files]


def test_on_voc_the_precisions_are_those_of_scikit_learns_grid_search_without_the_difficult_images(voc):
    records = run(voc)
    assert {(record.stage, record.metric) for record in records} == {
        (stage, metric) for stage in ("conv2", "conv5") for metric in ("mAP", "mAP_11_point")
    }
    train, test = open_labelled(voc.data)
    for record in records:
        train_features, test_features = cached_features(voc, record.stage)
        kind = {"mAP": "area", "mAP_11_point": "11_point"}[record.metric]
        found = record.details[{"mAP": "ap", "mAP_11_point": "ap_11_point"}[record.metric]]
        for name, labels, test_labels in zip(train.classes, train.labels.T, test.labels.T, strict=True):
            known = labels != 0
            search = GridSearchCV(
                LinearSVC(class_weight={1: 2, -1: 1}, dual=True, max_iter=2000, random_state=0),
                {"C": COSTS},
                scoring="average_precision",
                cv=StratifiedKFold(3, shuffle=True, random_state=0),
            ).fit(train_features[known], labels[known])
            scores = search.decision_function(test_features)
            assert record.details["cost"][name] == search.best_params_["C"]
            assert found[name] == pytest.approx(100 * average_precision(scores, test_labels, kind))
        assert record.value == pytest.approx(np.mean(list(found.values())))


def test_on_the_sample_there_is_an_svm_for_each_photograph_and_the_highest_score_gives_top1(config, capsys):
    records = run(config)
    assert [(record.stage, record.metric) for record in records] == [
        (stage, metric) for stage in ("conv2", "conv5") for metric in ("mAP", "mAP_11_point", "top1")
    ]
    top1 = records[2]
    assert (top1.task, top1.data, top1.protocol) == ("svm", "sample", "goyal19, 32 px of 40")
    assert top1.value in [100 * right / 5 for right in range(6)]
    assert top1.details["folds"] == dict.fromkeys(top1.details["cost"], 2)  # as many as images of a class
    assert top1.details["svms"] == 5 * (2 * len(COSTS) + 1)
    assert (top1.details["train_images"], top1.details["test_images"]) == (10, 5)
    header, *rows, last = capsys.readouterr().out.splitlines()[-4:]
    assert header.split() == ["stage", "mAP", "mAP_11_point", "top1"]
    assert [row.split()[0] for row in rows] == ["conv2", "conv5"]
    assert rows[0].split()[3] == f"{top1.value:.2f}"
    assert last == f"results     {config.out}/results.jsonl"
    assert yaml.safe_load((Path(config.out) / "config.yaml").read_text()) == dataclasses.asdict(config)


def test_one_vs_rest_labels_are_1_for_the_class_of_an_image_and_minus_1_for_all_others(config):
    train, _ = open_labelled(config.data)
    labels = one_vs_rest(train)
    assert np.array_equal(labels.argmax(axis=1), train.labels)
    assert (labels.sum(axis=1) == 2 - len(train.classes)).all()


def test_the_same_seed_gives_the_same_results_also_with_new_features(voc, tmp_path):
    one = run(voc, shots=[2])
    again = run(voc, shots=[2], cache=str(tmp_path / "another"), out=str(tmp_path / "again"))
    assert one == again


@pytest.mark.slow
def test_two_processes_find_what_one_finds(config, tmp_path):
    one = run(config)
    argv = ["svm", f"--out={tmp_path / 'two'}", "--device=cpu", f"--costs={COSTS}"]
    argv += ["--backbone.model=random:eccv16", "--backbone.width=0.125"]
    argv += ["--data.train=sample", "--data.test=sample", "--data.num_workers=0"]
    argv += ["--data.image_size=40", "--data.crop_size=32"]
    argv += [f"--cache={tmp_path / 'cache of two'}", "--stages=[conv2, conv5]"]
    argv += ["--protocol=goyal19"]
    finish(argv, launcher=(*TORCHRUN, "-m", "transfer"))
    two = read_records([tmp_path / "two"])
    assert [(r.stage, r.metric) for r in two] == [(r.stage, r.metric) for r in one]
    assert [r.value for r in two] == pytest.approx([r.value for r in one], abs=1e-3)


def test_low_shot_has_a_record_for_each_draw_and_prints_mean_and_deviation(voc, capsys):
    records = run(voc, shots=[1, 2], samples=3)
    assert {record.task for record in records} == {"low_shot_svm"}
    of_conv5 = [record for record in records if (record.stage, record.metric) == ("conv5", "mAP")]
    assert [record.settings for record in of_conv5] == [
        {"shots": shots, "sample": sample} for shots in (1, 2) for sample in range(3)
    ]
    for record in of_conv5:
        shots = record.settings["shots"]
        assert set(record.details["folds"].values()) == {0 if shots == 1 else 2}
    values = [record.value for record in of_conv5[3:]]
    printed = capsys.readouterr().out
    assert f"conv5      2  {np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in printed
    assert (
        "conv5: cost 1 without cross-validation, for which there are too few images, of cat (1 shot)"
        in printed
    )


def test_low_shot_with_every_image_of_every_class_is_the_svm_on_all_images(config, tmp_path):
    on_all, on_two = run(config), run(config, shots=[2], samples=1, out=str(tmp_path / "low shot"))
    assert [record.value for record in on_two] == [record.value for record in on_all]


def test_svms_that_did_not_converge_are_counted_and_their_classes_named(voc, monkeypatch, capsys):
    monkeypatch.setattr(class_svm, "MAX_ITERATIONS", 2)
    (record, *_) = run(voc, costs=[1.0])
    assert record.details["not_converged"] == 3
    assert record.details["not_converged_classes"] == ["cat", "dog", "horse"]
    printed = capsys.readouterr().out
    assert (
        "conv2: 3 of 3 SVMs stopped at 2000 iterations without having converged, also the final ones of "
        in printed
    )


def test_unreadable_images_are_left_out_of_training_and_of_testing(voc, tmp_path, capsys):
    photographs = tmp_path / "VOC2007" / "JPEGImages"
    for name in ("trainval10", "test10"):
        (photographs / f"{name}.jpg").write_bytes(b"no image")
    (record, *_) = run(voc, data=dataclasses.replace(voc.data, max_broken_share=0.1))
    assert (record.details["broken_train_images"], record.details["broken_test_images"]) == (1, 1)
    assert record.details["test_images"] == 19
    assert "trainval10" in capsys.readouterr().out
    with pytest.raises(RunFailedError, match="could not be read"):
        run(voc, data=dataclasses.replace(voc.data, max_broken_share=0.0), out=str(tmp_path / "strict"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 1}, "folds is 1, expected 2 or more"),
        ({"num_jobs": 0}, "num_jobs is 0, expected 1 or more"),
        ({"samples": 0}, "samples is 0, expected 1 or more"),
        ({"shots": [4, 0]}, r"shots is \[4, 0\], expected 1 or more"),
        ({"shots": []}, r"shots is \[\], expected 1 or more"),
        ({"costs": []}, r"costs is \[\], expected numbers above 0"),
        ({"costs": [1.0, -1.0]}, r"costs is \[1.0, -1.0\], expected numbers above 0"),
        ({"shots": [1, 3]}, "3 positive training images of each class are needed, but 'astronaut' has 2"),
    ],
)
def test_what_cannot_be_run_is_refused_before_features_are_extracted(config, changes, message):
    with pytest.raises(ValueError, match=message):
        run(config, **changes)
    assert not Path(config.cache).exists()
