"""Round trips of `pretext export` for every network: as timm and the Hub have it, in ONNX, as PyTorch's program.

Weights themselves, as safetensors, are the matter of test_pretrained.
"""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from torch import nn

from pretext.config import DataConfig, ExportConfig, NetworkConfig, TrainConfig
from pretext.export import export_weights
from pretext.networks import NETWORKS, build_network
from pretext.pretrained import load_pretrained
from pretext.runtime.checkpoint import save_checkpoint
from pretext.tasks import build_task

pytestmark = pytest.mark.usefixtures("unchecked_types")

# Network -> the task that it is exported for, and the width at which it is small.
TRAININGS = {
    "eccv16": ("colorization", 0.125),
    "siggraph17": ("hinted_colorization", 0.125),
    "alexnet": ("colorization", 0.125),
    "resnet50": ("colorization_regression", 0.125),
    "split_brain": ("split_brain", 0.125),
    "deoldify": ("rgb_colorization", 0.125),
    "dahl": ("uv_colorization", 0.125),
    "larsson": ("hue_chroma_colorization", 0.125),
    "scene_context": ("scene_context_colorization", 0.125),
    "timm:resnet18": ("colorization", 1.0),
    "timm:vit_tiny_patch16_224": ("colorization", 1.0),
}


def test_every_network_is_among_them():
    assert NETWORKS.keys() <= TRAININGS.keys()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of each network, as `pretext train` writes it, with statistics of BatchNorm that are not 0 and 1."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def write(name):
        path = folder / f"{name.replace(':', '_')}.pt"
        if not path.exists():
            task_name, width = TRAININGS[name]
            torch.manual_seed(0)
            task = build_task(task_name, {})
            network = build_network(name, output=task.output, width=width)
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_(std=0.1)
                    module.running_var.uniform_(0.5, 1.5)
            config = TrainConfig(
                data=DataConfig(train="sample", image_size=64),
                run_dir="run",
                steps=7,
                task=task_name,
                network=NetworkConfig(name=name, width=width),
            )
            state = {
                "step": 7,
                "network": network.state_dict(),
                "output": network.output,
                "task": task.state(),
            }
            save_checkpoint(path, {**state, "config": asdict(config)})
        return path

    return write


def export(model, out, format, **options):
    return export_weights(ExportConfig(model=str(model), out=out, format=format, **options))


@pytest.fixture(scope="module")
def rgb():
    """Two images, of a size with which no graph was recorded and which every network takes."""
    return torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def expected(model, rgb, names):
    """What the network itself computes."""
    network = load_pretrained(model).network
    with torch.inference_mode():
        seen = network.see(rgb)
        results = network.forward_stages(seen, [name for name in names if name in network.stages])
        if "output" in names:
            answer = network(seen)
            results |= answer if isinstance(answer, dict) else {"output": answer}
    return results


def assert_equal_but_for_arithmetic(results, references):
    """To 1e-4 of the largest value: a graph holds the formula of Lab, the network's CPU path is within 0.001 of it."""
    assert list(results) == list(references)
    for name, reference in references.items():
        error = (torch.as_tensor(results[name]) - reference).abs().max()
        assert error < 1e-4 * reference.abs().max(), name


@pytest.mark.parametrize("name", TRAININGS)
def test_a_folder_for_the_hub_opens_here_and_in_timm_with_the_same_weights(name, checkpoint, rgb, tmp_path):
    timm = pytest.importorskip("timm", reason="pip install 'colorization-benchmark[timm]'")
    import pretext.timm_models  # noqa: F401

    folder = export(checkpoint(name), tmp_path / "hub", "hub")
    opened = load_pretrained(folder)
    assert opened.sha256 == load_pretrained(checkpoint(name)).sha256
    backbone = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True).eval()
    info = backbone.feature_info
    names = info.module_name()
    specs = [opened.network.stages[stage] for stage in names]
    assert list(zip(info.channels(), info.reduction(), strict=True)) == specs
    with torch.inference_mode():
        for map, reference in zip(backbone(rgb), expected(folder, rgb, names).values(), strict=True):
            assert torch.equal(map, reference)


def test_a_timm_model_takes_what_timm_s_models_take(checkpoint, rgb, tmp_path):
    timm = pytest.importorskip("timm", reason="pip install 'colorization-benchmark[timm]'")
    import pretext.timm_models  # noqa: F401

    source = f"local-dir:{export(checkpoint('eccv16'), tmp_path / 'hub', 'hub')}"
    two = timm.create_model(source, pretrained=True, features_only=True, out_indices=(1, -1))
    assert two.feature_info.module_name() == ["conv2", "conv7"]
    classifier = timm.create_model(source, pretrained=True, num_classes=10, global_pool="max").eval()
    with torch.inference_mode():
        deepest, (last,) = classifier.forward_intermediates(rgb, indices=1)
        assert torch.equal(deepest, last)
        assert torch.equal(deepest, classifier.forward_features(rgb))
        assert torch.equal(classifier(rgb), classifier.get_classifier()(deepest.amax(dim=(2, 3))))
    classifier.reset_classifier(3, "avg")
    assert classifier(rgb).shape == (2, 3)
    data = timm.data.resolve_model_data_config(classifier)
    assert (data["mean"], data["std"], data["input_size"]) == ([0.0] * 3, [1.0] * 3, [3, 64, 64])
    with pytest.raises(ValueError, match="take RGB, not 1 channels"):
        timm.create_model("colorization_backbone", in_chans=1)


def test_a_model_card_is_written_once_and_says_what_the_user_said(checkpoint, tmp_path, capsys):
    (tmp_path / "card.yaml").write_text("title: Blue skies\ndata: {photographs: 12}\n")
    folder = export(
        checkpoint("eccv16"), tmp_path / "hub", "hub", card=tmp_path / "card.yaml", precision="float16"
    )
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: timm\n")
    assert "\n# Blue skies\n" in card
    assert "\ndata:\n  photographs: 12\n" in card
    assert load_pretrained(folder).sha256 in card
    assert "\n| conv3 | 32 | 8 |\n" in card
    (folder / "README.md").write_text("edited")
    export(checkpoint("eccv16"), folder, "hub")
    assert (folder / "README.md").read_text() == "edited"
    assert "README.md stays as it is" in capsys.readouterr().out


GRAPHS = [name if name == "eccv16" else pytest.param(name, marks=pytest.mark.slow) for name in TRAININGS]


@pytest.mark.parametrize("name", GRAPHS)
def test_onnx_runtime_computes_what_the_network_does_at_any_size(name, checkpoint, rgb, tmp_path):
    onnxruntime = pytest.importorskip(
        "onnxruntime", reason="pip install 'colorization-benchmark[onnx]' onnxruntime"
    )
    model = checkpoint(name)
    names = [*load_pretrained(model).network.stages, "output"]
    file = export(model, tmp_path / "network.onnx", "onnx", outputs=names)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    outputs = [output.name for output in session.get_outputs()]
    results = dict(zip(outputs, session.run(None, {"rgb": rgb.numpy()}), strict=True))
    assert_equal_but_for_arithmetic(results, expected(model, rgb, names))
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["outputs"]) == outputs
    assert (metadata["network"], metadata["sha256"]) == (name, load_pretrained(model).sha256)


@pytest.mark.parametrize("name", GRAPHS)
def test_an_exported_program_runs_without_this_project(name, checkpoint, rgb, tmp_path):
    model = checkpoint(name)
    names = [*load_pretrained(model).network.stages, "output"]
    file = export(model, tmp_path / "network.pt2", "torch_export", outputs=names)
    torch.save(rgb, tmp_path / "rgb.pt")
    code = """
import sys, torch
program = torch.export.load("network.pt2")
with torch.inference_mode():
    torch.save(program.module()(torch.load("rgb.pt")), "results.pt")
assert "pretext" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert_equal_but_for_arithmetic(torch.load(tmp_path / "results.pt"), expected(model, rgb, names))
    assert file == tmp_path / "network.pt2"


@pytest.mark.filterwarnings(
    "ignore:The given buffer is not writable"
)  # of PyTorch 2.9 when it loads a program
def test_colours_come_out_of_a_graph_as_the_colorizer_predicts_them(checkpoint, rgb, tmp_path):
    model = checkpoint("eccv16")
    file = export(model, tmp_path / "network.pt2", "torch_export", outputs=["ab"], size=64)
    trained = load_pretrained(model)
    images = rgb[:, :, :64]
    with torch.inference_mode():
        lightness = trained.network.see(images)
        reference = {"ab": trained.colorization.colorizer(trained.network).predict_ab(lightness)}
        assert_equal_but_for_arithmetic(torch.export.load(file).module()(images), reference)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"format": "onnx", "outputs": ["conv9"]},
            r"no output 'conv9' \(did you mean 'conv8'\?\); valid names are conv1",
        ),
        (
            {"format": "hub", "outputs": ["conv1"]},
            "outputs means nothing for --format hub; leave --outputs out",
        ),
        ({"format": "safetensors", "size": 64}, "size means nothing for --format safetensors"),
        ({"format": "onnx", "precision": "float16"}, "precision means nothing for --format onnx"),
    ],
)
def test_a_key_without_a_meaning_is_refused(options, message, checkpoint, tmp_path):
    with pytest.raises(ValueError, match=message):
        export(checkpoint("eccv16"), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings(
    "ignore:Fail to import ``MultiScaleDeformableAttention``"
)  # of mmcv without its kernels
def test_mmsegmentation_and_detectron2_take_the_timm_model(checkpoint, rgb, tmp_path):
    pytest.importorskip("mmseg", reason="make segmentation")
    pytest.importorskip("detectron2", reason="make detection")
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import MMDetBackbone
    from mmseg.models.backbones import TIMMBackbone

    import pretext.timm_models  # noqa: F401

    folder = export(checkpoint("resnet50"), tmp_path / "hub", "hub")
    of_mmlab = TIMMBackbone(f"local-dir:{folder}", out_indices=(1, 3)).eval()
    references = expected(folder, rgb, ["layer2", "layer4"])
    stages = load_pretrained(folder).network.stages
    shapes = [ShapeSpec(channels=stages[name].channels, stride=stages[name].stride) for name in references]
    of_detectron2 = MMDetBackbone(of_mmlab, output_shapes=shapes, output_names=list(references)).eval()
    with torch.inference_mode():
        maps = of_mmlab(rgb)
        assert all(map(torch.equal, maps, references.values()))
        named = of_detectron2(rgb)
    assert {
        name: ShapeSpec(channels=map.shape[1], stride=96 // map.shape[2]) for name, map in named.items()
    } == (of_detectron2.output_shape())
    assert all(torch.equal(named[name], reference) for name, reference in references.items())
