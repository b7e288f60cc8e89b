from pathlib import Path

import numpy as np
import pytest

from eval_colorization.parts import Parts


def test_parts_come_back_as_they_were_written(tmp_path: Path) -> None:
    parts = Parts(tmp_path, {"data": "sample"})
    parts.prepare()
    parts.write(0, {"psnr": np.arange(3.0), "names": np.array(["a", "b", "c"])})
    (part,) = parts.read(1)
    assert part["psnr"].tolist() == [0, 1, 2]
    assert part["names"].tolist() == ["a", "b", "c"]


def test_one_changed_byte_in_a_part_is_noticed_wherever_it_lies(tmp_path: Path) -> None:
    """In the compressed data, by zip's checksum; elsewhere the file may still be read, as it was written."""
    parts = Parts(tmp_path, {})
    values = np.random.default_rng(0).normal(size=50)
    parts.prepare()
    parts.write(0, {"psnr": values})
    (file,) = tmp_path.glob("*.npz")
    content = file.read_bytes()
    refused = 0
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            (part,) = parts.read(1)
        except ValueError as error:
            assert f"{file} is damaged" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert all(np.array_equal(stored, values) for stored in part.values())
    assert refused > values.nbytes / 2


def test_a_file_in_the_way_of_the_parts_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/parts cannot be made a folder"):
        Parts(tmp_path / "file" / "parts", {}).prepare()
