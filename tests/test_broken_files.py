import pytest

from pretext.broken_files import BrokenFiles
from pretext.runtime.command_line import RunFailedError


def test_each_broken_file_is_named_once_and_counted():
    broken = BrokenFiles({}, num_images=100, max_share=0.5)
    assert broken.add([("a.jpg", "truncated"), ("b.jpg", "not an image")]) == [
        "skipped a broken file: a.jpg (truncated)",
        "skipped a broken file: b.jpg (not an image)",
    ]
    assert broken.add([("a.jpg", "truncated")]) == []
    assert len(broken.reasons) == 2


def test_too_large_a_share_ends_the_run_but_not_before_it_can_be_judged():
    broken = BrokenFiles({f"{n}.jpg": "truncated" for n in range(11)}, num_images=10_000, max_share=0.01)
    broken.check(num_seen=40)
    with pytest.raises(
        RunFailedError, match=r"11 of 1000 images could not be read.*0\.jpg \(truncated\).*6 more"
    ):
        broken.check(num_seen=1000)
    broken.check(num_seen=1100)


@pytest.mark.parametrize(
    ("num_broken", "num_images", "max_share", "stops"),
    [
        (1, 8, 0.01, False),  # a large share, but one file
        (1, 2, 0.01, False),
        (4, 8, 0.01, False),
        (5, 8, 0.01, True),  # most of the folder
        (5, 400, 0.01, False),
        (6, 400, 0.01, True),
        (6, 600, 0.01, False),  # one in a hundred
        (1, 8, 0.0, True),  # none is allowed
    ],
)
def test_a_few_broken_files_do_not_stop_a_run_on_a_small_folder(num_broken, num_images, max_share, stops):
    broken = BrokenFiles(
        {f"{n}.jpg": "truncated" for n in range(num_broken)}, num_images=num_images, max_share=max_share
    )
    if stops:
        with pytest.raises(RunFailedError, match=f"{num_broken} of {num_images} images could not be read"):
            broken.check(num_seen=10 * num_images)
    else:
        broken.check(num_seen=10 * num_images)
