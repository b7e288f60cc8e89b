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
