"""Classifiers on self-made weights, against the libraries' own way of opening them and preparing images."""

import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from eval_colorization.metrics.recognition import open_classifier
from pretext.optional import NotAvailableError
from tests.eval_colorization.metrics.photographs import photographs

CPU = torch.device("cpu")
# Small ones: the weights of the paper's VGG-16 take half a gigabyte.
TORCHVISION = "squeezenet1_1"
TORCHVISION_FILE = "hub/checkpoints/squeezenet1_1-b8a52dc0.pth"
TIMM = "mobilenetv3_small_050.lamb_in1k"
TIMM_FOLDER = "models--timm--mobilenetv3_small_050.lamb_in1k"


def lively(network: nn.Module) -> nn.Module:
    """`network` with random weights that tell images apart."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
    return network.eval()


def squeezenet(num_classes: int) -> nn.Module:
    return lively(torchvision.models.get_model(TORCHVISION, num_classes=num_classes))


def mobilenet(num_classes: int) -> nn.Module:
    return lively(timm.create_model(TIMM, num_classes=num_classes))


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Photographs larger than the classifiers look at, on their side, and with other colours."""
    upright = photographs(260, 280)
    return torch.cat([upright, upright.flip(1), 255 - upright])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_for_torchvision_says_how_many_classes_there_are_and_is_prepared_as_usual(
    suffix: str, images: Tensor, tmp_path: Path
) -> None:
    network, path = squeezenet(num_classes=7), tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(network.state_dict(), path)
    classifier = open_classifier(f"torchvision:{TORCHVISION}", path, CPU)
    assert classifier.num_classes == 7
    usual = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    found = classifier(images / 255)
    assert torch.equal(found, network(usual(images / 255)).argmax(dim=1))
    assert len(found.unique()) > 1


def test_torchvisions_weights_are_taken_from_its_cache_with_their_own_preparation(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / TORCHVISION_FILE).parent.mkdir(parents=True)
    network = squeezenet(num_classes=1000)
    torch.save(network.state_dict(), tmp_path / TORCHVISION_FILE)
    classifier = open_classifier(f"torchvision:{TORCHVISION}", None, CPU)
    assert classifier.num_classes == 1000
    own = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    found = classifier(images / 255)
    assert torch.equal(found, network(own(images / 255)).argmax(dim=1))
    assert len(found.unique()) > 1


def test_timms_weights_are_taken_from_the_hubs_cache_and_prepared_as_timm_prepares_pillow_images(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    network = mobilenet(num_classes=1000)
    snapshot = tmp_path / TIMM_FOLDER / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    (tmp_path / TIMM_FOLDER / "refs").mkdir()
    (tmp_path / TIMM_FOLDER / "refs" / "main").write_text("0123")
    classifier = open_classifier(f"timm:{TIMM}", None, CPU)
    assert classifier.num_classes == 1000
    prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    by_timm = torch.stack([prepare(to_pil_image(image)) for image in images])
    found = classifier(images / 255)
    assert torch.equal(found, network(by_timm).argmax(dim=1))
    assert len(found.unique()) > 1


def test_a_file_for_timm_says_how_many_classes_there_are(images: Tensor, tmp_path: Path) -> None:
    network, path = mobilenet(num_classes=7), tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    classifier = open_classifier(f"timm:{TIMM}", path, CPU)
    assert classifier.num_classes == 7
    assert classifier(images / 255).max() < 7


def test_torchvisions_weights_that_are_not_there_are_named_with_their_place_and_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotAvailableError) as caught:
        open_classifier("torchvision:vgg16", None, CPU)
    assert str(tmp_path / "hub/checkpoints/vgg16-397923af.pth") in caught.value.reason
    assert torchvision.models.VGG16_Weights.DEFAULT.url in caught.value.remedy


def test_a_user_without_a_home_is_told_the_place_of_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container whose user has no entry in its passwd."""

    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(NotAvailableError, match=r"~/\.cache/torch/hub/checkpoints/vgg16-397923af\.pth"):
        open_classifier("torchvision:vgg16", None, CPU)


def test_downloaded_weights_with_a_flipped_byte_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / TORCHVISION_FILE
    path.parent.mkdir(parents=True)
    torch.save(squeezenet(num_classes=1000).state_dict(), path)
    whole = path.read_bytes()
    place = len(whole) // 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*: delete it and download it again"):
        open_classifier(f"torchvision:{TORCHVISION}", None, CPU)


def test_timms_weights_that_are_not_there_are_named_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotAvailableError) as caught:
        open_classifier("timm:resnet50.a1_in1k", None, CPU)
    assert str(tmp_path) in caught.value.reason
    assert caught.value.remedy == "hf download timm/resnet50.a1_in1k model.safetensors"


def test_timm_that_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(NotAvailableError, match=r"needs the package timm.*colorization-benchmark\[timm\]"):
        open_classifier("timm:resnet50", None, CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg16", "must be torchvision:NAME or timm:NAME but is 'vgg16'"),
        ("torchvision:vg16", r"no classifier 'vg16' \(did you mean 'vgg16'"),
        ("torchvision:raft_small", "torchvision has no classifier 'raft_small'"),
        ("timm:resnet5O", r"timm has no classifier 'resnet5O' \(did you mean 'resnet50'"),
    ],
)
def test_a_network_that_does_not_exist_is_an_error_with_the_nearest_that_does(
    name: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_classifier(name, None, CPU)


def test_weights_of_another_network_are_an_error_that_names_the_file_and_its_first_keys(
    tmp_path: Path,
) -> None:
    path = tmp_path / "other.safetensors"
    save_file(mobilenet(num_classes=7).state_dict(), path)
    with pytest.raises(ValueError, match=r"other\.safetensors does not hold.*features\.0\.weight.*"):
        open_classifier(f"torchvision:{TORCHVISION}", path, CPU)


def test_a_checkpoint_that_wraps_its_weights_opens_as_the_plain_ones(images: Tensor, tmp_path: Path) -> None:
    network, path = squeezenet(num_classes=7), tmp_path / "checkpoint.pth"
    wrapped = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"model": wrapped, "epoch": 3}, path)
    classifier = open_classifier(f"torchvision:{TORCHVISION}", path, CPU)
    assert classifier.num_classes == 7
    torch.save(network.state_dict(), path)
    plain = open_classifier(f"torchvision:{TORCHVISION}", path, CPU)
    assert torch.equal(classifier(images / 255), plain(images / 255))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_or_missing_weights_file_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(FileNotFoundError, match=path.name):
        open_classifier(f"torchvision:{TORCHVISION}", path, CPU)
    path.write_bytes(b"cut short")
    with pytest.raises(ValueError, match=f"{path.name} cannot be read"):
        open_classifier(f"torchvision:{TORCHVISION}", path, CPU)
