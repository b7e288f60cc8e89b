import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from pretext.images.folder import FolderSource
from pretext.images.image_file import BrokenImageError
from pretext.images.shards import ShardSource, default_cache_folder


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return default_cache_folder()


@pytest.fixture
def shards(tmp_path: Path, photo_folder: Path) -> Path:
    """Eleven photographs in three shards of 4, 4 and 3, as webdataset writes them."""
    folder = tmp_path / "shards"
    folder.mkdir()
    files = sorted(photo_folder.rglob("*.jpg"))
    for shard in range(3):
        with webdataset.TarWriter(str(folder / f"photos-{shard:03}.tar")) as writer:
            for file in files[4 * shard : 4 * shard + 4]:
                writer.write({"__key__": file.stem, "jpg": file.read_bytes(), "cls": 7, "json": {"a": 1}})
    return folder


def names_of(source: ShardSource) -> list[str]:
    return [source.name(i) for i in range(len(source))]


@pytest.mark.parametrize(
    "address",
    ["photos-{000..002}.tar", "photos-*.tar", "file:photos-{000..002}.tar", "pipe:cat photos-{000..002}.tar"],
)
def test_brace_ranges_globs_and_urls_give_the_images_of_a_folder_in_its_order(
    address: str, shards: Path, photo_folder: Path
) -> None:
    source = ShardSource(address.replace("photos-", f"{shards}/photos-"))
    folder = FolderSource(photo_folder)
    assert source.group_sizes == (4, 4, 3)
    assert [n.split(":")[1] for n in names_of(source)] == [Path(folder.name(i)).stem for i in range(11)]
    for i in range(11):
        np.testing.assert_array_equal(np.asarray(source.open(i)), np.asarray(folder.open(i)))


def test_a_name_is_the_shard_and_the_key(shards: Path) -> None:
    assert ShardSource(f"{shards}/photos-001.tar").name(0) == "photos-001.tar:photo08"


def test_of_a_sample_the_first_image_counts_and_its_key_ends_at_the_first_dot(
    tmp_path: Path, photo_folder: Path
) -> None:
    photo = next(photo_folder.rglob("*.jpg"))
    with tarfile.open(tmp_path / "mixed.tar", "w") as tar:
        for name in (
            "n01/a.cls",
            "n01/a.JPG",
            "n01/a.png",
            "n02/b.seg.png",
            "n02/b.jpeg",
            "n03/._c.jpg",
            "d",
        ):
            tar.add(photo, name)
    assert names_of(ShardSource(str(tmp_path / "mixed.tar"))) == ["mixed.tar:n01/a", "mixed.tar:n02/b"]


def test_an_index_is_made_once_and_again_when_the_shard_has_changed(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shards / "photos-000.tar"
    first = names_of(ShardSource(str(shard)))
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)  # the second time the tar is not walked
        assert names_of(ShardSource(str(shard))) == first
    (shards / "photos-001.tar").replace(shard)
    assert names_of(ShardSource(str(shard))) != first


def test_a_remote_shard_is_fetched_once(shards: Path, cache_folder: Path) -> None:
    address = f"pipe:cat {shards}/photos-000.tar"
    first = names_of(ShardSource(address))
    (shards / "photos-000.tar").unlink()
    assert names_of(ShardSource(address)) == first
    assert [file.suffix for file in sorted((cache_folder / "shards").iterdir())] == [".tar", ".lock"]


def test_a_shard_that_cannot_be_fetched_is_named_and_leaves_nothing_behind(
    tmp_path: Path, cache_folder: Path
) -> None:
    with pytest.raises(ValueError, match=r"the shard pipe:cat .*gone\.tar.* cannot be fetched \(exit 1\)"):
        ShardSource(f"pipe:cat {tmp_path}/gone.tar 2>/dev/null")
    assert [file.suffix for file in (cache_folder / "shards").iterdir()] == [".lock"]
    with pytest.raises(ValueError, match=r"teleport://host/a\.tar cannot be fetched \(no gopen handler"):
        ShardSource("teleport://host/a.tar")


def test_an_address_that_matches_nothing_is_named(shards: Path) -> None:
    with pytest.raises(ValueError, match=r"no shard matches .*photos-003\.tar \(of .*\{002\.\.003\}"):
        ShardSource(f"{shards}/photos-{{002..003}}.tar")
    with pytest.raises(ValueError, match=r"no shard matches .*/x-\*\.tar;"):
        ShardSource(f"{shards}/x-*.tar")


def test_a_truncated_or_compressed_tar_and_one_without_images_are_named(shards: Path, tmp_path: Path) -> None:
    whole = (shards / "photos-000.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.tar is not a whole, uncompressed tar file"):
        ShardSource(str(tmp_path / "cut.tar"))
    with tarfile.open(tmp_path / "small.tar.gz", "w:gz") as tar:
        tar.add(shards, "x")
    with pytest.raises(ValueError, match=r"small\.tar\.gz is not a whole, uncompressed tar file"):
        ShardSource(str(tmp_path / "small.tar.gz"))
    with tarfile.open(tmp_path / "text.tar", "w") as tar:
        tar.add(__file__, "a.txt")
    with pytest.raises(ValueError, match=r"text\.tar holds no images"):
        ShardSource(str(tmp_path / "text.tar"))


def test_without_webdataset_plain_paths_work_and_brace_ranges_say_what_to_install(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    assert len(ShardSource(f"{shards}/photos-*.tar")) == 11
    with pytest.raises(ValueError, match=r"pip install 'colorization-benchmark\[shards\]'"):
        ShardSource(f"{shards}/photos-{{000..002}}.tar")


def test_a_broken_image_in_a_shard_is_broken_and_its_neighbours_are_not(
    tmp_path: Path, photo_folder: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    with tarfile.open(tmp_path / "mixed.tar", "w") as tar:
        tar.add(next(photo_folder.rglob("*.jpg")), "a.jpg")
        tar.add(tmp_path / "broken.jpg", "b.jpg")
        tar.add(next(photo_folder.rglob("*.jpg")), "c.jpg")
    source = ShardSource(str(tmp_path / "mixed.tar"))
    with pytest.raises(BrokenImageError):
        source.open(1)
    np.testing.assert_array_equal(np.asarray(source.open(0)), np.asarray(source.open(2)))
    assert isinstance(source.open(2), Image.Image)
