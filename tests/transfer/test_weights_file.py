"""Files as DataParallel, DINO, BYOL and old PyTorch leave them: the backbone's tensors are found in them or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transfer.weights_file import read_backbone_weights

Weights = dict[str, Tensor]


def expected() -> Weights:
    """A convolution and a BatchNorm, each number its own."""
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    return {name: torch.full_like(tensor, number) for number, (name, tensor) in enumerate(state.items())}


def behind(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": behind("module.", weights), "epoch": 3},
        lambda weights: {"model": behind("module.backbone.", weights)},
        lambda weights: {"student": {k: v + 1 for k, v in weights.items()}, "teacher": weights},
        lambda weights: {
            "queue": torch.zeros(3),
            **behind("trunk.", weights),
            "trunk.fc.weight": torch.ones(2),
        },
    ],
    ids=["plain", "DataParallel", "wrapped backbone", "DINO's student and teacher", "heads beside it"],
)
def test_the_same_tensors_are_found_however_the_file_wraps_them(
    wrap: Callable[[Weights], dict[str, Any]], tmp_path: Path
) -> None:
    torch.save(wrap(expected()), tmp_path / "weights.pth")
    found = read_backbone_weights(tmp_path / "weights.pth", expected())
    assert found.keys() == expected().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected().items())


def test_a_file_from_before_num_batches_tracked_is_complete(tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in expected().items() if name != "1.num_batches_tracked"}
    torch.save(old, tmp_path / "weights.pth")
    assert read_backbone_weights(tmp_path / "weights.pth", expected()).keys() == old.keys()


def test_what_is_left_out_is_counted_and_named_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(expected(), path)
    read_backbone_weights(path, expected())
    assert capsys.readouterr().out == ""
    torch.save(behind("module.", expected()) | {"fc.weight": torch.ones(2), "fc.bias": torch.ones(2)}, path)
    read_backbone_weights(path, expected())
    assert capsys.readouterr().out == (
        f"{path}: 7 tensors under 'module.' are the backbone's; left out 2: fc.weight, fc.bias\n"
    )


def test_a_file_that_holds_the_backbone_twice_is_refused(tmp_path: Path) -> None:
    torch.save({"online": expected(), "target": expected()}, tmp_path / "byol.pth")
    with pytest.raises(
        ValueError, match=r"byol\.pth holds the backbone 2 times, under 'online\.', 'target\.'"
    ):
        read_backbone_weights(tmp_path / "byol.pth", expected())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            behind("m.", expected() | {"0.bias": None}),
            r"lacks of the backbone's 6 tensors under 'm\.' these 1: 0\.bias",
        ),
        (
            expected() | {"0.bias": torch.zeros(5)},
            r"holds 0\.bias of shape \(5,\), but the backbone's is \(4,\)",
        ),
        (
            {"stem": torch.zeros(1)},
            r"lacks of the backbone's 6 tensors under '' these 6: 0\.weight, 0\.bias.*its first keys are stem",
        ),
    ],
)
def test_a_file_without_a_tensor_or_with_another_shape_is_refused_by_name(
    weights: dict[str, Any], message: str, tmp_path: Path
) -> None:
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=message):
        read_backbone_weights(tmp_path / "weights.pth", expected())
