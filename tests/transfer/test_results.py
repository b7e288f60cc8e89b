"""The records that commands write and the table reads."""

import importlib.metadata
from importlib.metadata import PackageNotFoundError, version

import pytest

from pretext.runtime.run_dir import describe_environment
from transfer.frameworks import module_version
from transfer.results import Record, read_records, write_records


def record(**changes):
    fields = {
        "task": "linear",
        "data": "VOC2007 test",
        "protocol": "zhang16",
        "backbone": "colorization",
        "weights": "ab" * 32,
        "stage": "conv1",
        "metric": "top1",
        "value": 100 / 3,
        "seed": 0,
        "settings": {"lr": 0.01},
        "details": {"epoch": 28, "cost": {"dog": 0.5}},
    }
    return Record(**fields | changes)


def test_a_record_is_read_as_it_was_written_to_the_last_bit(tmp_path):
    written = [record(), record(stage="conv2", chosen_on="test", value=0.1 + 0.2)]
    path = write_records(tmp_path, written)
    assert path == tmp_path / "results.jsonl"
    assert read_records([path]) == written


def test_a_record_names_the_versions_that_computed_it():
    assert record().versions["torch"] == version("torch")
    assert record().versions["colorization-benchmark"] == version("colorization-benchmark")


@pytest.fixture
def no_metadata(monkeypatch):
    """As in a source tree, or in a container whose packages were stripped."""

    def not_there(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", not_there)


def test_a_version_that_cannot_be_known_is_recorded_as_unknown(no_metadata, tmp_path):
    write_records(tmp_path, [record()])
    assert set(read_records([tmp_path])[0].versions.values()) == {"unknown"}
    assert set(describe_environment()["packages"].values()) == {"unknown"}
    assert module_version("numpy") == module_version("no_such_module") == "unknown"


def test_a_version_of_a_package_whose_metadata_are_empty_is_unknown(monkeypatch, tmp_path):
    (tmp_path / "torch-2.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert record().versions["torch"] == "unknown"


def test_a_second_call_of_a_command_replaces_its_records(tmp_path):
    write_records(tmp_path, [record(), record(stage="conv2")])
    write_records(tmp_path, [record(value=50.0)])
    assert [record.value for record in read_records([tmp_path])] == [50.0]


def test_a_folder_gives_all_records_below_it_and_a_file_given_twice_counts_once(tmp_path):
    for seed in range(3):
        (tmp_path / "linear" / str(seed)).mkdir(parents=True)
        write_records(tmp_path / "linear" / str(seed), [record(seed=seed)])
    read = read_records([tmp_path, tmp_path / "linear" / "1" / "results.jsonl"])
    assert [record.seed for record in read] == [0, 1, 2]


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no results at .*nowhere"):
        read_records([tmp_path / "nowhere"])


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no results\.jsonl in .*--out"):
        read_records([tmp_path])


@pytest.mark.parametrize("line", ["{", '{"task": "linear"}', '{"tusk": 1}', "[1]", "3"])
def test_a_line_that_is_no_record_is_named_with_its_file_and_number(tmp_path, line):
    path = write_records(tmp_path, [record()])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"results\.jsonl, line 2 is not a result record"):
        read_records([tmp_path])
