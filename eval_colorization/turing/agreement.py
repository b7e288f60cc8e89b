"""Agreement between people who judged the same things."""

import numpy as np
from jaxtyping import Int


def krippendorff_alpha(counts: Int[np.ndarray, "units categories"]) -> float | None:
    """Krippendorff's alpha for nominal data: 1 is perfect agreement, 0 what chance gives, below 0 opposition.

    Args:
        counts: how many observers put each unit into each category. Units differ in their number of observers
            where answers are missing; those of fewer than two say nothing and are left out.

    None where it is not defined: no unit has two observers, or only one category was ever used.
    Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C.
    """
    observers = counts.sum(axis=1)
    pairable = counts[observers >= 2]
    observers = observers[observers >= 2, None]
    of_category = pairable.sum(axis=0)
    num_values = of_category.sum()
    if np.count_nonzero(of_category) < 2:
        return None
    observed = (pairable * (observers - pairable) / (observers - 1)).sum() / num_values
    expected = (of_category * (num_values - of_category)).sum() / (num_values * (num_values - 1))
    return float(1 - observed / expected)
