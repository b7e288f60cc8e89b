"""How a report prints its numbers."""

import math

import pytest

from eval_colorization.report.printing import printed


@pytest.mark.parametrize(
    ("value", "text"), [(27.314, "27.31"), (-0.5, "-0.50"), (math.inf, "inf"), (math.nan, "-")]
)
def test_a_number_is_printed_with_its_metrics_digits(value, text):
    assert printed(value, 2) == text
