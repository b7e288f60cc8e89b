"""The process group: one process, or as many as torchrun started."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

Result = TypeVar("Result")
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class World:
    """This process among all: `rank` of `size`, computing on `device`."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and prints: rank 0."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum of `values` over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def gather(self, value: Any) -> list[Any]:
        """Every process's `value` (any picklable object), in order of rank."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def on_main(self, work: Callable[[], Result]) -> Result:
        """What `work` returns (any picklable object) on the first process, for all.

        Raises:
            ValueError, OSError: `work` raised it; every process does, so that none waits for one that has ended.
        """
        outcome: Result | ValueError | OSError | None = None
        if self.is_main:
            try:
                outcome = work()
            except (ValueError, OSError) as error:
                outcome = error
        if self.size > 1:
            outcomes = [outcome]
            dist.broadcast_object_list(outcomes)
            outcome = outcomes[0]
        if isinstance(outcome, (ValueError, OSError)):
            raise outcome
        return cast(Result, outcome)


def choose_device(device: str, local_rank: int = 0) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means for the process `local_rank` of this machine.

    Raises:
        ValueError: `cuda` is asked for and there is none, or fewer GPUs than processes.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device is 'cuda' but torch finds no GPU here; give --device cpu, or check the driver"
        )
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"process {local_rank} of this machine has no GPU, torch finds {torch.cuda.device_count()}; "
            "start one process per GPU"
        )
    return torch.device("cuda", local_rank)


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """What `auto` means on `device`: bfloat16 where its hardware has the instructions for it, else float32.

    On a CPU these are AMX or AVX-512 BF16 (torch before `torch.cpu.get_capabilities` does not tell: float32); there
    they double the rate of a training. An emulation, which is slower than float32, does not count.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has_instructions = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        has_instructions = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return "bfloat16" if has_instructions else "float32"


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun's environment variables describe, NCCL on GPUs and gloo on CPUs.

    Inside a process group of the caller's own, such as a distributed training, this process works alone.

    Args:
        device: auto, cpu or cuda.

    Raises:
        ValueError: see `choose_device`.
    """
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch_device = choose_device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if torch_device.type == "cuda":
        torch.cuda.set_device(torch_device)
    if dist.is_initialized():
        rank, size = 0, 1
    if size > 1:
        # gloo beside NCCL: flags that live on the CPU travel without waiting for the GPU.
        dist.init_process_group("gloo" if torch_device.type == "cpu" else "cpu:gloo,cuda:nccl")
    try:
        yield World(rank, size, torch_device)
    finally:
        if size > 1:
            dist.destroy_process_group()
