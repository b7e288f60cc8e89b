"""Which methods a report marks as leading."""

import math

import pytest

from eval_colorization.report.standings import printed, standings
from eval_colorization.results import Summary


def summary(value: float, low: float | None = None, high: float | None = None) -> Summary:
    return Summary(value=value, low=low, high=high, images=10)


def test_the_highest_psnr_but_for_the_truth_is_best_and_those_whose_intervals_overlap_it_are_level():
    methods = {
        "a": {"psnr": summary(24.0, 23.0, 25.0)},
        "b": {"psnr": summary(23.0, 22.0, 23.5)},
        "c": {"psnr": summary(20.0, 19.0, 21.0)},
        "truth": {"psnr": summary(math.inf)},
    }
    assert standings(methods, "psnr") == {"a": "best", "b": "level", "c": "behind"}


def test_where_lower_is_better_the_lowest_is_best_and_equal_values_share_the_place():
    methods = {name: {"ab_rmse": summary(value)} for name, value in (("a", 12.0), ("b", 12.0), ("c", 13.0))}
    assert standings(methods, "ab_rmse") == {"a": "best", "b": "best", "c": "behind"}


def test_a_signed_difference_is_judged_by_its_distance_from_zero_on_either_side():
    methods = {
        "a": {"colourfulness_difference": summary(-2.0, -3.0, -1.0)},
        "b": {"colourfulness_difference": summary(2.5, 1.5, 3.5)},
        "c": {"colourfulness_difference": summary(-9.0, -10.0, -8.0)},
        "d": {"colourfulness_difference": summary(4.0, -1.0, 9.0)},
    }
    assert standings(methods, "colourfulness_difference") == {
        "a": "best",
        "b": "level",
        "c": "behind",
        "d": "level",
    }


def test_colourfulness_is_best_where_it_is_nearest_to_the_truths_not_where_it_is_greatest():
    methods = {
        "a": {"colourfulness": summary(60.0)},
        "b": {"colourfulness": summary(38.0)},
        "truth": {"colourfulness": summary(40.0)},
    }
    assert standings(methods, "colourfulness") == {"a": "behind", "b": "best"}
    del methods["truth"]
    assert standings(methods, "colourfulness") == {}


def test_a_method_without_the_metric_or_with_nan_has_no_standing():
    methods = {"a": {"fid": summary(math.nan)}, "b": {"fid": summary(30.0)}, "c": {"ssim": summary(0.9)}}
    assert standings(methods, "fid") == {"b": "best"}


@pytest.mark.parametrize(
    ("value", "text"), [(27.314, "27.31"), (-0.5, "-0.50"), (math.inf, "inf"), (math.nan, "-")]
)
def test_a_number_is_printed_with_its_metrics_digits(value, text):
    assert printed(value, 2) == text
