"""Backbones of torchvision and timm, against the libraries' own way of taking features and preparing images."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from transfer.backbone import TransferBackbone, open_backbone
from transfer.config import BackboneConfig

RESNET18_FILE = "hub/checkpoints/resnet18-f37072fd.pth"
TIMM = "mobilenetv3_small_050.lamb_in1k"
TIMM_FOLDER = "models--timm--mobilenetv3_small_050.lamb_in1k"
IMAGENET = models.ResNet18_Weights.DEFAULT.transforms()

# torchvision's names of the layers where each stage ends.
TORCHVISION_NODES = {
    "alexnet": {"conv1": 1, "conv2": 4, "conv3": 7, "conv4": 9, "conv5": 11},
    "vgg11": {"conv1": 1, "conv2": 4, "conv3": 9, "conv4": 14, "conv5": 19},
}

INITIALISED = {"googlenet": {"init_weights": True}}  # without, it warns


def rgb(size: int = 64) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def normalised(size: int = 64) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET.mean, IMAGENET.std))
    return (rgb(size) - mean) / std


def seeded(build: Callable[[], nn.Module], seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build().eval()


def resnet18(num_classes: int = 1000) -> nn.Module:
    return seeded(lambda: models.resnet18(num_classes=num_classes))


def open_network(model: str, weights: Path | None = None, seed: int = 3) -> TransferBackbone:
    config = BackboneConfig(model=model, weights=str(weights) if weights else None)
    return open_backbone(config, seed).network


@torch.no_grad()
def all_stages(network: TransferBackbone, size: int = 64) -> dict[str, Tensor]:
    outputs = network.forward_stages(rgb(size), network.stages)
    assert list(outputs) == list(network.stages)
    for name, spec in network.stages.items():
        assert outputs[name].shape[1] == spec.channels
        assert outputs[name].shape[-1] == pytest.approx(size / spec.stride, abs=1)
    return outputs


@torch.no_grad()
def assert_layers_of_resnet18(network: TransferBackbone, expected: nn.Module) -> None:
    nodes = {f"layer{number}": f"layer{number}" for number in (1, 2, 3, 4)}
    torch.testing.assert_close(
        all_stages(network), create_feature_extractor(expected, nodes)(normalised()), rtol=0, atol=0
    )


@pytest.mark.parametrize("architecture", TORCHVISION_NODES)
@torch.no_grad()
def test_stages_of_alexnet_and_vgg_are_the_relus_that_torchvisions_feature_extractor_finds(
    architecture: str,
) -> None:
    network = open_network(f"random:torchvision:{architecture}")
    assert not any("classifier" in name for name, _ in network.named_parameters())
    expected = seeded(lambda: models.get_model(architecture))
    nodes = {f"features.{index}": stage for stage, index in TORCHVISION_NODES[architecture].items()}
    extractor = create_feature_extractor(expected, nodes)
    torch.testing.assert_close(all_stages(network), extractor(normalised()), rtol=0, atol=0)


def test_stages_of_a_resnet_are_its_four_layers_with_the_strides_of_the_paper() -> None:
    network = open_network("random:torchvision:resnet18")
    assert_layers_of_resnet18(network, resnet18())
    assert [spec.stride for spec in network.stages.values()] == [4, 8, 16, 32]  # He et al. (2016), table 1
    assert [spec.channels for spec in network.stages.values()] == [64, 128, 256, 512]


# The modules that end each resolution, in the tables of the papers: MobileNetV2, EfficientNet, ConvNeXt and Swin.
LAST_BLOCKS = {
    "mobilenet_v2": {"features.1": 2, "features.3": 4, "features.6": 8, "features.13": 16, "features.18": 32},
    "efficientnet_b0": {
        "features.1": 2,
        "features.2": 4,
        "features.3": 8,
        "features.5": 16,
        "features.8": 32,
    },
    "convnext_tiny": {"features.1": 4, "features.3": 8, "features.5": 16, "features.7": 32},
    "swin_t": {"features.1": 4, "features.3": 8, "features.5": 16, "permute": 32},
    "googlenet": {"conv1": 2, "conv3": 4, "inception3b": 8, "inception4e": 16, "inception5b": 32},
}


@pytest.mark.parametrize("architecture", LAST_BLOCKS)
@torch.no_grad()
def test_stages_of_other_networks_are_the_outputs_of_the_last_block_of_each_resolution(
    architecture: str,
) -> None:
    network = open_network(f"random:torchvision:{architecture}")
    assert {name: spec.stride for name, spec in network.stages.items()} == LAST_BLOCKS[architecture]
    expected = seeded(lambda: models.get_model(architecture, **INITIALISED.get(architecture, {})))
    outputs: dict[str, Tensor] = {}
    for name in network.stages:
        block = expected.get_submodule(name)
        block.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output}))
    expected(normalised())
    for name, mine in all_stages(network).items():
        theirs = (
            outputs[name].movedim(-1, 1) if architecture == "swin_t" and name != "permute" else outputs[name]
        )
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, msg=name)


@torch.no_grad()
def test_stages_of_a_vision_transformer_are_the_tokens_of_its_layers_as_maps_of_their_patches() -> None:
    network = open_network("random:torchvision:vit_b_32")
    assert list(network.stages) == [f"encoder.layers.encoder_layer_{number}" for number in range(12)]
    expected = seeded(lambda: models.get_model("vit_b_32"))
    tokens: list[Tensor] = []
    expected.encoder.layers[-1].register_forward_hook(lambda _, __, output: tokens.append(output))
    expected(normalised(224))
    last = list(all_stages(network, 224).values())[-1]
    assert torch.equal(last[:, :, 2, 3], tokens[0][:, 1 + 2 * 7 + 3])
    with pytest.raises(ValueError, match=r"takes images of 224 x 224 px only, got 64 x 64 px"):
        network.forward_stages(rgb(), network.stages)


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [
        "densenet121",
        "efficientnet_v2_s",
        "inception_v3",
        "maxvit_t",
        "mnasnet0_5",
        "mobilenet_v3_small",
        "regnet_y_400mf",
        "shufflenet_v2_x0_5",
        "squeezenet1_1",
        "swin_v2_t",
    ],
)
def test_all_families_of_torchvision_open(architecture: str) -> None:
    strides = [spec.stride for spec in open_network(f"random:torchvision:{architecture}").stages.values()]
    assert strides in ([2, 4, 8, 16, 32], [4, 8, 16, 32], [2, 4, 8, 16])


@torch.no_grad()
def test_a_published_file_of_mobilenet_gives_the_features_from_which_its_classifier_decides(
    tmp_path: Path,
) -> None:
    expected = seeded(lambda: models.mobilenet_v2(num_classes=7))
    torch.save(expected.state_dict(), tmp_path / "mobilenet_v2-b0353104.pth")
    network = open_network("torchvision:mobilenet_v2", tmp_path / "mobilenet_v2-b0353104.pth")
    features = all_stages(network)["features.18"].mean(dim=(2, 3))
    torch.testing.assert_close(expected.classifier(features), expected(normalised()))


@pytest.mark.parametrize("architecture", ["resnet18", "convnext_atto"])
@torch.no_grad()
def test_stages_of_a_timm_network_are_those_of_its_features_only_form(architecture: str) -> None:
    network = open_network(f"random:timm:{architecture}")
    expected = seeded(lambda: timm.create_model(architecture, features_only=True))
    assert list(network.stages) == expected.feature_info.module_name()
    for mine, theirs in zip(all_stages(network).values(), expected(normalised()), strict=True):
        assert torch.equal(mine, theirs)


def test_maps_of_a_timm_transformer_have_their_channels_first_and_its_size_is_asked_for() -> None:
    network = open_network("random:timm:swin_tiny_patch4_window7_224")
    assert all_stages(network, 224)["layers.0"].shape == (2, 96, 56, 56)
    with pytest.raises(
        ValueError, match=r"takes images of 224 x 224 px only, got 64 x 64 px; set data\.crop_size"
    ):
        network.forward_stages(rgb(), ["layers.0"])


def test_stages_of_one_timm_module_are_told_apart() -> None:
    assert list(open_network("random:timm:crossvit_9_240").stages) == ["blocks.2#1", "blocks.2#2"]


def test_a_file_of_moco_gives_its_query_encoder_and_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys of MoCo's `main_moco.py`: two encoders with heads and a queue."""
    expected, keys = resnet18(num_classes=128), seeded(lambda: models.resnet18(num_classes=128), seed=4)
    state = {f"module.encoder_q.{name}": tensor for name, tensor in expected.state_dict().items()}
    state |= {f"module.encoder_k.{name}": tensor for name, tensor in keys.state_dict().items()}
    state |= {"module.queue": torch.zeros(128, 8)}
    torch.save({"epoch": 1, "arch": "resnet18", "state_dict": state}, tmp_path / "moco.pth.tar")
    network = open_network("torchvision:resnet18", tmp_path / "moco.pth.tar")
    assert_layers_of_resnet18(network, expected)
    left_out = len(keys.state_dict()) + 2 + 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "moco.pth.tar: 120 tensors under 'state_dict.module.encoder_q.' are those of the backbone" in line
    assert f"left out {left_out}: state_dict.module.encoder_q.fc.weight, " in line


@torch.no_grad()
def test_a_plain_timm_file_fits_the_flattened_names_of_the_features(tmp_path: Path) -> None:
    expected = seeded(lambda: timm.create_model("convnext_atto", num_classes=7))
    save_file(expected.state_dict(), tmp_path / "convnext.safetensors")
    network = open_network("timm:convnext_atto", tmp_path / "convnext.safetensors")
    last = list(all_stages(network).values())[-1]
    torch.testing.assert_close(
        last, expected.forward_intermediates(normalised(), intermediates_only=True)[-1]
    )


def test_a_file_that_lacks_a_layer_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = resnet18().state_dict()
    save_file({f"module.{k}": v for k, v in state.items() if not k.startswith("layer3.0.conv2")}, path)
    with pytest.raises(
        ValueError,
        match=r"weights\.safetensors .* of their 100 tensors it lacks, .* 1: layer3\.0\.conv2\.weight",
    ):
        open_network("torchvision:resnet18", path)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_missing_or_damaged_weights_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        open_network("torchvision:resnet18", tmp_path / name)
    (tmp_path / name).write_bytes(b"cut short")
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        open_network("torchvision:resnet18", tmp_path / name)


def test_torchvisions_pretrained_weights_are_taken_from_where_torch_downloads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"weights of torchvision:resnet18 are not in .*: download https"):
        open_network("torchvision:resnet18")
    (tmp_path / RESNET18_FILE).parent.mkdir(parents=True)
    expected = resnet18()
    torch.save(expected.state_dict(), tmp_path / RESNET18_FILE)
    assert_layers_of_resnet18(open_network("torchvision:resnet18", seed=0), expected)


@torch.no_grad()
def test_timms_pretrained_weights_are_taken_from_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=f"weights of timm:{TIMM} are not in .*: hf download timm/{TIMM}"):
        open_network(f"timm:{TIMM}")
    snapshot = tmp_path / TIMM_FOLDER / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    expected = seeded(lambda: timm.create_model(TIMM))
    save_file(expected.state_dict(), snapshot / "model.safetensors")
    (tmp_path / TIMM_FOLDER / "refs").mkdir()
    (tmp_path / TIMM_FOLDER / "refs" / "main").write_text("0123")
    outputs = all_stages(open_network(f"timm:{TIMM}", seed=0))
    intermediate = expected.forward_intermediates(normalised(), intermediates_only=True)
    torch.testing.assert_close(list(outputs.values())[-1], intermediate[-1])


def test_a_backbone_with_weights_of_a_file_is_called_after_both(tmp_path: Path) -> None:
    torch.save(resnet18().state_dict(), tmp_path / "moco_v2.pth")
    config = BackboneConfig(model="torchvision:resnet18", weights=str(tmp_path / "moco_v2.pth"))
    assert open_backbone(config, 0).name == "torchvision resnet18 moco_v2"


def test_timm_that_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs the package timm.*colorization-benchmark\[timm\]"):
        open_network("timm:resnet18")


def test_a_timm_network_that_gives_no_features_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = timm.create_model

    def refuse(architecture: str, features_only: bool = False) -> nn.Module:
        if not features_only:
            return whole(architecture)
        raise RuntimeError(f"features_only not implemented for {architecture}")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ValueError, match=r"timm gives no features of resnet18.*choose another"):
        open_network("random:timm:resnet18")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("torchvision:vg16", r"no torchvision backbone 'vg16' \(did you mean 'vgg16'"),
        ("torchvision:densnet121", r"no torchvision backbone 'densnet121' \(did you mean 'densenet121'\?\)"),
        ("timm:resnet5O", r"timm has no network 'resnet5O' \(did you mean 'resnet50'"),
    ],
)
def test_a_network_that_a_library_lacks_is_an_error_with_the_nearest_that_it_has(
    model: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_network(model)
