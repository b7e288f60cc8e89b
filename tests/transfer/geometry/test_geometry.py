"""RankMe and linear CKA, against their definitions and their invariants."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfer.config import BackboneConfig
from transfer.geometry import measures
from transfer.geometry.config import GeometryConfig
from transfer.geometry.measures import effective_rank, linear_cka
from transfer.geometry.run import run
from transfer.results import read_records
from transfer.table.comparison import make_tables

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred rows are several blocks."""
    monkeypatch.setattr(measures, "ROWS", 64)


@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (150, 150)])
def test_the_effective_rank_is_that_of_the_singular_values_of_the_paper(shape: tuple[int, int]) -> None:
    features = RNG.normal(size=shape) * np.geomspace(1, 0.01, shape[1])
    values = np.linalg.svd(features, compute_uv=False)
    shares = values / values.sum() + 1e-7
    assert effective_rank(features) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-5)


def test_the_effective_rank_counts_directions_of_equal_length() -> None:
    orthogonal, _ = np.linalg.qr(RNG.normal(size=(200, 12)))
    assert effective_rank(orthogonal) == pytest.approx(12, rel=1e-4)
    assert effective_rank(np.outer(np.arange(1, 201), np.ones(12))) == pytest.approx(1, abs=1e-4)


def centred_kernel_alignment(one: np.ndarray, other: np.ndarray) -> float:
    """Kornblith et al. (2019), equations 2 and 3: HSIC of centred kernels, normalised."""
    count = len(one)
    centre = np.eye(count) - np.ones((count, count)) / count

    def hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
        return np.trace(k @ centre @ l @ centre) / (count - 1) ** 2

    k, l = one @ one.T, other @ other.T  # noqa: E741
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


@pytest.mark.parametrize("shape", [(300, 20, 30), (25, 80, 10), (100, 90, 120)])
def test_linear_cka_is_that_of_the_paper(shape: tuple[int, int, int]) -> None:
    count, dimensions, others = shape
    one = RNG.normal(size=(count, dimensions)) + 3
    other = one[:, :1] + RNG.normal(size=(count, others))
    assert linear_cka(one, other) == pytest.approx(centred_kernel_alignment(one, other), rel=1e-9)


def test_linear_cka_does_not_see_rotations_scales_and_shifts_but_other_maps() -> None:
    one = RNG.normal(size=(300, 10)) * np.arange(1, 11)
    rotation, _ = np.linalg.qr(RNG.normal(size=(10, 10)))
    assert linear_cka(one, 0.1 * one @ rotation + 7) == pytest.approx(1)
    assert linear_cka(one, one / np.arange(1, 11)) < 0.9


def test_every_stage_and_pair_of_stages_has_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    for number in range(9):
        pixels = RNG.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{number}.png")
    (tmp_path / "images/5.png").write_bytes(b"no picture")
    config = GeometryConfig(
        backbone=BackboneConfig(model="random:eccv16", width=0.125),
        other=BackboneConfig(model="random:eccv16", width=0.25),
        images=str(tmp_path / "images"),
        out=str(tmp_path / "out"),
        cache=None,
        stages=["conv1", "conv5"],
        image_size=40,
        crop_size=32,
        num_workers=0,
        device="cpu",
    )
    run(config)
    records = read_records([tmp_path / "out"])
    assert all(bool(of.best) == (of.metric != "cka") for of in make_tables(records) if len(of.rows) > 1)
    ranks = {record.stage: record for record in records if record.metric == "effective_rank"}
    assert list(ranks) == ["conv1", "conv5"]
    assert all(1 <= record.value <= 8 for record in ranks.values())  # there are eight images to read
    assert ranks["conv1"].details == {
        "images": 8,
        "broken_images": 1,
        "precision": "float32",
        "dimensions": 8,
    }
    alignments = {
        (record.stage, record.settings["other_stage"]): record.value
        for record in records
        if record.metric == "cka"
    }
    assert len(alignments) == 4
    assert all(0 <= value <= 100 for value in alignments.values())
    assert {record.settings.get("other") for record in records} == {None, "random eccv16 x0.25"}
    assert "CKA conv5" in capsys.readouterr().out
    run(config)
    assert read_records([tmp_path / "out"]) == records
