"""Weighted nearest neighbours, against scikit-learn."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.measure import peak_tensor_memory
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from tests.transfer.data.small_data import write_image_folders, write_voc
from transfer.config import BackboneConfig, SelectionDataConfig
from transfer.features.files import Features
from transfer.nearest_neighbours import search as module
from transfer.nearest_neighbours.config import KnnConfig
from transfer.nearest_neighbours.run import count_votes, run
from transfer.nearest_neighbours.search import MIB, nearest_neighbours
from transfer.results import read_records

CPU = torch.device("cpu")
TEMPERATURE = 0.07
NUM_CLASSES = 5


@pytest.fixture
def small_tiles(monkeypatch):
    """So that a few hundred images are many tiles."""
    monkeypatch.setattr(module, "TILE", 32)


def saved(path: Path, array: np.ndarray, unreadable: tuple[int, ...] = ()) -> Features:
    np.save(path, array.astype(np.float32))
    kept = np.ones(len(array), bool)
    kept[list(unreadable)] = False
    return Features(path=path, kept=kept)


@pytest.fixture
def train_and_test(tmp_path):
    """300 and 70 images with 24 features."""
    rng = np.random.default_rng(0)
    return (
        saved(tmp_path / "train.npy", rng.normal(size=(300, 24))),
        saved(tmp_path / "test.npy", rng.normal(size=(70, 24))),
    )


def labels(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, NUM_CLASSES, count)


def fitted(train: Features, k: int) -> KNeighborsClassifier:
    classifier = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distances: np.exp((1 - distances) / TEMPERATURE)
    )
    return classifier.fit(train.open(), labels(len(train.kept)))


@pytest.mark.parametrize("k", [1, 10, 100])  # fewer and more than a tile has
def test_neighbours_and_predictions_are_those_of_scikit_learn(train_and_test, small_tiles, k):
    train, test = train_and_test
    expected = fitted(train, k)
    similarities, indices = nearest_neighbours(train, test, k, MIB, CPU)
    distances, expected_indices = expected.kneighbors(test.open())
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(1 - similarities.numpy(), distances, atol=1e-5)
    votes = count_votes(similarities, indices, labels(300), NUM_CLASSES, TEMPERATURE)
    np.testing.assert_array_equal(votes.argmax(1), expected.predict(test.open()))


def test_where_images_have_several_classes_the_score_is_scikit_learns_probability(train_and_test):
    train, test = train_and_test
    similarities, indices = nearest_neighbours(train, test, 20, 1024 * MIB, CPU)
    one_of_each = np.where(labels(300)[:, None] == np.arange(NUM_CLASSES), 1, -1).astype(np.int8)
    shares = count_votes(similarities, indices, one_of_each, NUM_CLASSES, TEMPERATURE)
    np.testing.assert_allclose(shares, fitted(train, 20).predict_proba(test.open()), atol=1e-5)


def test_a_neighbour_for_which_a_class_is_left_open_has_no_vote_about_it():
    similarities, indices = torch.ones(1, 3), torch.tensor([[0, 1, 2]])
    voters = np.array([[1, 0, -1], [0, 0, -1], [-1, 0, 1]], np.int8)
    votes = count_votes(similarities, indices, voters, 3, TEMPERATURE)
    torch.testing.assert_close(votes, torch.tensor([[1 / 2, 0, 1 / 3]]))


def test_votes_at_a_temperature_near_zero_are_those_of_the_nearest_alone():
    similarities, indices = torch.tensor([[0.9, 0.8, 0.7]]), torch.tensor([[0, 1, 2]])
    votes = count_votes(similarities, indices, np.array([0, 1, 1]), 2, 1e-6)
    torch.testing.assert_close(votes, torch.tensor([[1.0, 0.0]]))


def test_of_equally_near_images_the_first_come_first(tmp_path, small_tiles):
    places = np.random.default_rng(0).integers(0, 4, 200)
    train, test = saved(tmp_path / "train.npy", np.eye(4)[places]), saved(tmp_path / "test.npy", np.eye(4))
    similarities, indices = nearest_neighbours(train, test, 120, MIB, CPU)
    expected = (np.eye(4) @ np.eye(4)[places].T).astype(np.float32)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :120]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(similarities, np.take_along_axis(expected, order, axis=1))


def test_an_unreadable_image_is_nobodys_neighbour(train_and_test, tmp_path, small_tiles):
    train, test = train_and_test
    unreadable = (0, 31, 32, 299)
    others = np.delete(np.arange(300), unreadable)
    some = saved(tmp_path / "some.npy", train.open(), unreadable)
    _, indices = nearest_neighbours(some, test, len(others), 2 * MIB, CPU)
    assert not set(unreadable) & set(indices.flatten().tolist())
    without = saved(tmp_path / "without.npy", train.open()[others])
    _, expected = fitted(without, 50).kneighbors(test.open())
    np.testing.assert_array_equal(indices[:, :50], others[expected])


def test_the_result_is_the_same_bit_for_bit_and_the_peak_is_within_the_limit_for_any_memory(
    tmp_path, small_tiles
):
    rng = np.random.default_rng(0)
    train = saved(tmp_path / "train.npy", rng.normal(size=(700, 256)))
    test = saved(tmp_path / "test.npy", rng.normal(size=(1000, 256)))
    results, peaks = [], []
    for limit in (MIB // 2, MIB, 1024 * MIB):
        peak = peak_tensor_memory(
            lambda limit=limit: results.append(nearest_neighbours(train, test, 10, limit, CPU))
        )
        assert peak <= limit
        peaks.append(peak)
    assert peaks == sorted(set(peaks))  # the limits did make a difference
    for similarities, indices in results[1:]:
        assert torch.equal(similarities, results[0][0])
        assert torch.equal(indices, results[0][1])


def test_the_smallest_memory_that_a_complaint_names_is_enough(tmp_path):
    rng = np.random.default_rng(0)
    train = saved(tmp_path / "train.npy", rng.normal(size=(50, 2000)))
    with pytest.raises(ValueError, match=r"memory is 3 MiB, .* 2000 features need at least") as complaint:
        nearest_neighbours(train, train, 5, 3 * MIB, CPU)
    least = int(str(complaint.value).split()[-2]) * MIB
    assert peak_tensor_memory(lambda: nearest_neighbours(train, train, 5, least, CPU)) <= least
    with pytest.raises(ValueError, match="memory is"):
        nearest_neighbours(train, train, 5, least - MIB, CPU)


@pytest.fixture
def config(tmp_path):
    return KnnConfig(
        backbone=BackboneConfig(model="random:eccv16", width=0.125),
        data=SelectionDataConfig(train="sample", test="sample", image_size=40, crop_size=32, num_workers=0),
        out=str(tmp_path / "out"),
        cache=str(tmp_path / "cache"),
        stages=["conv1", "conv5"],
        k=[2, 1, 5],
        device="cpu",
    )


def test_a_folder_that_cannot_take_the_results_is_refused_before_features_are_extracted(config, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match=r"out cannot be made a folder"):
        run(config)
    assert not (tmp_path / "cache").exists()


def test_results_are_kept_when_printing_them_fails(config, monkeypatch):
    def closed(text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    with pytest.raises(BrokenPipeError):
        run(dataclasses.replace(config, k=[1]))
    assert {record.settings["k"] for record in read_records([Path(config.out)])} == {1}


def results(config: KnnConfig) -> str:
    return (Path(config.out) / "results.jsonl").read_text()


def test_a_second_call_and_one_without_the_cache_give_the_same_results(config, tmp_path):
    run(config)
    first = results(config)
    records = read_records([Path(config.out)])
    assert [(record.stage, record.settings, record.metric) for record in records] == [
        (stage, {}, "top1") for stage in ("conv1", "conv5")
    ]
    assert {record.details["k"] for record in records} <= {1, 2, 5}
    assert records[0].details["chosen_among"] == {"k": [1, 2, 5]}
    assert {record.protocol for record in records} == {"zhang16, 32 px of 40"}
    assert {record.details["test_images"] for record in records} == {5}
    run(config)
    assert results(config) == first
    elsewhere = dataclasses.replace(config, cache=None, memory=300, out=str(tmp_path / "elsewhere"))
    assert run(elsewhere) == records


def test_another_run_or_other_weights_in_the_folder_are_refused(config, tmp_path):
    run(config)
    with pytest.raises(ValueError, match=r"k: \[2, 1, 5\] there, \[2\] now"):
        run(dataclasses.replace(config, k=[2]))
    state = load_checkpoint(tmp_path / "out/checkpoints/last.pt")
    save_checkpoint(tmp_path / "out/checkpoints/last.pt", state | {"backbone": "other"})
    with pytest.raises(ValueError, match="other weights now than when"):
        run(config)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/results.txt").write_text("")
    with pytest.raises(ValueError, match="it is not a run"):
        run(dataclasses.replace(config, out=str(tmp_path / "other")))


def test_images_are_their_own_nearest_neighbours(config, tmp_path):
    folder = str(write_image_folders(tmp_path / "folders") / "train")
    data = dataclasses.replace(config.data, train=folder, test=folder)
    run(dataclasses.replace(config, data=data, k=[1]))
    assert {record.value for record in read_records([Path(config.out)])} == {100.0}


def test_images_with_several_classes_are_scored_by_mean_average_precision(config, tmp_path):
    rng = np.random.default_rng(0)
    classes = {name: {f"{i}": int(rng.choice([1, -1])) for i in range(8)} for name in ("cat", "dog")}
    root = write_voc(tmp_path / "VOC", "val", classes)
    for number in range(8):
        pixels = rng.integers(0, 256, (40, 44, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"JPEGImages/{number}.jpg", quality=100)
    data = dataclasses.replace(config.data, train=f"voc:{root}:val", test=f"voc:{root}:val")
    run(dataclasses.replace(config, data=data, k=[1]))
    values = {(record.metric, record.value) for record in read_records([Path(config.out)])}
    assert values == {("mAP", 100.0), ("mAP_11_point", 100.0)}  # each image's neighbour is itself


def test_a_k_that_is_larger_than_the_training_set_is_left_out_and_named(config, capsys):
    run(dataclasses.replace(config, k=[100, 5, 20]))
    assert "left out: k = 20, 100, with 5 training images" in capsys.readouterr().out
    assert [json.loads(line)["details"]["k"] for line in results(config).splitlines()] == [5, 5]
    with pytest.raises(ValueError, match="there are 10 training images"):
        run(dataclasses.replace(config, k=[20], out=config.out + "20"))


def test_another_temperature_than_the_published_one_is_a_setting(config):
    run(dataclasses.replace(config, k=[1], temperature=0.1))
    assert [r.settings for r in read_records([Path(config.out)])] == [{"k": 1, "temperature": 0.1}] * 2


@pytest.mark.parametrize("wrong", [{"k": []}, {"k": [0, 1]}, {"temperature": 0.0}, {"memory": 0}])
def test_numbers_that_mean_nothing_are_named(config, wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} is "):
        run(dataclasses.replace(config, **wrong))
