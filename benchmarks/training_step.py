"""A training step against its network alone.  Run: python benchmarks/training_step.py [--device cuda]

eccv16 in full width on crops of 176 px that lie in memory. The step is that of `pretext train`: RGB -> Lab, forward,
targets and rebalanced loss, backward, Adam, running losses. The peer is the same network's forward and backward
from a ready lightness and a ready gradient. On a GPU in bfloat16, compiled; on a CPU in float32, eager.

The share of the peak is of the data sheet's dense bfloat16 rate where the GPU is known here, else of the rate of one
3x3 convolution of 512 channels, the network's commonest, timed in the same run.
"""

import argparse

import torch
from measure import Target, interleaved_medians, report
from torch.utils.flop_counter import FlopCounterMode

from pretext.color.lab import rgb_to_lab
from pretext.networks import build_network
from pretext.runtime.distributed import World
from pretext.runtime.running_losses import RunningLosses
from pretext.tasks.colorization import Colorization

CROP_SIZE = 176
DENSE_BFLOAT16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # FLOP/s, NVIDIA's data sheets, SXM


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, help="default: 40 on a GPU, the published one; 8 on a CPU")
    options = parser.parse_args()
    device, on_gpu = torch.device(options.device), options.device == "cuda"
    batch_size = options.batch_size or (40 if on_gpu else 8)

    torch.manual_seed(0)
    task = Colorization()
    network = build_network("eccv16", output=313).to(device).to(memory_format=torch.channels_last)
    task.prepare_network(network)
    task.to(device)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-5)
    running_losses = RunningLosses(task.loss_names, World(rank=0, size=1, device=device), way_out="")
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=on_gpu)
    rgb = torch.randint(256, (batch_size, 3, CROP_SIZE, CROP_SIZE), dtype=torch.uint8, device=device)
    lightness = rgb_to_lab(rgb / 255)[:, :1].contiguous()
    with FlopCounterMode(display=False) as counter, torch.no_grad(), autocast:
        gradient = torch.randn_like(network(lightness)) / 1e5
    flop_of_step = 3 * counter.get_total_flops()  # the backward pass costs two forward passes
    if on_gpu:
        network.compile()

    def step() -> None:
        inputs, targets = task.split(rgb, network)
        with autocast:
            output = network(inputs)
        losses = task.losses(output, targets)
        (losses.optimised.sum() / batch_size).backward()
        sums = torch.stack([losses.by_name[name].sum() for name in task.loss_names])
        running_losses.add(0, sums, losses.counted)
        optimizer.step()
        optimizer.zero_grad()

    def network_alone() -> None:
        with autocast:
            output = network(lightness)
        output.backward(gradient)
        network.zero_grad()

    synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    layer = network.get_submodule("model4.2")
    features = torch.randn(batch_size, 512, 22, 22, device=device).to(memory_format=torch.channels_last)

    def convolution() -> None:
        with autocast, torch.no_grad():
            layer(features)

    seconds = interleaved_medians(
        {"training step": step, "network alone": network_alone, "one convolution": convolution},
        rounds=11 if on_gpu else 5,
        synchronize=synchronize,
    )
    flop_of_convolution = 2 * 9 * 512 * features.numel()
    peak, source = flop_of_convolution / seconds["one convolution"], "one convolution's"
    for name, data_sheet in DENSE_BFLOAT16.items():
        if on_gpu and name in torch.cuda.get_device_name():
            peak, source = data_sheet, "the data sheet's"
    rate = flop_of_step / seconds["training step"]
    images = batch_size / seconds["training step"]
    targets = [
        Target(
            "share of the step outside the network",
            1 - seconds["network alone"] / seconds["training step"],
            0.05 if on_gpu else 0.10,
            at_least=False,
        ),
    ]
    if on_gpu:
        targets.append(Target("images/s", images, 2700))
    report(
        "training_step",
        f"eccv16, {batch_size} crops of {CROP_SIZE} px: {images:.1f} images/s, {rate / 1e12:.2f} TFLOP/s, "
        f"{rate / peak:.0%} of {source} {peak / 1e12:.2f}",
        seconds,
        targets,
        device=options.device,
    )


if __name__ == "__main__":
    main()
