"""What a function of the public interface leaves behind: its results where it is told to, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.datasets import FakeData

import transfer
from pretext.pretrained import state_hash
from transfer.results import read_records

SMALL: dict[str, Any] = {"image_size": 40, "crop_size": 32, "num_workers": 0, "device": "cpu"}
TESTS: dict[str, dict[str, Any]] = {
    "linear": {"epochs": 1, "batch_size": 4, "stages": ["layer2"]},
    "knn": {"k": [1], "stages": ["layer2"]},
    "svm": {"costs": [1.0], "stages": ["layer2"]},
    "finetune": {"protocol": "folder", "steps": 1, "batch_size": 4},
}


class Net(nn.Module):
    """A network in the middle of its training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout())
        self.head = nn.Linear(8, 2)
        self.stages = {"layer1": "layer1", "layer2": "layer2"}

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer2(self.layer1(rgb)).mean((2, 3)))


@pytest.fixture
def data() -> tuple[FakeData, FakeData]:
    transform = torchvision.transforms.ToTensor()
    return tuple(FakeData(12, (3, 44, 40), 2, transform, random_offset=seed) for seed in (0, 100))


def trained(data: FakeData, between: Any) -> str:
    """The weights after two epochs of a plain loop, with `between` between them."""
    torch.manual_seed(0)
    network = Net()
    network.layer1.eval()
    network.layer1[0].requires_grad_(False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(2):
        for first in range(0, 12, 4):
            images, labels = zip(*(data[i] for i in range(first, first + 4)), strict=True)
            loss = nn.functional.cross_entropy(network(torch.stack(images)), torch.tensor(labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch == 0:
            between(network)
    assert [module.training for module in network.children()] == [False, True, True]
    return state_hash(network)


@pytest.mark.parametrize("test", TESTS)
def test_a_test_between_two_epochs_changes_nothing_in_the_training_and_leaves_no_file(
    test: str, data: tuple[FakeData, FakeData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    records: list[transfer.Record] = []

    def measure(network: Net) -> None:
        before, benchmark = state_hash(network), torch.backends.cudnn.benchmark
        with torch.inference_mode():  # as in the validation of a training framework
            records.extend(getattr(transfer, test)(network, *data, **SMALL, **TESTS[test]))
        assert records[0].weights == before == state_hash(network)
        assert torch.backends.cudnn.benchmark == benchmark

    assert trained(data[0], measure) == trained(data[0], lambda network: None)
    assert records[0].backbone == "Net"
    assert records[0].data == "FakeData"
    assert 0 <= records[0].value <= 100
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("test", TESTS)
def test_the_same_call_on_the_same_folder_gives_the_same_records_and_another_call_is_refused(
    test: str, data: tuple[FakeData, FakeData], tmp_path: Path
) -> None:
    function, network = getattr(transfer, test), Net()
    options = {**SMALL, **TESTS[test], "out": tmp_path / "out"}
    records = function(network, *data, **options)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"config.yaml", "environment.json"}
    assert function(network, *data, **options) == records == read_records([tmp_path / "out"])
    with pytest.raises(ValueError, match="seed: 0 there, 1 now"):
        function(network, *data, **options, seed=1)
    with torch.no_grad():
        network.layer1[0].weight.add_(1)
    with pytest.raises(ValueError, match="Net has other weights now than when"):
        function(network, *data, **options)
    with pytest.raises(ValueError, match=r"no key 'crop' .*did you mean 'crop_size'"):
        function(network, *data, **options, crop=32)


def test_kept_features_of_images_in_memory_are_used_again_and_not_for_others(
    data: tuple[FakeData, FakeData], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {**SMALL, **TESTS["knn"], "cache": tmp_path}
    network, (train, test) = Net(), data
    records = transfer.knn(network, train, test, **options)
    assert "extracts layer2" in capsys.readouterr().out
    assert transfer.knn(network, train, test, **options) == records
    assert "extracts layer2" not in capsys.readouterr().out
    transfer.knn(network, train, train, **options)
    other = FakeData(12, (3, 44, 40), 2, train.transform, random_offset=200)
    transfer.knn(network, other, test, **options)
    assert "extracts layer2" in capsys.readouterr().out


def test_results_that_are_a_folder_are_named(data: tuple[FakeData, FakeData], tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").mkdir()
    with pytest.raises(ValueError, match=r"results\.jsonl is a folder"):
        transfer.knn(Net(), *data, **SMALL, **TESTS["knn"], out=tmp_path)
    assert np.isfinite(transfer.knn(Net(), *data, **SMALL, **TESTS["knn"])[0].value)
