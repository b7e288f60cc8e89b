import numpy as np

from eval_colorization.evaluation import best_worst_median

ASCENDING = np.arange(101.0)


def test_a_small_set_is_shown_whole():
    assert best_worst_median(np.array([[3.0, 1.0, 2.0]]), 3) == [0, 1, 2]


def test_of_a_large_set_the_best_the_worst_and_the_median_of_every_method_are_shown():
    other = np.roll(ASCENDING, 30)  # 0 at place 30, 100 at place 29, the median at place 80
    assert best_worst_median(np.stack([ASCENDING, other]), 6) == [0, 29, 30, 50, 80, 100]


def test_the_number_asked_for_is_shown_though_methods_agree_on_the_best_and_worst():
    shown = best_worst_median(np.stack([ASCENDING, ASCENDING]), 9)
    assert shown == [0, 1, 2, 49, 50, 51, 98, 99, 100]
