"""What another batch makes of a published schedule (Goyal et al. 2017: the linear scaling rule)."""

import pytest

from transfer.schedule import Schedule

PUBLISHED = Schedule(steps=24_000, batch_size=16, lr=0.02, warmup_steps=100)


def test_with_nothing_given_it_is_the_published_one():
    scaled = PUBLISHED.scaled(None, None, None)
    assert scaled == PUBLISHED
    assert scaled.changes_from(PUBLISHED) == {}
    assert scaled.described(PUBLISHED) == "24,000 steps of 16 images, learning rate 0.02"


def test_a_quarter_of_the_batch_has_a_quarter_of_the_rate_and_four_times_the_steps():
    scaled = PUBLISHED.scaled(None, 4, None)
    assert (scaled.steps, scaled.lr, scaled.warmup_steps) == (96_000, 0.005, 400)
    assert scaled.described(PUBLISHED) == (
        "96,000 (published: 24,000) steps of 4 (published: 16) images, learning rate 0.005 (published: 0.02)"
    )


def test_what_the_user_gives_is_taken_as_it_is():
    scaled = PUBLISHED.scaled(1200, 8, 0.1)
    assert (scaled.steps, scaled.lr, scaled.warmup_steps) == (1200, 0.1, 5)
    assert scaled.changes_from(PUBLISHED) == {"steps": 1200, "batch_size": 8, "lr": 0.1}


@pytest.mark.parametrize("key", ["steps", "batch_size", "lr"])
def test_a_value_that_is_not_positive_is_named(key):
    values = {"steps": None, "batch_size": None, "lr": None} | {key: 0.0 if key == "lr" else 0}
    with pytest.raises(ValueError, match=f"{key} is 0, expected a positive number"):
        PUBLISHED.scaled(**values)
