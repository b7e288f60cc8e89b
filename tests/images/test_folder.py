from pathlib import Path

import pytest
from PIL import Image

from pretext.images.folder import FolderSource
from pretext.images.image_file import BrokenImageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names_of(source: FolderSource) -> list[str]:
    return [source.name(i) for i in range(len(source))]


def test_nested_images_come_in_the_order_of_their_paths_whatever_the_case_of_the_extension(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "b/2.JPG", "b/10.jpeg", "a.png", "c/d/e.WebP", "b/notes.txt", "b/clip.mpg", "noextension")
    source = FolderSource(tmp_path)
    assert names_of(source) == sorted(["a.png", "b/10.jpeg", "b/2.JPG", "c/d/e.WebP"])
    assert source.group_sizes == (4,)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, ".thumbnails/a.png", "._b.jpg", "c.jpg", ".jpg")
    assert names_of(FolderSource(tmp_path)) == ["c.jpg"]


def test_links_are_followed_but_a_link_to_a_parent_does_not_loop(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg", "photos/b.jpg")
    (tmp_path / "photos/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/loop").symlink_to(tmp_path / "photos")
    assert names_of(FolderSource(tmp_path / "photos")) == ["b.jpg", "linked/a.jpg"]


def test_names_outside_ascii_and_outside_unicode_open(tmp_path: Path, photograph: Image.Image) -> None:
    photograph.save(tmp_path / "Sømmer 夏.png")
    photograph.save(tmp_path / "caf\udce9.png")  # a file name in Latin-1, as os.fsdecode gives it
    source = FolderSource(tmp_path)
    assert [source.open(i).size for i in range(len(source))] == [photograph.size] * 2


def test_a_missing_folder_and_an_empty_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        FolderSource(tmp_path / "nowhere")
    touch(tmp_path, "empty/deeper/readme.txt")
    with pytest.raises(ValueError, match="empty holds no images"):
        FolderSource(tmp_path / "empty")


def test_a_file_that_vanished_is_broken(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    source = FolderSource(tmp_path)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(BrokenImageError, match="No such file"):
        source.open(0)
