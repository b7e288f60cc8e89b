"""DeOldify's generators against its own code, and everything that a network here must be able to do."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms.functional import normalize

import eval_colorization
import pretext
import transfer
from pretext.__main__ import main
from pretext.images.sample import sample_source
from pretext.networks import build_network
from pretext.pretrained import load_pretrained, start_from
from pretext.rgb_colorizer import rgb_to_yuv, yuv_to_rgb
from pretext.tasks import build_task

ORACLE = Path(__file__).with_name("deoldify_oracle.py")


def built(variant="artistic", width=1.0):
    torch.manual_seed(0)
    return build_network("deoldify", output="rgb", width=width, args={"variant": variant}).eval()


@pytest.mark.parametrize(
    ("variant", "parameters", "entries", "numbers"),
    [("artistic", 63_646_881, 378, 63_767_578), ("stable", 218_222_197, 754, 218_480_110)],
)
def test_sizes_are_those_of_the_published_files(variant, parameters, entries, numbers):
    with torch.device("meta"):
        network = built(variant)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    state = network.state_dict()
    assert len(state) == entries
    assert sum(tensor.numel() for tensor in state.values()) == numbers


@pytest.fixture(scope="module", params=["artistic", "stable"])
def oracle(request, tmp_path_factory):
    if importlib.util.find_spec("deoldify") is None:
        pytest.skip("DeOldify's own code is not here: make peers")
    path = tmp_path_factory.mktemp("oracle") / "oracle.pth"
    # In a folder of its own: its fastai must not be this project's tests'.
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", str(ORACLE), request.param, str(path)],
        capture_output=True,
        text=True,
        cwd=path.parent,
    )
    assert answer.returncode == 0, answer.stderr
    return request.param, torch.load(path)


@pytest.mark.slow
def test_a_generator_answers_as_deoldify_s_own_and_its_pictures_are_the_same(oracle, tmp_path):
    variant, theirs = oracle
    network = built(variant)
    assert list(network.state_dict()) == list(theirs["state"])
    for name, contents in (
        ("bare.pth", theirs["state"]),
        ("wrapped.pth", {"model": theirs["state"], "opt": {}}),
    ):
        torch.save(contents, tmp_path / name)
    pretrained = load_pretrained(tmp_path / "bare.pth")
    assert pretrained.sha256 == load_pretrained(tmp_path / "wrapped.pth").sha256
    assert pretrained.network.variant == variant
    with torch.no_grad():
        answer = pretrained.network(theirs["grey"])
    torch.testing.assert_close(answer, theirs["answer"], atol=1e-5, rtol=1e-5)
    photograph = Image.fromarray(theirs["photograph"].numpy())
    (colorized,) = pretext.colorize([photograph], pretrained, size=80, device="cpu")
    difference = abs(np.array(colorized).astype(int) - theirs["filtered"].numpy())
    # Eight bits are cut off, not rounded: a last digit that processors compute otherwise is a level of U, two of blue.
    assert (difference <= 1).mean() > 0.999
    assert difference.max() <= 3


def test_another_output_or_variant_is_refused():
    with pytest.raises(
        ValueError, match="answers RGB, so its output is not 313; train it on the task rgb_color"
    ):
        build_network("deoldify", output=313)
    with pytest.raises(ValueError, match="artistc"):
        build_network("deoldify", output="rgb", args={"variant": "artistc"})


def test_spectral_norm_is_that_of_torch():
    # torch.nn.utils.spectral_norm, the names and numbers of which the published files have.
    torch.manual_seed(0)
    ours = built(width=0.125).layers[3][0][0]
    plain = torch.nn.Conv2d(ours.weight_orig.shape[1], len(ours.weight_orig), 3, padding=1, bias=False)
    theirs = torch.nn.utils.spectral_norm(plain)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, ours.weight_orig.shape[1], 6, 6)
    for mode in (False, True, True):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(ours.weight_u, theirs.weight_u)


def test_stages_have_the_channels_and_strides_that_they_say():
    network = built(width=0.125)
    seen = network.see(torch.rand(1, 3, 64, 96))
    with torch.no_grad():
        for name, maps in network.forward_stages(seen, network.stages).items():
            channels, stride = network.stages[name]
            assert maps.shape == (1, channels, 64 // stride, 96 // stride)
        assert network(network.see(torch.rand(1, 3, 50, 71))).shape == (1, 3, 50, 71)


def test_luma_is_that_of_pillow():
    rgb = torch.randint(0, 256, (3, 20, 20), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    grey = np.array(Image.fromarray(rgb.permute(1, 2, 0).numpy()).convert("L"))
    seen = built(width=0.125).see(rgb[None] / 255)[0, 0] * 255
    assert (seen - torch.from_numpy(grey)).abs().max() < 0.6


def test_yuv_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2", reason="OpenCV comes with make detection segmentation")
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV)
    assert abs(rgb_to_yuv(rgb).astype(int) - yuv).max() <= 1
    assert abs(yuv_to_rgb(yuv).astype(int) - cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB)).max() <= 1


def test_the_constant_answer_is_the_loss_of_the_medians():
    task = build_task("rgb_colorization", {})
    images = torch.randint(
        0, 256, (4, 3, 9, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    statistics = task.statistics(images)
    median = images.transpose(0, 1).flatten(1).float().median(dim=1).values / 255
    expected = task.losses(median.view(1, 3, 1, 1).expand(4, 3, 9, 9), images).optimised.mean()
    assert task.constant_answer(statistics, statistics)["constant_answer"] == pytest.approx(
        expected.item(), rel=1e-5
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A generator that has been trained for a while on the bundled photographs."""
    folder = tmp_path_factory.mktemp("deoldify") / "run"
    words = ["--task=rgb_colorization", "--network.name=deoldify", "--network.width=0.125", "--optim.lr=2e-3"]
    sizes = ["--data.image_size=80", "--data.crop_size=64", "--data.num_workers=0", "--batch_size=9"]
    status = main(
        [
            "train",
            "--data.train=sample",
            *words,
            *sizes,
            "--steps=60",
            "--log_every=20",
            "--device=cpu",
            f"--run_dir={folder}",
        ]
    )
    assert status == 0
    return folder


@pytest.mark.slow
def test_a_trained_one_beats_the_best_single_colour_and_is_reported_and_tested(run, tmp_path):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if "validation_loss" in row][-1]
    assert last["validation_loss"] < last["validation_constant_answer"]
    results = eval_colorization.evaluate(
        {"ours": run, "shipped": "eccv16-photographs"},
        "sample",
        image_size=64,
        resamples=10,
        num_workers=0,
        device="cpu",
    )
    assert 10 < results.summaries["ours"]["psnr"].value < 60
    records = transfer.knn(
        str(run), "sample", "sample", k=[1], image_size=64, crop_size=64, num_workers=0, device="cpu"
    )
    assert {record.stage for record in records} == set(load_pretrained(run).network.stages)
    photograph = tmp_path / "photograph.png"
    sample_source("train").open(0).resize((96, 64)).save(photograph)
    words = ["colorize", str(photograph), "--weights", str(run), "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert main([*words, "--frames", "true", "--out", str(tmp_path / "frames")]) == 0


@pytest.mark.slow
def test_options_of_bins_are_refused(run):
    with pytest.raises(ValueError, match="DeOldify answers nothing that is decoded by mode; leave it out"):
        pretext.colorize([Image.new("RGB", (8, 8))], run, decoding="mode")
    with pytest.raises(ValueError, match="has no use for --temperature"):
        pretext.colorize([Image.new("RGB", (8, 8))], run, temperature=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "resnet"), [("artistic", "resnet34"), ("stable", "resnet101")])
def test_its_encoder_starts_from_torchvision_s_resnet_and_gives_its_maps(variant, resnet, tmp_path):
    torch.manual_seed(0)
    classifier = torchvision.models.get_model(resnet).eval()
    torch.save(classifier.state_dict(), tmp_path / f"{resnet}.pth")
    network = build_network("deoldify", output="rgb", args={"variant": variant}).eval()
    origin = start_from(network, str(tmp_path / f"{resnet}.pth"), build_task("rgb_colorization", {}))
    assert origin.startswith("starts from the classifier of")
    luma = torch.rand(1, 1, 64, 64)
    seen = normalize(luma.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        theirs = nn.Sequential(*list(classifier.children())[:-2])(seen)
        ours = network.forward_stages(luma, ["layer4"])["layer4"]
    assert (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()
