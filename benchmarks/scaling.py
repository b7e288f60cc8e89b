"""One process against two on the CPU.  Run: python benchmarks/scaling.py

A training step without the loader: eccv16 in half width, crops of 64 px in memory, a global batch of 16, Adam, float32,
one thread a process. Two processes share the batch, the gradients (DistributedDataParallel) and the BatchNorm
statistics. The time of one process with 8 images says what an exchange that costs nothing would reach.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from measure import Target, interleaved_medians, report
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.networks import Backbone, build_network
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.checkpoint import save_checkpoint
from pretext.tasks.colorization import Colorization

WIDTH, CROP_SIZE, BATCH_SIZE, NUM_PROCESSES = 0.5, 64, 16, 2
ONE, HALF = "1 process, 16 images", "1 process, 8 images, the other idle"
TWO, TWO_OWN = "2 processes, 8 images each", "2 processes, each with its own BatchNorm statistics"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(run_process, (Path(folder), options.rounds), NUM_PROCESSES)
        seconds, sizes = json.loads((Path(folder) / "measured.json").read_text())
    what = (
        f"eccv16, width {WIDTH}, global batch {BATCH_SIZE}, crops of {CROP_SIZE} px, one thread a process: "
        f"{BATCH_SIZE / seconds[ONE]:.1f} -> {BATCH_SIZE / seconds[TWO]:.1f} images/s; gradients "
        f"{sizes['gradients'] / 1e6:.1f} MB, a checkpoint {sizes['checkpoint'] / 1e6:.1f} MB"
    )
    targets = [
        Target("times the rate of one process", seconds[ONE] / seconds[TWO], 1.5),
        Target(
            "step spent on shared BatchNorm statistics",
            1 - seconds[TWO_OWN] / seconds[TWO],
            0.1,
            at_least=False,
        ),
    ]
    report("scaling", what, seconds, targets)


def run_process(rank: int, folder: Path, rounds: int) -> None:
    """Both processes go through the same candidates; at those of one process the second only waits."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=NUM_PROCESSES)
    alone, shared, own = build(), build(), build()
    synchronise_batch_norm(shared)
    half = BATCH_SIZE // NUM_PROCESSES
    candidates = {
        ONE: training_step(alone, alone, BATCH_SIZE) if rank == 0 else lambda: None,
        HALF: training_step(alone, alone, half) if rank == 0 else lambda: None,
        TWO: training_step(shared, DistributedDataParallel(shared, gradient_as_bucket_view=True), half),
        TWO_OWN: training_step(own, DistributedDataParallel(own, gradient_as_bucket_view=True), half),
    }
    seconds = interleaved_medians(candidates, rounds, synchronize=dist.barrier)
    if rank == 0:
        (folder / "measured.json").write_text(json.dumps((seconds, sizes(alone, folder))))
    dist.destroy_process_group()


def build() -> Backbone:
    torch.manual_seed(0)
    return build_network("eccv16", output=313, width=WIDTH).to(memory_format=torch.channels_last)


def training_step(network: Backbone, model: nn.Module, batch_size: int) -> Callable[[], None]:
    """A step that trains `network` through `model`, the same or its DistributedDataParallel."""
    task = Colorization()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-5, fused=True)
    rgb = torch.randint(256, (batch_size, 3, CROP_SIZE, CROP_SIZE), dtype=torch.uint8)

    def step() -> None:
        lightness, ab = task.split(rgb, network)
        losses = task.losses(model(lightness), ab)
        (losses.optimised.sum() / batch_size).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def sizes(network: nn.Module, folder: Path) -> dict[str, int]:
    """Bytes of what two processes exchange a step, and of a checkpoint with Adam's two moments."""
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, fused=True)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    checkpoint = folder / "checkpoint.pt"
    save_checkpoint(checkpoint, {"network": network.state_dict(), "optimizer": optimizer.state_dict()})
    return {"gradients": sum(p.nbytes for p in trained), "checkpoint": checkpoint.stat().st_size}


if __name__ == "__main__":
    main()
