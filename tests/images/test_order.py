from itertools import chain

import numpy as np
import pytest

from pretext.images.order import (
    SHUFFLE_WINDOW,
    DataOrder,
    Sample,
    augmentation_rng,
    permutation,
    rank_positions,
)


def test_every_epoch_shows_every_image_once_and_in_another_order() -> None:
    samples = DataOrder([10], seed=3).samples(range(30))
    orders = [[s.index for s in samples if s.epoch == epoch] for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_the_sample_at_a_position_does_not_depend_on_what_was_asked_before() -> None:
    whole = DataOrder([7, 4, 9], seed=1).samples(range(100))
    again = DataOrder([7, 4, 9], seed=1)
    for position in (99, 3, 41, 40, 3):
        assert again.samples(range(position, position + 1)) == [whole[position]]


def test_another_seed_is_another_order() -> None:
    assert permutation([50], 0, 0).tolist() != permutation([50], 1, 0).tolist()


def test_a_set_smaller_than_a_batch_comes_several_times_in_it() -> None:
    indices = [s.index for s in DataOrder([3], seed=0).samples(range(8))]
    assert np.bincount(indices).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_shards_are_shuffled_and_samples_mix_only_within_a_window_of_them() -> None:
    sizes = [5] * (3 * SHUFFLE_WINDOW)
    order = permutation(sizes, 0, 0)
    assert sorted(order.tolist()) == list(range(sum(sizes)))
    shards_of_windows = [set(window // 5) for window in np.split(order, 3)]
    assert [len(shards) for shards in shards_of_windows] == [SHUFFLE_WINDOW] * 3
    assert shards_of_windows != [set(window // 5) for window in np.split(permutation(sizes, 0, 1), 3)]
    neighbours_in_one_shard = np.mean(order[1:] // 5 == order[:-1] // 5)
    assert neighbours_in_one_shard < 0.3  # 0.8 if shards were read one after another


def test_an_empty_shard_changes_nothing_but_the_order() -> None:
    assert sorted(permutation([0, 4, 0], 0, 0).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(("world_size", "micro_batches"), [(1, 1), (2, 1), (1, 4), (2, 2), (4, 3)])
def test_ranks_and_micro_batches_together_handle_each_position_of_the_step_once(
    world_size: int, micro_batches: int
) -> None:
    shares = [
        rank_positions(5, batch_size=24, rank=rank, world_size=world_size, micro_batches=micro_batches)
        for rank in range(world_size)
    ]
    assert all(len(share) == micro_batches for share in shares)
    assert list(chain(*chain(*shares))) == list(range(120, 144))


def test_the_random_crop_depends_on_seed_epoch_and_index_but_not_on_the_position() -> None:
    def number(seed: int, position: int, epoch: int, index: int) -> float:
        return augmentation_rng(seed, Sample(position, epoch, index)).random()

    assert number(0, 1, 2, 3) == number(0, 99, 2, 3)
    assert len({number(0, 1, 2, 3), number(1, 1, 2, 3), number(0, 1, 3, 3), number(0, 1, 2, 4)}) == 4


def test_the_order_stays_the_same_in_later_versions() -> None:
    """A run that is resumed after an upgrade must go on with the same sequence."""
    assert permutation([8], 0, 0).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]
    assert permutation([2, 3, 2], 7, 1).tolist() == [4, 6, 1, 0, 5, 3, 2]
