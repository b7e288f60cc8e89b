"""Text as Windows' and other tools write it, which Python's own codecs encode here."""

import pytest

from pretext.images.text_files import read_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_line_ends_and_blank_lines_are_no_part_of_the_lines(tmp_path, encoding):
    path = tmp_path / "train.txt"
    path.write_bytes("\r\nzebra 1\r\n  \r\ntür\t\r\n\r\n".encode(encoding))
    assert read_lines(path) == ["zebra 1", "tür"]


@pytest.mark.parametrize("content", ["tür".encode("latin-1"), "杯".encode("gbk"), b"\xff\xfea"])
def test_another_encoding_is_an_error_that_names_the_file_and_the_byte(tmp_path, content):
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"train\.txt is not text in UTF-8: byte \d is 0x\w\w; save it as UTF-8"
    ):
        read_lines(path)
