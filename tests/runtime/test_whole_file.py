"""Files that cannot be written: the reason and the way out, and what was there before."""

import errno
import os

import pytest

from pretext.runtime.whole_file import make_folder, whole_file, write_whole


@pytest.mark.parametrize(
    ("number", "way_out"), [(errno.ENOSPC, "make room"), (errno.EACCES, "make it writable")]
)
def test_a_write_that_fails_names_the_file_the_reason_and_the_way_out(number, way_out, tmp_path):
    path = tmp_path / "results.jsonl"
    write_whole(path, "old")
    reason = os.strerror(number)
    with (
        pytest.raises(OSError, match=rf"cannot write .*results\.jsonl: {reason}.*{way_out}"),
        whole_file(path),
    ):
        raise OSError(number, reason)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_was_removed_is_named_as_the_reason(tmp_path):
    with pytest.raises(
        OSError, match=r"gone/a\.txt: No such file or directory; see whether its folder was removed"
    ):
        write_whole(tmp_path / "gone" / "a.txt", "new")


def test_an_error_of_what_is_written_stays_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="CUDA error"), whole_file(tmp_path / "a.txt"):
        raise RuntimeError("CUDA error")


def test_a_file_in_the_way_of_a_folder_is_an_error_that_names_it(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=f"{path} cannot be made a folder: .*; choose another"):
            make_folder(path)
