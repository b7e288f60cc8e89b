"""Real gloo processes against nn.BatchNorm2d, and whole networks, on the whole batch in one process."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pretext.networks.eccv16 import Eccv16
from pretext.networks.synchronised_batch_norm import SynchronisedBatchNorm2d, synchronise_batch_norm

NUM_PROCESSES = 2


def run_on_processes(task: Callable[[int], Any], folder: Path) -> list[Any]:
    """What `task(rank)`, a function of this file, returns in each of NUM_PROCESSES, in order of rank."""
    processes = [
        subprocess.Popen([sys.executable, __file__, task.__name__, str(rank), str(folder)])
        for rank in range(NUM_PROCESSES)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0] * NUM_PROCESSES
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(folder / f"{rank}.pt") for rank in range(NUM_PROCESSES)]


def run_one_process(task: str, rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=NUM_PROCESSES)
    try:
        torch.save(globals()[task](rank), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


# ------------------------------------------------------------------------------------------ the layer


LAYER_CASES: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "channels_last": {"memory_format": torch.channels_last},
    # The mean is 1,000 standard deviations: sums of squares in float32 would lose the variance.
    "far_from_zero": {"offset": 1000.0},
    "bfloat16": {"dtype": torch.bfloat16},
    "bfloat16_channels_last": {"dtype": torch.bfloat16, "memory_format": torch.channels_last},
}


def batch_and_gradient(
    offset: float = 0.0,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> tuple[Tensor, Tensor]:
    """Features whose channels and images differ in mean and spread, and the gradient of their outputs."""
    generator = torch.Generator().manual_seed(0)
    spread = 0.5 + torch.rand(6, 5, 1, 1, generator=generator)
    means = torch.randn(6, 5, 1, 1, generator=generator)
    features = torch.randn(6, 5, 7, 4, generator=generator) * spread + means + offset
    gradient = torch.randn(6, 5, 7, 4, generator=generator)
    return features.to(dtype, memory_format=memory_format), gradient.to(dtype)


def layer() -> nn.Sequential:
    batch_norm = nn.BatchNorm2d(5)
    with torch.no_grad():
        batch_norm.weight.copy_(torch.linspace(0.5, 2, 5))
        batch_norm.bias.copy_(torch.linspace(-1, 1, 5))
    return nn.Sequential(batch_norm)


def forward_backward(network: nn.Module, features: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    features = features.detach().requires_grad_()
    output = network(features)
    output.backward(gradient)
    assert features.grad is not None
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    gradients = {
        f"gradient of {name}": value.grad
        for name, value in network.named_parameters()
        if value.grad is not None
    }
    return {"output": output.detach(), "gradient of input": features.grad} | state | gradients


def layers_on_a_share(rank: int) -> dict[str, dict[str, Tensor]]:
    results = {}
    for name, case in LAYER_CASES.items():
        features, gradient = batch_and_gradient(**case)
        network = layer()
        synchronise_batch_norm(network)
        share = slice(rank * 3, rank * 3 + 3)
        results[name] = forward_backward(network, features[share], gradient[share])
    return results


@pytest.fixture(scope="module")
def shared_layers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    return run_on_processes(layers_on_a_share, tmp_path_factory.mktemp("layers"))


@pytest.mark.parametrize("case", LAYER_CASES)
def test_two_processes_normalise_as_batch_norm_does_on_the_whole_batch(
    case: str, shared_layers: list[dict[str, dict[str, Tensor]]]
) -> None:
    features, gradient = batch_and_gradient(**LAYER_CASES[case])
    whole = forward_backward(layer(), features.float(), gradient.float())
    first, second = (results[case] for results in shared_layers)
    shares = {name: torch.cat([first[name], second[name]]) for name in ("output", "gradient of input")}
    # DDP divides by the number of processes, as it does each one's loss.
    sums = {name: first[name] + second[name] for name in ("gradient of 0.weight", "gradient of 0.bias")}
    state = {name: first[name] for name in whole.keys() - shares.keys() - sums.keys()}
    torch.testing.assert_close(state, {name: second[name] for name in state}, atol=0, rtol=0)

    tolerance = {"far_from_zero": 1e-3}.get(case, 1e-5)  # there the features themselves are known to 1e-4
    of_images = 1e-2 if case.startswith("bfloat16") else tolerance  # 8 bits; the statistics are float32
    assert_close(shares, whole, of_images)
    assert_close(sums, whole, tolerance)
    assert_close(state, whole, tolerance)


def assert_close(found: dict[str, Tensor], whole: dict[str, Tensor], tolerance: float) -> None:
    """Within `tolerance` of the largest value of each tensor."""
    for name, value in found.items():
        atol = tolerance * float(whole[name].abs().max())
        torch.testing.assert_close({name: value}, {name: whole[name]}, atol=atol, rtol=0, check_dtype=False)


def test_the_layout_of_the_features_is_kept(shared_layers: list[dict[str, dict[str, Tensor]]]) -> None:
    for name in ("channels_last", "bfloat16_channels_last"):
        for value in ("output", "gradient of input"):
            assert shared_layers[0][name][value].is_contiguous(memory_format=torch.channels_last)


def test_one_process_and_evaluation_compute_what_batch_norm_does() -> None:
    plain = layer()
    synchronised = deepcopy(plain)
    synchronise_batch_norm(synchronised)
    for training in (True, False):
        expected = forward_backward(plain.train(training), *batch_and_gradient())
        found = forward_backward(synchronised.train(training), *batch_and_gradient())
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_parameters_buffers_and_names_stay_the_same() -> None:
    network = Eccv16(width=0.125).eval()
    before = network.state_dict(keep_vars=True)
    synchronise_batch_norm(network)
    after = network.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is value for name, value in before.items())
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(layers) == 7
    assert all(type(module) is SynchronisedBatchNorm2d and not module.training for module in layers)


# ---------------------------------------------------------------------------------------- the network


def small_network() -> Eccv16:
    torch.manual_seed(0)
    return Eccv16(output="ab", width=0.125).double().to(memory_format=torch.channels_last)


def lightness_and_targets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    lightness = 100 * torch.rand(4, 1, 32, 32, generator=generator)
    return lightness.double(), torch.randn(4, 2, 8, 8, generator=generator).double()


def train_two_steps(network: nn.Module, model: nn.Module, share: slice) -> dict[str, Tensor]:
    """Gradients of the first step, and the state after the second."""
    lightness, targets = (values[share] for values in lightness_and_targets())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        (model(lightness) - targets).square().mean().backward()
        if step == 0:
            gradients = {
                f"gradient of {name}": value.grad.clone()
                for name, value in network.named_parameters()
                if value.grad is not None
            }
        optimizer.step()
    return gradients | {name: value.detach() for name, value in network.state_dict().items()}


def train_on_a_share(rank: int) -> dict[str, Tensor]:
    network = small_network()
    synchronise_batch_norm(network)
    return train_two_steps(network, DistributedDataParallel(network), slice(rank * 2, rank * 2 + 2))


@pytest.mark.slow
def test_eccv16_trained_by_two_processes_is_that_of_one_process(tmp_path: Path) -> None:
    """In float64 to 1e-9 of the largest value in each tensor.

    In float32 both are as far from that as from each other: rounding decides at the ReLUs.
    """
    network = small_network()
    whole = train_two_steps(network, network, slice(None))
    first, second = run_on_processes(train_on_a_share, tmp_path)
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert_close(first, whole, 1e-9)


if __name__ == "__main__":
    run_one_process(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
