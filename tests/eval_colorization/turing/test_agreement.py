"""Krippendorff's alpha against the examples of its author."""

import numpy as np
import pytest

from eval_colorization.turing.fooling import krippendorff_alpha


def test_alpha_of_krippendorff_s_nominal_example_with_missing_data_is_0_743() -> None:
    """Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units."""
    observers = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
        (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
    )
    counts = np.array([[unit.count(value) for value in range(1, 6)] for unit in zip(*observers, strict=True)])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=0.0005)


def test_alpha_of_krippendorff_s_binary_example_of_two_observers_is_0_095() -> None:
    """The same paper, section A: ten units."""
    meg = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0)
    owen = (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    counts = np.array([[2 - m - o, m + o] for m, o in zip(meg, owen, strict=True)])
    assert krippendorff_alpha(counts) == pytest.approx(0.095, abs=0.0005)


def test_alpha_is_1_for_perfect_agreement_and_about_0_for_chance() -> None:
    assert krippendorff_alpha(np.array([[3, 0], [0, 3], [0, 2]])) == 1
    fooled = np.random.default_rng(12).binomial(5, 0.3, size=2000)
    assert krippendorff_alpha(np.stack([fooled, 5 - fooled], axis=1)) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("counts", [[[1, 0], [0, 1]], [[3, 0], [2, 0]]])
def test_alpha_is_not_defined_without_two_answers_to_a_pair_or_two_values(counts: list[list[int]]) -> None:
    assert krippendorff_alpha(np.array(counts)) is None
