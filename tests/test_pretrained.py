import json

import colorizers
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pretext.color.bins import AbBins
from pretext.config import ExportConfig
from pretext.export import export_weights
from pretext.networks import build_network
from pretext.pretrained import SHIPPED_WEIGHTS, load_pretrained
from tests.end_to_end.small_run import trained


@pytest.fixture(scope="module")
def published_eccv16(tmp_path_factory):
    """The published class with random weights and the published bin centres, saved as the release is."""
    torch.manual_seed(0)
    network = colorizers.ECCVGenerator().eval()
    network.model_out.weight.data = AbBins.published().centres.T[:, :, None, None] / 110
    path = tmp_path_factory.mktemp("published") / "colorization_release_v2-9b330a0b.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_the_published_eccv16_opens_with_its_bins_and_paints_as_its_own_class(published_eccv16):
    network, path = published_eccv16
    opened = load_pretrained(path)
    assert (opened.name, opened.temperature, opened.step) == ("eccv16", 1.0, None)
    lightness = torch.rand(1, 1, 64, 64) * 100
    from pretext.colorizer import Colorizer

    colorizer = Colorizer(opened.network, opened.bins, temperature=opened.temperature)
    with torch.inference_mode():
        torch.testing.assert_close(colorizer.predict_ab(lightness), network(lightness), atol=1e-3, rtol=1e-4)


def test_the_published_siggraph17_opens_as_the_regression_that_its_class_computes(tmp_path):
    torch.manual_seed(0)
    network = colorizers.SIGGRAPHGenerator().eval()
    torch.save(network.state_dict(), tmp_path / "siggraph17-df00044c.pth")
    opened = load_pretrained(tmp_path / "siggraph17-df00044c.pth")
    assert (opened.name, opened.bins) == ("siggraph17", None)
    lightness = torch.rand(1, 1, 32, 32) * 100
    with torch.inference_mode():
        torch.testing.assert_close(opened.network(lightness) * 110, network(lightness), atol=1e-3, rtol=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run", steps=2)


def export(run, out, **options):
    return export_weights(ExportConfig(model=str(run), out=out, **options))


def test_a_run_its_checkpoint_and_its_export_hold_the_same_network(run, tmp_path):
    exported = export(run, tmp_path / "weights.safetensors")
    opened = [load_pretrained(path) for path in (run, run / "checkpoints" / "last.pt", exported)]
    assert [of.origin for of in opened[1:]] == [str(run / "checkpoints" / "last.pt"), str(exported)]
    for other in opened[1:]:
        assert (other.name, other.network.width, other.step) == ("eccv16", 0.125, 2)
        assert other.sha256 == opened[0].sha256
        assert other.config["data"]["train"] == "sample"
        assert torch.equal(other.bins.centres, opened[0].bins.centres)
        assert torch.equal(other.bins.prior, opened[0].bins.prior)
        for name, tensor in opened[0].network.state_dict().items():
            assert torch.equal(other.network.state_dict()[name], tensor), name


def test_an_export_says_all_that_others_need_to_use_it(run, tmp_path):
    with safe_open(export(run, tmp_path / "weights.safetensors"), framework="pt") as file:
        metadata = file.metadata()
    assert metadata["normalisation"] == "(L - 50) / 100"
    bins = json.loads(metadata["task_state"])
    assert len(bins["centres"]) == len(bins["prior"]) == 313
    assert sum(bins["prior"]) == pytest.approx(1)


def test_an_export_in_half_precision_is_half_as_large_and_rounds_each_number_once(run, tmp_path):
    exported = export(run, tmp_path / "float32.safetensors")
    half = export(run, tmp_path / "float16.safetensors", precision="float16")
    assert half.stat().st_size < 0.55 * exported.stat().st_size
    weights, rounded = (load_pretrained(path).network.state_dict() for path in (run, half))
    for name, tensor in weights.items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(rounded[name], expected), name


def test_a_card_joins_the_metadata_of_an_export(run, tmp_path):
    card, out = tmp_path / "card.yaml", tmp_path / "weights.safetensors"
    card.write_text("licence: MIT\nfigures: {auc: 77.5}\n")
    with safe_open(export(run, out, card=card), framework="pt") as file:
        metadata = file.metadata()
    assert metadata["licence"] == "MIT"
    assert json.loads(metadata["figures"]) == {"auc": 77.5}
    for content, message in (
        ("step: 3", r"card\.yaml has the keys step, which an export writes itself"),
        ("[1, 2]", r"card\.yaml holds a list, expected keys with values"),
        ("a: [", r"card\.yaml is not YAML"),
    ):
        card.write_text(content)
        with pytest.raises(ValueError, match=message):
            export(run, out, card=card)
    with pytest.raises(FileNotFoundError, match="there is no card"):
        export(run, out, card=tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", SHIPPED_WEIGHTS)
def test_a_shipped_network_opens_by_its_name_with_all_that_its_use_needs(name):
    shipped = load_pretrained(name)
    assert shipped.path.stat().st_size < 17e6
    assert shipped.origin == name
    assert torch.equal(shipped.bins.centres, AbBins.published().centres)
    assert shipped.config["network"] == {"name": shipped.name, "width": shipped.network.width}
    assert all(tensor.isfinite().all() for tensor in shipped.network.state_dict().values())


def test_an_unknown_name_lists_the_shipped_networks_and_the_forms_that_are_accepted():
    with pytest.raises(
        FileNotFoundError,
        match=r"no weights 'eccv16-photos' \(did you mean 'eccv16-photographs'\?\): give a shipped network "
        r"\(eccv16-photographs\), a run directory, a checkpoint, a file of `pretext export`, or a published \.pth",
    ):
        load_pretrained("eccv16-photos")


def test_an_installation_without_the_shipped_file_says_where_it_belongs(monkeypatch, tmp_path):
    monkeypatch.setitem(SHIPPED_WEIGHTS, "eccv16-photographs", tmp_path / "eccv16-photographs.safetensors")
    with pytest.raises(FileNotFoundError, match=r"lacks the weights of eccv16-photographs.*install .* again"):
        load_pretrained("eccv16-photographs")


def test_what_is_no_trained_network_is_refused_with_its_name(tmp_path, run):
    with pytest.raises(FileNotFoundError, match=r"there are no weights .*nowhere"):
        load_pretrained(tmp_path / "nowhere")
    with pytest.raises(
        ValueError, match=r"holds neither checkpoints/last\.pt nor model\.safetensors; train it"
    ):
        load_pretrained(tmp_path)
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth is neither of `pretext train`.*conv1\.weight"):
        load_pretrained(tmp_path / "other.pth")
    save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    torch.save(
        {"params": {"encoder.arch.downsample_layers.0.0.weight": torch.zeros(2)}}, tmp_path / "ddcolor.pth"
    )
    with pytest.raises(ValueError, match=r"ddcolor\.pth holds DDColor.*compare the pictures as --methods"):
        load_pretrained(tmp_path / "ddcolor.pth")
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "vgg16.pth")
    with pytest.raises(
        ValueError, match=r"holds a classifier such as VGG-16.*--init to a training of dahl or larsson"
    ):
        load_pretrained(tmp_path / "vgg16.pth")
    for name, kind in (
        ("release.caffemodel", "a binary file of Caffe"),
        ("colorize.tfmodel", "of TensorFlow"),
    ):
        (tmp_path / name).write_bytes(b"\n\x0eLtoAB")
        with pytest.raises(ValueError, match=rf"{name} .*{kind}"):
            load_pretrained(tmp_path / name)
    with pytest.raises(ValueError, match=r"other\.safetensors is neither of .*first keys are w"):
        load_pretrained(tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes()[:20])
    with pytest.raises(ValueError, match=r"cut\.safetensors cannot be read as safetensors"):
        load_pretrained(tmp_path / "cut.safetensors")
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    state["config"]["network"]["name"] = "resnet50"
    torch.save(state, tmp_path / "mixed.pt")
    with pytest.raises(ValueError, match=r"mixed\.pt does not hold the weights of resnet50 \(width 0\.125\)"):
        load_pretrained(tmp_path / "mixed.pt")


def test_published_weights_open_the_same_however_a_training_loop_wrapped_them(published_eccv16, tmp_path):
    plain, weights = load_pretrained(published_eccv16[1]), published_eccv16[0].state_dict()
    wrapped = {f"_orig_mod.module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "wrapped.pth")
    converted = {f"model.network.{name}": tensor.contiguous() for name, tensor in weights.items()}
    save_file(converted, tmp_path / "converted.safetensors")
    for name in ("wrapped.pth", "converted.safetensors"):
        opened = load_pretrained(tmp_path / name)
        assert (opened.name, opened.sha256) == (plain.name, plain.sha256)


def test_a_run_s_checkpoint_opens_the_same_when_its_network_was_wrapped(run, tmp_path):
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    state["network"] = {f"_orig_mod.module.{name}": tensor for name, tensor in state["network"].items()}
    torch.save(state, tmp_path / "wrapped.pt")
    assert load_pretrained(tmp_path / "wrapped.pt").sha256 == load_pretrained(run).sha256


def test_a_checkpoint_of_another_project_with_a_configuration_is_not_taken_for_a_run_s(
    published_eccv16, tmp_path
):
    torch.save(
        {"config": {"lr": 0.1}, "model": published_eccv16[0].state_dict()}, tmp_path / "with_config.pth"
    )
    assert load_pretrained(tmp_path / "with_config.pth").name == "eccv16"


@pytest.mark.parametrize(
    ("objective", "task"),
    [("rebalanced_classification", "colorization"), ("regression", "colorization_regression")],
)
def test_a_checkpoint_from_before_there_were_tasks_opens(run, tmp_path, objective, task):
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    config, bins = state.pop("config"), state.pop("task")
    for key in ("task", "task_args"):
        del config[key]
    config["objective"] = {"name": objective, "temperature": 0.5}
    if objective == "regression":
        network = build_network("eccv16", output="ab", width=0.125)
        state, bins = state | {"network": network.state_dict()}, None
    torch.save(state | {"config": config, "bins": bins}, tmp_path / "old.pt")
    opened = load_pretrained(tmp_path / "old.pt")
    assert opened.task_name == task
    if bins:
        assert opened.temperature == 0.5
        assert torch.equal(opened.bins.centres, bins["centres"])
    else:
        assert opened.bins is None


def test_weights_with_a_nan_are_an_error_that_names_file_and_tensor(run, published_eccv16, tmp_path):
    published = {name: tensor.clone() for name, tensor in published_eccv16[0].state_dict().items()}
    published["model3.2.weight"][0, 0, 0, 0] = float("nan")
    torch.save(published, tmp_path / "published.pth")
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    state["network"]["model3.2.weight"][0] = float("inf")
    torch.save(state, tmp_path / "run.pt")
    with safe_open(export(run, tmp_path / "weights.safetensors"), framework="pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "sha256"}
    weights = {name: tensor.contiguous() for name, tensor in state["network"].items()}
    save_file(weights, tmp_path / "export.safetensors", metadata)
    for name in ("published.pth", "run.pt", "export.safetensors"):
        with pytest.raises(ValueError, match=rf"{name} holds NaN or infinite values in 1: model3\.2\.weight"):
            load_pretrained(tmp_path / name)


def test_a_byte_that_flips_in_an_export_is_found(run, tmp_path):
    path = export(run, tmp_path / "weights.safetensors")
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for place in (8 + header + 100, len(whole) - 1, whole.index(b"prior") + 14, whole.index(b"0.38")):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"weights\.safetensors is damaged: .*SHA-256"):
            load_pretrained(path)


def test_an_export_of_before_its_hash_opens_and_one_with_broken_metadata_is_named(run, tmp_path):
    with safe_open(export(run, tmp_path / "weights.safetensors"), framework="pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "sha256"}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    old = tmp_path / "old.safetensors"
    save_file(weights, old, metadata)
    assert load_pretrained(old).sha256 == load_pretrained(run).sha256
    for key, value in (("task_state", "[[0, "), ("step", "many"), ("width", "")):
        save_file(weights, old, metadata | {key: value})
        with pytest.raises(ValueError, match=r"old\.safetensors has unusable metadata of `pretext export`"):
            load_pretrained(old)


def test_published_weights_over_other_bins_are_refused(tmp_path, published_eccv16):
    weights = {name: tensor.clone() for name, tensor in published_eccv16[0].state_dict().items()}
    weights["model_out.weight"] += 0.05
    torch.save(weights, tmp_path / "other_bins.pth")
    with pytest.raises(ValueError, match="other bin centres"):
        load_pretrained(tmp_path / "other_bins.pth")
