"""LPIPS and Inception features on self-made weights, against torchmetrics' own classes on the same weights."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
from torchmetrics.image.fid import FrechetInceptionDistance

from eval_colorization.metrics.perceptual import InceptionFeatures, Lpips
from pretext.optional import NotAvailableError
from tests.eval_colorization.learned_weights import ALEXNET, INCEPTION
from tests.eval_colorization.metrics.photographs import colorized_and_truth, photographs

CPU = torch.device("cpu")
PACKAGES: dict[type, str] = {
    Lpips: "torchmetrics.image.lpip",
    InceptionFeatures: "torch_fidelity.feature_extractor_inceptionv3",
}


@pytest.fixture(scope="module")
def torch_home(learned_weights: Path) -> Iterator[Path]:
    """A TORCH_HOME that holds random weights of both networks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(learned_weights))
        yield learned_weights


@pytest.fixture(scope="module")
def lpips(torch_home: Path) -> Lpips:
    return Lpips(CPU)


@pytest.fixture(scope="module")
def inception(torch_home: Path) -> InceptionFeatures:
    return InceptionFeatures(CPU)


def test_lpips_is_torchmetrics_image_by_image(lpips: Lpips) -> None:
    colorized, truth = colorized_and_truth()
    distance = lpips(colorized, truth)
    assert (distance > 0).all()
    for pair in zip(colorized.split(1), truth.split(1), distance, strict=True):
        reference = learned_perceptual_image_patch_similarity(*pair[:2], net_type="alex", normalize=True)
        torch.testing.assert_close(pair[2], reference)


def test_lpips_of_identical_images_is_0_also_in_a_batch_of_one(lpips: Lpips) -> None:
    _, truth = colorized_and_truth()
    assert torch.equal(lpips(truth, truth), torch.zeros(4))
    assert torch.equal(lpips(truth[:1], truth[:1]), torch.zeros(1))


def test_the_features_are_those_of_which_torchmetrics_makes_the_fid(inception: InceptionFeatures) -> None:
    images = torch.cat([photographs(96, 80), photographs(96, 80).flip(1)])
    reference = FrechetInceptionDistance().inception(images)
    assert reference.shape == (8, 2048)
    assert reference.std(dim=0).max() > 0.01
    torch.testing.assert_close(inception(images), reference)


@pytest.mark.parametrize(
    ("metric", "file", "url"),
    [
        (Lpips, ALEXNET, torchvision.models.AlexNet_Weights.DEFAULT.url),
        (InceptionFeatures, INCEPTION, URL_INCEPTION_V3),
    ],
)
def test_weights_that_are_not_there_are_not_downloaded_but_named_with_their_place_and_source(
    metric: type, file: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotAvailableError) as caught:
        metric(CPU)
    assert str(tmp_path / file) in caught.value.reason
    assert url in caught.value.remedy


@pytest.mark.parametrize("metric", [Lpips, InceptionFeatures])
def test_a_package_that_is_not_installed_is_named_with_the_way_to_get_it(
    metric: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[metric], None)
    with pytest.raises(NotAvailableError) as caught:
        metric(CPU)
    assert PACKAGES[metric].split(".")[0] in caught.value.reason
    assert caught.value.remedy == "pip install 'colorization-benchmark[perceptual]'"


@pytest.mark.parametrize(("metric", "file"), [(Lpips, ALEXNET), (InceptionFeatures, INCEPTION)])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut short"])
def test_a_damaged_weights_file_is_named(
    metric: type, file: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"{Path(file).name} is damaged"):
        metric(CPU)
