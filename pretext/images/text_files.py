"""Lists and tables as people's tools write them: with a byte-order mark, any line ends, blank lines."""

import codecs
from pathlib import Path


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with the byte-order mark that Windows' tools write.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is in another encoding.
    """
    content = path.read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8: byte {error.start} is {content[error.start]:#04x}; save it as UTF-8"
        ) from error


def read_lines(path: Path) -> list[str]:
    """The lines of such a file without the blanks around them; blank lines are left out. Raises as `read_text`."""
    return list(filter(None, map(str.strip, read_text(path).splitlines())))
