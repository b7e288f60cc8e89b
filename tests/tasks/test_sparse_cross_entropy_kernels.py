"""The Triton kernels of the cross-entropy, on a GPU or in Triton's interpreter, against the CPU's formulation."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from pretext.tasks import sparse_cross_entropy
from pretext.tasks.sparse_cross_entropy import SparseCrossEntropy

kernels = pytest.importorskip(
    "pretext.tasks.sparse_cross_entropy_kernels", reason="torch brings Triton on Linux only"
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def case(dtype: torch.dtype, bins: int, neighbours: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, different bins at each position, weights that sum to 1, and position weights, one of them 0."""
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, bins, 3, 4, generator=generator)
    index = torch.rand(2, bins, 3, 4, generator=generator).argsort(dim=1)[:, :neighbours]
    precise = torch.promote_types(dtype, torch.float32)
    target = torch.randn(2, neighbours, 3, 4, generator=generator, dtype=precise).softmax(dim=1)
    weight = torch.rand(2, 3, 4, generator=generator, dtype=precise)
    weight[1, 2, 3] = 0
    return logits.to(dtype), index, target, weight


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("bins", "neighbours"), [(313, 5), (313, 10), (64, 1), (7, 7)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_loss_and_gradient_are_those_of_the_cpu(dtype, bins, neighbours, memory_format, monkeypatch):
    logits, index, target, weight = case(dtype, bins, neighbours)
    reference = logits.clone().requires_grad_()
    expected_loss, expected = SparseCrossEntropy.apply(reference, index, target, weight)
    (expected_gradient,) = torch.autograd.grad(expected_loss.sum(), reference)

    monkeypatch.setattr(sparse_cross_entropy, "_has_kernels", lambda logits: True)
    index, target, weight = (tensor.to(DEVICE) for tensor in (index, target, weight))
    logits = logits.to(DEVICE, memory_format=memory_format).requires_grad_()
    loss, per_position = SparseCrossEntropy.apply(logits, index, target, weight)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(loss.cpu(), expected_loss, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(per_position.cpu(), expected, atol=1e-5, rtol=1e-5)
    one_ulp = torch.finfo(dtype).eps
    torch.testing.assert_close(gradient.cpu(), expected_gradient, atol=2e-7, rtol=max(one_ulp, 1e-5))
    assert gradient.is_contiguous(memory_format=memory_format)
    assert (gradient[1, :, 2, 3] == 0).all()


def test_logits_with_gaps_in_memory_are_read_where_they_are():
    logits, index, target, _ = case(torch.float32, 16, 3)
    wide = torch.full((2, 20, 6, 8), torch.nan)
    wide[:, :16, ::2, ::2] = logits
    arguments = [tensor.to(DEVICE) for tensor in (index, target)]
    view = wide.to(DEVICE)[:, :16, ::2, ::2]
    for one, other in zip(
        kernels.forward(view, *arguments), kernels.forward(logits.to(DEVICE), *arguments), strict=True
    ):
        assert torch.equal(one, other)


COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton import language as tl
from pretext.tasks import sparse_cross_entropy_kernels as kernels

pointers = {"logits": "*bf16", "out": "*bf16", "index": "*i64"}
for kernel in (kernels._forward, kernels._backward):
    constants = {"stride_bin": 1, "out_stride_bin": 1, "neighbours": 5, "block": 512, "precise": tl.float32}
    signature = {
        name: "constexpr" if name in constants
        else pointers.get(name, "*fp32" if name in ("target", "loss", "log_sum", "scale") else "i32")
        for name in kernel.arg_names
    }
    constants = {name: value for name, value in constants.items() if name in signature}
    compiled = compile(
        ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32), options={"num_warps": 1}
    )
    assert compiled.asm["cubin"]
    assert ".local" not in compiled.asm["ptx"], "registers are spilled"
"""


def test_the_kernels_compile_for_a_gpu_of_compute_capability_9_without_spilling_registers(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    subprocess.run([sys.executable, "-c", COMPILE], env=environment, check=True)
