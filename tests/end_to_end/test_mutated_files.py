"""Files changed at random, from a fresh seed that a failure prints: each is used, or named in one line.

The seed of a failure is tried again with MUTATION_SEED=... in the environment.
"""

import contextlib
import io
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pretext.images import image_file
from tests.end_to_end.small_run import trained
from tests.transfer.small_voc import as_coco, write_small_voc
from transfer.config import DataConfig
from transfer.data.labelled import open_labelled
from transfer.detection.data import open_detection
from transfer.segmentation.data import open_segmentation

pytestmark = pytest.mark.slow

NUM_IMAGES = 2000
NUM_ANNOTATIONS = 100  # of each of seven kinds
MODES = ("RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F")
ODD_VALUES = (
    "",
    "0",
    "-1",
    "-7.5",
    "1e400",
    "NaN",
    "99999999999999999999",
    "x",
    "\x00",
    "é",
    "null",
    "[]",
    "{}",
    "true",
)
ODD_JSON = (None, "", "x", 0, -1, 2.5, 1e300, 10**30, True, [], {}, [None], {"id": 1})

Random = np.random.Generator


@pytest.fixture
def random() -> Random:
    seed = int(os.environ.get("MUTATION_SEED", np.random.SeedSequence().entropy))
    print(f"MUTATION_SEED={seed}")
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed header may ask for half a gigapixel, which is allowed and takes minutes."""
    monkeypatch.setattr(image_file, "MAX_DECODED_PIXELS", 2**20)


def mutated(content: bytes, random: Random) -> bytes:
    """The bytes with some changed, removed, doubled or blanked, or cut off."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        size = max(len(data), 1)
        # The first bytes are those that say how the others are to be read.
        place = int(random.integers(0, min(size, 64) if random.random() < 0.5 else size))
        end = place + int(random.integers(1, max(2, size // 8)))
        match random.integers(0, 6):
            case 0:
                data[place : place + 1] = random.bytes(1)
            case 1:
                data[place : place + 4] = random.bytes(4)
            case 2:
                data[place:] = b""
            case 3:
                data[place:end] = b""
            case 4:
                data[place:end] = (b"\0", b"\xff")[random.integers(0, 2)] * (end - place)
            case _:
                data[place:place] = data[place:end]
    return bytes(data)


def mutated_text(content: bytes, random: Random) -> bytes:
    """As `mutated`, or with words and numbers replaced by others."""
    if random.random() < 0.3:
        return mutated(content, random)
    text = content.decode()
    words = list(re.finditer(r"[\w.]+", text))
    for place in sorted(random.integers(0, len(words), random.integers(1, 4)), reverse=True):
        word = words[place]
        text = text[: word.start()] + str(random.choice(ODD_VALUES)) + text[word.end() :]
    return text.encode()


def mutated_json(content: bytes, random: Random) -> bytes:
    """As `mutated_text`, or with values of the tree removed or replaced."""
    if random.random() < 0.3:
        return mutated_text(content, random)
    tree = json.loads(content)
    for _ in range(random.integers(1, 4)):
        places = list(containers(tree))
        parent, key = places[random.integers(0, len(places))]
        if random.random() < 0.4:
            del parent[key]
        else:
            parent[key] = ODD_JSON[random.integers(0, len(ODD_JSON))]
    return json.dumps(tree).encode()


def containers(tree: object) -> Iterator[tuple[dict | list, str | int]]:
    """Every place of a JSON tree: what it lies in, and its key or index there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key  # type: ignore[misc]
        yield from containers(value)


def pictures(photograph: Image.Image) -> list[tuple[str, bytes]]:
    """A photograph in every format and mode that Pillow writes and we read: mode and suffix, content."""
    suffixes = {
        Image.registered_extensions()[suffix]: suffix for suffix in sorted(image_file.image_extensions())
    }
    contents = []
    for form, suffix in suffixes.items():
        for mode in MODES if form in Image.SAVE else ():
            file = io.BytesIO()
            # Pillow refuses modes that a format has not, and warns of formats it will drop.
            with contextlib.suppress(OSError, ValueError, KeyError), warnings.catch_warnings(action="ignore"):
                photograph.convert("L" if mode in ("I;16", "F") else "RGB").convert(mode).save(file, form)
                contents.append((f"{mode.replace(';', '_')}{suffix}", file.getvalue()))
    assert len({Path(name).suffix for name, _ in contents}) > 15
    return contents


@pytest.fixture
def mutated_pictures(tmp_path: Path, random: Random) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    kinds = pictures(Image.fromarray(skimage.data.chelsea()).resize((48, 40)))
    for number in range(NUM_IMAGES):
        name, content = kinds[number % len(kinds)]
        (folder / f"{number:04}_{name}").write_bytes(mutated(content, random))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run", steps=1)


def test_every_mutated_picture_is_colorized_or_named(pretext, run, mutated_pictures, tmp_path):
    out = tmp_path / "out"
    status, printed, errors = pretext(
        "colorize", mutated_pictures, "--weights", run, "--out", out, "--size", 32, "--device", "cpu"
    )
    assert status == 1, errors
    assert "Traceback" not in printed + errors
    for file in mutated_pictures.iterdir():
        colorized = (out / file.name).exists() or (out / f"{file.name}.png").exists()
        assert colorized != (f"not colorized: {file}: " in printed), file.name


def test_every_mutated_picture_is_in_the_report_or_named_in_it(run, mutated_pictures, tmp_path, capsys):
    from eval_colorization.config import MethodConfig, ReportConfig
    from eval_colorization.evaluation import make_report

    out = tmp_path / "report"
    make_report(
        ReportConfig(
            data=str(mutated_pictures),
            out=str(out),
            methods={"run": MethodConfig(model=str(run), size=32)},
            image_size=32,
            gallery_images=2,
            resamples=10,
            num_workers=0,
            device="cpu",
        )
    )
    printed = capsys.readouterr().out
    measured = {line.partition(",")[0] for line in (out / "per_image.csv").read_text().splitlines()[1:]}
    for file in mutated_pictures.iterdir():
        assert (file.name in measured) != (f"left out: {file.name} (" in printed), file.name
    assert measured


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_small_voc(tmp_path / "voc", num_train=2, num_val=3)


def one_of(folder: Path) -> Path:
    """A file of the training split."""
    return min(file for file in folder.iterdir() if file.stem.startswith("train"))


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_every_mutated_picture_of_a_set_is_used_or_named(voc, random, kind):
    photograph = one_of(voc / "JPEGImages")
    kinds = pictures(Image.open(photograph))
    photograph.unlink()
    for number in range(NUM_IMAGES):
        name, content = kinds[number % len(kinds)]
        file = photograph.with_suffix(Path(name).suffix)
        file.write_bytes(mutated(content, random))
        used_or_named(lambda: open_set(kind, voc), file)
        file.unlink()


@pytest.mark.parametrize(
    "kind", ["xml", "json", "mask", "csv", "list of boxes", "list of masks", "list of a class"]
)
def test_mutated_annotations_are_used_or_named(voc, random, kind):
    coco = voc / "instances.json"
    as_coco(voc, "train", coco)
    csv = voc / "labels.csv"
    names = sorted(file.name for file in (voc / "JPEGImages").iterdir())
    csv.write_text("image,class\n" + "".join(f"{name},{name[:3]}\n" for name in names))
    file, change, open_data = {
        "xml": (one_of(voc / "Annotations"), mutated_text, lambda: open_set("boxes", voc)),
        "json": (coco, mutated_json, lambda: open_coco(voc, coco)),
        "mask": (one_of(voc / "SegmentationClass"), mutated, lambda: open_set("masks", voc)),
        "csv": (csv, mutated_text, lambda: open_csv(voc, csv)),
        "list of boxes": (voc / "ImageSets/Main/train.txt", mutated_text, lambda: open_set("boxes", voc)),
        "list of masks": (
            voc / "ImageSets/Segmentation/train.txt",
            mutated_text,
            lambda: open_set("masks", voc),
        ),
        "list of a class": (voc / "ImageSets/Main/cup_train.txt", mutated_text, lambda: open_classes(voc)),
    }[kind]
    content = file.read_bytes()
    open_data()
    for _ in range(NUM_ANNOTATIONS):
        file.write_bytes(change(content, random))
        used_or_named(open_data, file)


def used_or_named(open_data: Callable[[], object], file: Path) -> None:
    """The data can be opened, or the complaint is one line that names the file."""
    content, complaint = file.read_bytes(), None
    try:
        open_data()
    except ValueError as error:
        complaint = error
    if complaint is not None:
        assert type(complaint) is ValueError, (repr(complaint), content)  # a UnicodeDecodeError is one too
        assert file.name in str(complaint), (str(complaint), content)
        assert len(str(complaint).splitlines()) == 1, (str(complaint), content)


def open_coco(voc, file):
    train = f"coco:{voc / 'JPEGImages'}:{file}"
    return open_detection(train, f"voc:{voc}:val")


def open_csv(voc, file):
    folder = str(voc / "JPEGImages")
    return open_labelled(DataConfig(train=folder, train_labels=str(file), test=folder, test_labels=str(file)))


def open_classes(voc):
    return open_labelled(DataConfig(train=f"voc:{voc}:train", test=f"voc:{voc}:val"))


def open_set(kind, voc):
    train, test = f"voc:{voc}:train", f"voc:{voc}:val"
    if kind == "boxes":
        return open_detection(train, test)
    return open_segmentation(train, test)
