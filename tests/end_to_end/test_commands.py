"""The commands as a user types them, on the bundled photographs, and what they answer to bad input."""

import json
import shutil

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from pretext.runtime.metrics_log import read_metrics
from tests.end_to_end.small_run import finish, small, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run", steps=2)


@pytest.fixture
def photos(tmp_path):
    """Five good files, in folders, and a broken one."""
    folder = tmp_path / "photos"
    (folder / "Nested Folder").mkdir(parents=True)
    photograph = Image.fromarray(skimage.data.chelsea()).resize((96, 64))
    photograph.save(folder / "a.jpg")
    photograph.convert("L").save(folder / "Nested Folder" / "grey.PNG")
    photograph.convert("CMYK").save(folder / "Nested Folder" / "cmyk.tif")
    photograph.convert("P").save(folder / "Nested Folder" / "palette.gif")
    photograph.rotate(90, expand=True).save(folder / "b.webp")
    (folder / "broken.jpg").write_bytes((folder / "a.jpg").read_bytes()[:500])
    return folder


def test_prior_writes_bins_that_training_takes_and_a_picture(pretext, photos, tmp_path):
    out = tmp_path / "bins.json"
    status, printed, _ = pretext("prior", photos, "--out", out, "--kmeans", 16, "--num_workers", 0)
    assert status == 0
    assert "skipped a broken file: broken.jpg" in printed
    assert "16 bins from 5 images, 1 broken files skipped" in printed
    content = json.loads(out.read_text())
    assert (content["images"], len(content["centres"])) == (5, 16)
    assert sum(content["prior"]) == pytest.approx(1)
    assert np.asarray(Image.open(tmp_path / "bins.png")).std() > 0
    status, *_ = pretext(*small(tmp_path / "run", task_args__bins=out, task_args__neighbours=3, steps=1))
    assert status == 0
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert torch.equal(state["task"]["centres"], torch.tensor(content["centres"]))


def test_bins_of_the_data_are_the_published_ones_with_the_prior_that_the_prior_command_measures(
    pretext, tmp_path
):
    out = tmp_path / "bins.json"
    assert pretext("prior", "sample", "--out", out, "--image_size", 40, "--num_workers", 0)[0] == 0
    assert pretext(*small(tmp_path / "run", task_args__bins="data", steps=1))[0] == 0
    bins = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["task"]
    measured = json.loads(out.read_text())
    assert torch.equal(bins["centres"], torch.tensor(measured["centres"]))
    assert torch.equal(bins["prior"], torch.tensor(measured["prior"]))


def test_colorize_keeps_names_folders_and_sizes_and_names_what_it_could_not_colorize(
    pretext, run, photos, tmp_path
):
    out = tmp_path / "colorized"
    status, printed, complaint = pretext("colorize", photos, "--weights", run, "--out", out, "--size", 32)
    assert status == 1
    assert "5 of 6 images colorized" in printed
    assert "broken.jpg" in complaint
    expected = {
        "a.jpg",
        "b.webp",
        "Nested Folder/grey.PNG",
        "Nested Folder/cmyk.tif",
        "Nested Folder/palette.gif.png",
    }
    assert {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()} == expected
    for name in expected:
        with Image.open(out / name) as colorized, Image.open(photos / name.removesuffix(".png")) as original:
            assert colorized.mode == "RGB"
            assert colorized.size == original.size


def test_colorize_does_not_overwrite_originals_or_let_two_images_share_a_name(pretext, run, photos):
    status, _, complaint = pretext("colorize", photos / "a.jpg", "--weights", run, "--out", photos)
    assert status == 2
    assert "would overwrite an original" in complaint
    status, _, complaint = pretext("colorize", photos / "a.jpg", photos, "--out", photos.parent / "out")
    assert status == 2
    assert "would both become" in complaint
    status, _, complaint = pretext("colorize", photos / "nowhere.jpg", "--out", photos.parent / "out")
    assert status == 2
    assert "there is no image or folder" in complaint


@pytest.mark.parametrize("decoding", ["mean", "mode", "top_k_mean"])
def test_colorize_decodes_in_every_way(pretext, run, photos, tmp_path, decoding):
    options = ["--out", tmp_path / "colorized", "--decoding", decoding, "--size", 32]
    assert pretext("colorize", photos / "a.jpg", "--weights", run, *options)[0] == 0


@pytest.mark.parametrize(
    "task",
    [
        {"task": "colorization"},
        {"task": "colorization", "task_args__uniform_share": "null"},
        {"task": "colorization_regression"},
    ],
    ids=["rebalanced", "classification", "regression"],
)
@pytest.mark.parametrize("network", ["eccv16", "siggraph17", "alexnet", "resnet50"])
def test_every_network_learns_every_task(pretext, tmp_path, network, task):
    changes = {**task, "network__name": network, "steps": 1, "batch_size": 2}
    status, _, complaint = pretext(*small(tmp_path / "run", **changes))
    assert status == 0, complaint
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    if task != {"task": "colorization"}:
        assert rows[0]["loss"] == pytest.approx(rows[0]["loss_unweighted"])
    else:
        assert rows[0]["loss"] != rows[0]["loss_unweighted"]


def test_bfloat16_accumulation_clipping_and_kept_checkpoints_work_together(pretext, tmp_path):
    options = {"precision": "bfloat16", "accumulation_steps": 2, "optim__clip_norm": 1.0, "keep_every": 2}
    assert pretext(*small(tmp_path / "run", **options))[0] == 0
    assert {file.name for file in (tmp_path / "run" / "checkpoints").iterdir()} == {
        "last.pt",
        "step_0000002.pt",
        "step_0000004.pt",
    }


def test_colorize_takes_the_shipped_network_where_none_is_named(pretext, photos, tmp_path):
    out = tmp_path / "colorized"
    status, printed, _ = pretext("colorize", photos / "a.jpg", "--out", out)
    assert status == 0
    assert f"1 of 1 images colorized by eccv16-photographs -> {out}" in printed
    colorized = np.asarray(Image.open(out / "a.jpg"), np.int16)
    assert np.abs(colorized[..., 0] - colorized[..., 2]).mean() > 5  # it has colours


def test_colorize_asked_for_a_run_says_how_to_colorize_with_it(pretext, run, photos, tmp_path):
    status, _, complaint = pretext("colorize", run, photos, "--out", tmp_path / "colorized")
    assert status == 2
    assert f"{run} is a run, not a folder of images; to colorize with it, give --weights {run}" in complaint


@pytest.mark.slow
def test_torch_compile_trains_with_the_same_losses_within_rounding_and_compiles_once(tmp_path, monkeypatch):
    """In processes of their own: the run-time checks of shapes under pytest are not for tracing."""
    monkeypatch.setenv("TORCH_LOGS", "recompiles")
    for name, compiled in (("plain", "false"), ("compiled", "true")):
        output = finish(small(tmp_path / name, compile=compiled, steps=3))
        assert "validation at step 3" in output
        assert "Recompiling" not in output, output
    plain, compiled = (
        [row["loss"] for row in read_metrics(tmp_path / name / "metrics.jsonl") if "loss" in row]
        for name in ("plain", "compiled")
    )
    assert compiled == pytest.approx(plain, rel=1e-3)


def test_broken_and_grey_images_are_counted_and_the_run_goes_on(pretext, photos, tmp_path):
    changes = {"data__train": photos, "data__max_broken_share": 0.5, "batch_size": 6, "steps": 2}
    status, printed, _ = pretext(*small(tmp_path / "run", **changes))
    assert status == 0
    assert "skipped a broken file: broken.jpg" in printed
    assert "1 broken training files were skipped: broken.jpg" in printed
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert (row["broken_files"], row["grey_images"]) == (1, 2)  # the broken one is shown black


def test_too_many_broken_files_stop_the_run(pretext, photos, tmp_path):
    status, _, complaint = pretext(
        *small(tmp_path / "run", data__train=photos, batch_size=6, data__max_broken_share=0)
    )
    assert status == 1
    assert "1 of 6 images could not be read, more than data.max_broken_share (0): broken.jpg" in complaint


def test_nan_stops_the_run_names_the_step_and_keeps_the_checkpoint_before_it(pretext, tmp_path):
    assert pretext(*small(tmp_path / "run", optim__lr=1e30, save_every=1, steps=1))[0] == 0
    status, _, complaint = pretext(*small(tmp_path / "other", optim__lr=1e30, save_every=1, steps=20))
    assert status == 1
    assert "is NaN or infinite; the last checkpoint is from before it" in complaint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__train": "/nowhere"}, "/nowhere is not a folder"),
        ({"network__name": "ecv16"}, "there is no network 'ecv16' (did you mean 'eccv16'?)"),
        ({"task_args__bins": "missing.json"}, "make it with `pretext prior DATA --out missing.json`"),
        ({"batch_size": 3, "accumulation_steps": 2}, "a batch of 3 cannot be shared"),
        ({"data__crop_size": 36}, "multiples of 8, got 36 x 36"),
        ({"data__crop_size": 48}, "crop_size 48 must be at least 1 and at most image_size, 40"),
        ({"network__width": -1}, "width multiplies the channel counts and must be positive"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(pretext, tmp_path, changes, message):
    status, _, complaint = pretext(*small(tmp_path / "run", **changes))
    assert status == 2
    assert message in complaint
    assert len(complaint.strip().splitlines()) == 1


def test_a_run_directory_with_another_configuration_is_refused(pretext, run):
    status, _, complaint = pretext(*small(run, steps=2, optim__lr=1e-2))
    assert status == 2
    assert "optim.lr: 0.001 there, 0.01 now" in complaint


def test_a_run_does_not_go_on_from_the_checkpoint_of_another_network_or_with_other_bins(
    pretext, run, tmp_path
):
    out = tmp_path / "bins.json"
    assert pretext("prior", "sample", "--out", out, "--kmeans", 313, "--num_workers", 0)[0] == 0
    changes = {"task_args__bins": out, "steps": 2}
    assert pretext(*small(tmp_path / "run", **changes, save_every=1))[0] == 0
    assert pretext("prior", "sample", "--out", out, "--kmeans", 313, "--num_workers", 0, "--seed", 1)[0] == 0
    status, _, complaint = pretext(*small(tmp_path / "run", **changes))
    assert status == 2
    assert "has other bins than" in complaint
    assert pretext(*small(tmp_path / "resnet", network__name="resnet50", steps=2))[0] == 0
    shutil.copy(run / "checkpoints" / "last.pt", tmp_path / "resnet" / "checkpoints" / "last.pt")
    status, _, complaint = pretext(*small(tmp_path / "resnet", network__name="resnet50", steps=2))
    assert status == 2
    assert "was trained with network.name 'eccv16', not 'resnet50'" in complaint


def test_a_run_does_not_go_on_with_other_images(pretext, photos, tmp_path):
    changes = {"data__train": photos}
    assert pretext(*small(tmp_path / "run", **changes, steps=4, save_every=1))[0] == 0
    (photos / "a.jpg").unlink()
    status, _, complaint = pretext(*small(tmp_path / "run", **changes, steps=4))
    assert status == 2
    assert "no longer holds the images, by number and names, with which" in complaint


def test_a_finished_run_is_not_trained_again(pretext, run):
    before = (run / "checkpoints" / "last.pt").read_bytes()
    status, printed, _ = pretext(*small(run, steps=2))
    assert status == 0
    assert "gallery" in printed
    assert (run / "checkpoints" / "last.pt").read_bytes() == before
