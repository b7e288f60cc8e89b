"""`evaluate`, and `eval_colorization report` as a user types it, on small photographs and a small trained network."""

import inspect
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn
from torchvision import models

from eval_colorization.config import ReportConfig
from eval_colorization.evaluation import evaluate
from eval_colorization.metrics.recognition import Classifier
from eval_colorization.metrics.table import METRICS
from pretext.colorizer import Colorizer
from pretext.pretrained import load_pretrained
from tests.end_to_end.small_run import finish, start
from tests.eval_colorization.reporting import (
    SIDE,
    colorize_photos,
    measure,
    options,
    pale,
    read,
    rows,
    save_photos,
)
from tests.runtime.test_run_lock import hold

LAUNCHER = (sys.executable, "-m", "eval_colorization")


def numbers(out):
    """All that a report says but when and by which command it was made."""
    report = read(out)
    del report["manifest"]
    return report, (out / "per_image.csv").read_text()


def value(out, method, metric):
    methods = {found["name"]: found for found in read(out)["methods"]}
    return methods[method]["summaries"][metric]["value"]


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    """A report on the small network and a folder that holds the truth, and what was printed; not to be changed."""
    root = tmp_path_factory.mktemp("report")
    photos = save_photos(root / "photos")
    folder = colorize_photos(photos, root / "perfect")
    argv = ["report", run, *options(photos, root / "report", "--methods.perfect.folder", folder)]
    return root / "report", finish(list(map(str, argv)), launcher=LAUNCHER)


def test_a_report_has_every_method_and_every_file_that_it_promises(report):
    out, printed = report
    names = ["annealed mean", "mean", "mode", "top-5 mean", "perfect", "grey", "random", "truth"]
    assert [method["name"] for method in read(out)["methods"]] == names
    assert len(rows(out)) == 6 * len(names)
    for file in ("index.html", "report.json", "per_image.csv", "config.yaml", "figures/auc_curves.pdf"):
        assert (out / file).stat().st_size > 0
    assert str(out / "index.html") in printed
    assert all(name in printed for name in names)


def test_the_truth_and_a_folder_of_the_truth_are_perfect(report):
    out, _ = report
    for method in ("truth", "perfect"):
        assert value(out, method, "psnr") == "inf"
        for metric in ("mse", "ab_rmse", "ciede2000", "colourfulness_difference", "saturation_distance"):
            assert value(out, method, metric) == 0
        assert value(out, method, "palette_distance") == 0
        for metric, best in (("auc", 100), ("auc_rebalanced", 100), ("ssim", 1)):
            assert value(out, method, metric) == pytest.approx(best, abs=1e-9)


def test_grey_is_wrong_by_the_chroma_of_the_truth(report):
    """Without colour the ab error of a pixel is its true chroma, so ab-RMSE and AuC follow from scikit-image's Lab."""
    from eval_colorization.images import choose_images
    from pretext.images.crops import central_square

    out, _ = report
    source, _ = choose_images(str(out.parent / "photos"), subset="all", max_images=None)
    squares = [central_square(source.open(index), SIDE).permute(1, 2, 0).numpy() for index in range(6)]
    chroma = np.stack([np.hypot(*np.moveaxis(skimage.color.rgb2lab(s)[..., 1:], -1, 0)) for s in squares])
    assert value(out, "grey", "ab_rmse") == pytest.approx(np.sqrt((chroma**2).mean()), abs=0.01)
    curve = [(chroma <= threshold + 0.02).mean() for threshold in range(151)]
    assert value(out, "grey", "auc") == pytest.approx(100 * np.trapezoid(curve) / 150, abs=0.2)
    assert value(out, "grey", "colourfulness") == pytest.approx(0, abs=0.1)
    grey_image = rows(out)[("coffee/0.png", "grey")]
    assert (grey_image["psnr"], grey_image["grey_truth"]) == ("inf", "true")


def test_random_colours_are_wrong_by_those_of_two_images(tmp_path):
    """Two images of one colour each lend to one another: the error is the distance of the two colours."""
    two = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ((150, 120, 120), (120, 124, 140))]
    random = measure(two, {"copy": lambda grey: grey}).summaries["random"]
    lab = skimage.color.rgb2lab(np.array([[[150, 120, 120], [120, 124, 140]]], np.uint8))[0, :, 1:]
    assert random["ab_rmse"].value == pytest.approx(np.hypot(*(lab[0] - lab[1])), abs=0.7)  # 8 bits
    assert random["ssim"].value < 1


def test_what_was_not_computed_is_listed_with_the_reason_and_the_way_to_get_it(report):
    out, printed = report
    missing = {entry["metric"]: entry for entry in read(out)["not_computed"]}
    assert {"lpips", "fid", "accuracy", "diagnosticity", "cross_entropy"} == missing.keys()
    assert set(missing["cross_entropy"]["methods"]) == {"perfect", "grey", "random", "truth"}
    for entry in missing.values():
        assert entry["remedy"]
        assert entry["reason"] in printed
    computed = read(out)["methods"][0]["summaries"].keys()
    assert computed | missing.keys() >= METRICS.keys()


def test_the_manifest_says_how_to_make_the_numbers_again(report, run):
    out, _ = report
    manifest = read(out)["manifest"]
    assert manifest["images"]["number"] == 6
    assert manifest["images"]["grey truths"] == 1
    assert manifest["images"]["file formats"] == {".png": 6}
    assert "bilinear" in manifest["images"]["resize filter"]
    network = manifest["methods"]["mode"]
    assert network["checkpoint"] == str(run / "checkpoints" / "last.pt")
    assert network["sha256 of the weights"] == load_pretrained(run).sha256
    assert [m["weights"] for m in read(out)["methods"]] == [network["sha256 of the weights"]] * 4 + [None] * 4
    hashes = {name: method["sha256 of its pixels"] for name, method in manifest["methods"].items()}
    assert hashes["perfect"] == hashes["truth"]
    assert len(set(hashes.values())) == len(hashes) - 1
    assert manifest["environment"]["packages"]["torch"]


def test_labels_give_diagnosticity_by_entropy_and_every_metric_in_both_halves(run, photos):
    found = measure(photos, {"mode": run}, labels="folders").diagnosticity
    assert found.ordered_by == "ab entropy"
    assert [of_class.name for of_class in found.classes] == ["astronaut", "chelsea", "coffee"]
    assert {of_class.half for of_class in found.classes} == {"high", "low"}
    for half in ("high", "low"):
        assert found.halves[half]["mode"]["ssim"].value < 1


def test_a_classifier_of_the_users_own_recognises_truth_grey_and_colorized_images(run, photos, tmp_path):
    """A linear-looking one: an untrained SqueezeNet of three classes. That it is opened and asked is what counts."""
    torch.manual_seed(0)
    weights = tmp_path / "squeezenet.pth"
    torch.save(models.squeezenet1_1(num_classes=3).state_dict(), weights)
    classifier = {"classifier": "torchvision:squeezenet1_1", "classifier_weights": str(weights)}
    results = measure(photos, {"network": run}, labels="folders", **classifier)
    for method in ("truth", "grey", "random", "network"):
        assert 0 <= results.summaries[method]["accuracy"].value <= 100
    assert results.diagnosticity.ordered_by == "accuracy difference"


class Warmth(nn.Module):
    """Knows cold, grey and warm images apart, as classes 0, 1 and 2."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.0, 0.02, 0.0]))

    def forward(self, rgb):
        red, _, blue = rgb.mean(dim=(2, 3)).unbind(dim=1)
        return torch.stack([blue - red, 0 * red, red - blue], dim=1) + self.bias


def test_the_true_images_are_recognised_in_true_no_and_incongruent_colours(tmp_path, monkeypatch):
    """Orange cats in three folders: `warm` knows their colour, `grey` them without it, `cold` the opposite one."""
    for column, name in enumerate(("cold", "grey", "warm")):
        (tmp_path / "cats" / name).mkdir(parents=True)
        cat = Image.fromarray(skimage.data.chelsea()[60:160, 100 * column : 100 * column + 150])
        cat.save(tmp_path / "cats" / name / "cat.png")
    classifier = Classifier(Warmth(), prepare=lambda rgb: rgb, device=torch.device("cpu"))
    monkeypatch.setattr("eval_colorization.learned.open_classifier", lambda *_: classifier)
    named = {"labels": "folders", "classifier": "torchvision:vgg16", "resume_dir": tmp_path / "report"}
    methods = {"copy": lambda grey: grey}
    results = measure(tmp_path / "cats", methods, **named)
    found = results.diagnosticity
    assert {
        of.name: (of.accuracy_truth, of.accuracy_grey, of.accuracy_incongruent, of.half)
        for of in found.classes
    } == {"cold": (0, 0, 1, "low"), "grey": (0, 1, 0, "low"), "warm": (1, 0, 0, "high")}
    assert {
        half: {condition: of.value for condition, of in conditions.items()}
        for half, conditions in found.recognised.items()
    } == {
        "high": {"truth": 100, "grey": 0, "incongruent": 0},
        "low": {"truth": 0, "grey": 50, "incongruent": 50},
    }
    assert results.values["accuracy_incongruent"][0].tolist() == [100, 0, 0]

    # What was measured without the third condition is not taken for a part of it.
    stored = tmp_path / "report" / "parts" / "identity.json"
    identity = json.loads(stored.read_text())
    without = {key: value for key, value in identity.items() if not key.startswith("recognised in")}
    assert without != identity
    stored.write_text(json.dumps(without))
    with pytest.raises(ValueError, match="recognised in"):
        measure(tmp_path / "cats", methods, **named)


@pytest.mark.slow
def test_lpips_and_fid_are_measured_once_their_weights_are_there(run, photos, monkeypatch, learned_weights):
    monkeypatch.setenv("TORCH_HOME", str(learned_weights))
    results = measure(photos, {"network": run}, image_size=64)
    summaries = results.summaries
    assert summaries["truth"]["lpips"].value == 0
    assert summaries["truth"]["fid"].value == pytest.approx(0, abs=1e-6)
    assert summaries["grey"]["lpips"].value > 0
    assert summaries["random"]["fid"].value > 1e-3
    assert not {"lpips", "fid"} & {missing.metric for missing in results.not_computed}


@pytest.mark.slow
def test_a_report_that_was_killed_resumes_with_the_same_numbers(evaluate, run, photos, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for out, number in ((whole, None), (killed, signal.SIGKILL), (killed, signal.SIGTERM), (killed, None)):
        argv = ["report", str(run), *map(str, options(photos, out))]
        with start(argv, launcher=LAUNCHER) as process:
            output = ""
            for line in process.stdout:
                output += line
                if number and line.startswith("batch "):
                    process.send_signal(number)
                    number = None
                    break
            output += process.stdout.read()
        if out is whole or "index.html" in output:
            assert process.returncode == 0, output
    assert "resumes: " in output
    assert numbers(whole) == numbers(killed)


@pytest.mark.slow
def test_several_processes_give_the_numbers_of_one_process_of_several_threads_bit_for_bit(
    run, photos, tmp_path
):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--no_python")
    for out, launcher, threads in ((alone, (), 3), (shared, torchrun, 1)):
        argv = ["report", str(run), *map(str, options(photos, out))]
        finish(argv, launcher=[*launcher, *LAUNCHER], threads=threads)
    assert numbers(alone) == numbers(shared)


def test_another_evaluation_is_not_mixed_into_a_report(evaluate, run, report):
    out, _ = report
    status, _, complaint = evaluate("report", run, *options(out.parent / "photos", out, "--seed", 1))
    assert status == 2
    assert "seed: 0 there, 1 now" in complaint
    assert "choose another folder" in complaint


def test_a_recolorized_folder_is_not_taken_for_the_old_one(photos, tmp_path):
    folder = colorize_photos(photos, tmp_path / "colorized")
    measure(photos, {"other": folder}, resume_dir=tmp_path / "report")
    colorize_photos(photos, folder, pale)
    with pytest.raises(ValueError, match=r"folders\.other"):
        measure(photos, {"other": folder}, resume_dir=tmp_path / "report")


def test_a_missing_image_is_an_error_that_names_it_or_is_left_out_and_named(photos, tmp_path):
    folder = colorize_photos(photos, tmp_path / "colorized", pale, ".webp")
    (folder / "astronaut" / "0.webp").unlink()
    Image.new("RGB", (5, 5)).save(folder / "extra.png")
    with pytest.raises(
        ValueError, match=r"lacks 1 of 6 images of 'pale': astronaut/0.png; colorize them, or set"
    ):
        measure(photos, {"pale": folder}, resume_dir=tmp_path / "report")
    results = measure(photos, {"pale": folder}, resume_dir=tmp_path / "report", missing="leave_out")
    assert results.left_out == (("astronaut/0.png", f"pale ({folder}) has no such image"),)
    assert results.manifest["images"]["number"] == 5
    assert results.manifest["methods"]["pale"]["files without an original, ignored"] == ["extra.png"]


def test_broken_images_are_left_out_and_named_and_broken_colorized_ones_are_an_error(
    photos, tmp_path, capsys
):
    folder = colorize_photos(photos, tmp_path / "colorized")
    (photos / "coffee" / "150.png").write_bytes(b"no picture")
    results = measure(photos, {"other": folder})
    assert "left out: coffee/150.png (not an image" in capsys.readouterr().out
    assert results.left_out[0][0] == "coffee/150.png"
    (folder / "chelsea" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"chelsea/0.png cannot be read"):
        measure(photos, {"other": folder})
    assert len(measure(photos, {"other": folder}, missing="leave_out").images) == 4


def test_an_image_of_another_size_is_resized_and_counted_or_refused(photos, tmp_path):
    folder = colorize_photos(photos, tmp_path / "colorized")
    with Image.open(folder / "coffee" / "0.png") as picture:
        picture.resize((75, 50)).save(folder / "coffee" / "0.png")
    description = measure(photos, {"other": folder}).manifest["methods"]["other"]
    assert description["resized, as they had another size than their originals"] == 1
    Image.new("RGB", (50, 75)).save(folder / "coffee" / "0.png")
    with pytest.raises(
        ValueError, match=r"coffee/0.png has 50 x 75 pixels, its original coffee/0.png 150 x 100"
    ):
        measure(photos, {"other": folder})


def test_a_single_image_has_no_random_colours_and_the_report_says_so(photos):
    results = measure(photos / "astronaut", {"copy": lambda grey: grey}, max_images=1)
    assert "random" not in results.summaries
    assert "random colours" in [missing.metric for missing in results.not_computed]


def test_a_set_without_a_readable_image_is_an_error(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"no image could be read: a.png \(not an image"):
        measure(tmp_path, {"copy": lambda grey: grey})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "there is nothing to compare"),
        (["--model", "nowhere"], "there are no weights 'nowhere'"),
        (["--methods.grey.folder", "x"], "'grey' is always in a report"),
        (["--methods.x.folder", "nowhere"], "nowhere is not a folder"),
        (["--methods.x.decoding", "mode"], "method 'x' needs either a model or a folder"),
        (["--methods.x.decodin", "mode"], "decodin"),
        (["--classifier", "torchvision:vgg16", "--methods.x.folder", "PHOTOS"], "set labels: folders"),
        (["--subset", "ctest10k", "--methods.x.folder", "PHOTOS"], "10000 of 10000 images are not there"),
        (["--labels", "nowhere.csv", "--methods.x.folder", "PHOTOS"], "nowhere.csv"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(evaluate, photos, tmp_path, argv, message):
    argv = [str(photos) if word == "PHOTOS" else word for word in argv]
    status, _, complaint = evaluate("report", *options(photos, tmp_path / "report", *argv))
    assert status == 2
    assert message in complaint
    assert len(complaint.strip().splitlines()) == 1


def test_a_run_without_a_checkpoint_is_an_error(evaluate, photos, tmp_path):
    (tmp_path / "run").mkdir()
    status, _, complaint = evaluate("report", tmp_path / "run", *options(photos, tmp_path / "report"))
    assert status == 2
    assert "holds neither checkpoints/last.pt nor model.safetensors; train it first" in complaint


def test_help_answers_without_importing_torch():
    code = (
        "import sys; from eval_colorization.__main__ import main\n"
        "try: main(['report', '--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=os.environ)


def test_a_file_in_the_place_of_the_report_is_named_and_another_process_in_it_too(
    evaluate, run, photos, tmp_path
):
    (tmp_path / "file").touch()
    status, _, errors = evaluate("report", run, *options(photos, tmp_path / "file"))
    assert status == 2
    assert f"{tmp_path / 'file'} cannot be made a folder: File exists; choose another" in errors
    (tmp_path / "held").mkdir()
    with hold(tmp_path / "held") as holder:
        status, _, errors = evaluate("report", run, *options(photos, tmp_path / "held"))
        holder.stdin.close()
    assert status == 2
    assert f"{tmp_path / 'held'} is in use by process {holder.pid} on " in errors


def test_a_live_network_colorizer_and_function_are_measured_as_files_of_theirs_are(run, photos, tmp_path):
    pretrained = load_pretrained(run)
    colorizer = Colorizer(pretrained.network, pretrained.bins, size=pretrained.image_size)
    pictures = [Image.open(file).convert("RGB") for file in sorted(photos.rglob("*.png"))]

    def pale_function(grey):
        return Image.fromarray(pale(np.asarray(grey)))

    live = measure(pictures, {"network": pretrained, "colorizer": colorizer, "function": pale_function})
    named = measure(photos, {"network": run})
    for metric in ("psnr", "ab_rmse", "auc", "colourfulness"):
        expected = named.summaries["network"][metric].value
        assert live.summaries["network"][metric].value == expected
        temperature = pytest.approx(expected, rel=0.2)  # the run's own, and the paper's
        assert live.summaries["colorizer"][metric].value == temperature
    weights = {method.name: method.weights for method in live.methods}
    assert weights["network"] == weights["colorizer"] == pretrained.sha256
    assert weights["function"] is None
    assert live.summaries["function"]["colourfulness"].value > 0


def test_a_function_that_returns_another_size_is_told_what_is_expected(photos):
    with pytest.raises(ValueError, match=r"method 'small' must return a PIL image of the size .* \(48, 48\)"):
        measure(photos, {"small": lambda grey: grey.resize((10, 10))})


def test_the_function_has_the_defaults_of_the_command():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(evaluate).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("resume_dir", "world", "metrics")
    }
    config = ReportConfig(data="photos", out="report")
    assert defaults == {name: getattr(config, name) for name in defaults}
    assert {"data", "out", "model", "methods", "metrics", *defaults} == asdict(config).keys()
