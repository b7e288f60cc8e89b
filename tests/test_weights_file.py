"""Files as other projects leave them: a network's tensors are found in them or refused."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pretext.weights_file import find_weights, read_weights

Weights = dict[str, Tensor]


def expected() -> Weights:
    """A convolution and a BatchNorm, each number its own."""
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    return {name: torch.full_like(tensor, number) for number, (name, tensor) in enumerate(state.items())}


def read(path: Path) -> Weights:
    return find_weights(path, read_weights(path), expected())


def other() -> Weights:
    """The same tensors with other numbers."""
    return {name: tensor + 1 for name, tensor in expected().items()}


def behind(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: tensor for name, tensor in weights.items()}


# As the training scripts of these projects write them, but for the names of the layers.
LAYOUTS: dict[str, Callable[[Weights], dict[str, Any]]] = {
    "plain": lambda weights: weights,
    "DataParallel": lambda weights: {"state_dict": behind("module.", weights), "epoch": 3},
    "torch.compile": lambda weights: {"model": behind("_orig_mod.", weights)},
    "both": lambda weights: behind("_orig_mod.module.", weights),
    "heads beside it": lambda weights: behind("trunk.", weights) | {"trunk.fc.weight": torch.ones(2)},
    "DINO": lambda weights: {
        "student": behind("module.backbone.", other()),
        "teacher": behind("backbone.", weights),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
        "args": argparse.Namespace(arch="resnet50"),
    },
    "DeiT and MAE": lambda weights: {"model": weights, "epoch": 9, "args": argparse.Namespace(lr=1e-3)},
    "MoCo": lambda weights: {
        "arch": "resnet50",
        "state_dict": behind("module.encoder_q.", weights)
        | behind("module.encoder_k.", other())
        | {"module.queue": torch.ones(2, 3)},
    },
    "MoCo v3": lambda weights: {
        "state_dict": behind("module.base_encoder.", weights) | behind("module.momentum_encoder.", other())
    },
    "SwAV": lambda weights: behind("module.", weights) | {"module.prototypes.weight": torch.ones(2)},
    "VISSL": lambda weights: {
        "classy_state_dict": {
            "base_model": {
                "model": {"trunk": behind("_feature_blocks.", weights), "heads": {"0.w": torch.ones(1)}}
            }
        }
    },
    "OpenMMLab": lambda weights: {"meta": {"epoch": 1}, "state_dict": behind("backbone.", weights)},
    "Lightning": lambda weights: {
        "pytorch-lightning_version": "1.9.0",
        "state_dict": behind("model.encoder.", weights),
        "hyper_parameters": {"lr": np.float64(0.1)},
    },
}


@pytest.mark.parametrize("wrap", LAYOUTS.values(), ids=LAYOUTS)
def test_the_same_tensors_are_found_however_the_file_wraps_them(
    wrap: Callable[[Weights], dict[str, Any]], tmp_path: Path
) -> None:
    torch.save(wrap(expected()), tmp_path / "weights.pth")
    found = read(tmp_path / "weights.pth")
    assert found.keys() == expected().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected().items())


def test_a_file_from_before_num_batches_tracked_is_complete(tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in expected().items() if name != "1.num_batches_tracked"}
    torch.save(old, tmp_path / "weights.pth")
    assert read(tmp_path / "weights.pth").keys() == old.keys()


def test_what_is_left_out_is_counted_and_named_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(expected(), path)
    read(path)
    assert capsys.readouterr().out == ""
    torch.save(behind("module.", expected()) | {"fc.weight": torch.ones(2), "fc.bias": torch.ones(2)}, path)
    read(path)
    assert capsys.readouterr().out == (
        f"{path}: 7 tensors under 'module.' are those of the backbone; left out 2: fc.weight, fc.bias\n"
    )


def test_a_file_that_holds_the_backbone_twice_is_refused(tmp_path: Path) -> None:
    torch.save({"online": expected(), "target": expected()}, tmp_path / "byol.pth")
    with pytest.raises(
        ValueError, match=r"byol\.pth holds the backbone 2 times, under 'online\.', 'target\.'"
    ):
        read(tmp_path / "byol.pth")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            behind("m.", expected() | {"0.bias": None}),
            r"does not hold the weights of the backbone: of their 6 tensors it lacks, under 'm\.', 1: 0\.bias",
        ),
        (
            expected() | {"0.bias": torch.zeros(5)},
            r"its 0\.bias has the shape \(5,\), expected \(4,\)",
        ),
        (
            {"stem": torch.zeros(1)},
            r"it lacks, under '', 6: 0\.weight, 0\.bias.*its first keys are stem",
        ),
    ],
)
def test_a_file_without_a_tensor_or_with_another_shape_is_refused_by_name(
    weights: dict[str, Any], message: str, tmp_path: Path
) -> None:
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "weights.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_are_not_finite_are_refused_by_the_tensor_s_name(
    value: float, suffix: str, tmp_path: Path
) -> None:
    path, weights = tmp_path / f"diverged{suffix}", behind("module.", expected())
    weights["module.0.weight"][3, 2, 1, 0] = value
    weights["module.1.running_var"][2] = value
    (torch.save if suffix == ".pth" else save_file)(weights, path)
    with pytest.raises(
        ValueError, match=rf"diverged{suffix} holds NaN or infinite values in 2: 0\.weight, 1\.running_var; "
    ):
        read(path)


def test_what_is_not_the_network_s_may_be_nan(tmp_path: Path) -> None:
    torch.save(expected() | {"head.weight": torch.tensor(float("nan"))}, tmp_path / "weights.pth")
    assert read(tmp_path / "weights.pth").keys() == expected().keys()


def test_a_file_of_half_precision_and_one_beyond_float32_are_checked_in_float32(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({name: tensor.half() for name, tensor in expected().items()}, path)
    assert read(path).keys() == expected().keys()
    torch.save(expected() | {"0.bias": torch.full((4,), 1e300, dtype=torch.float64)}, path)
    with pytest.raises(ValueError, match=r"infinite values in 1: 0\.bias"):
        read(path)


def test_a_safetensors_file_that_is_a_pointer_of_git_lfs_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d\n"
    )
    with pytest.raises(ValueError, match=r"weights\.safetensors cannot be read .*Git LFS: .*git lfs pull"):
        read(tmp_path / "weights.safetensors")


def test_a_file_without_tensors_is_refused_with_its_keys(tmp_path: Path) -> None:
    torch.save({"w": np.ones(2), "epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"lacks, under '', 6: .*its first keys are w, epoch"):
        read(tmp_path / "weights.pth")
