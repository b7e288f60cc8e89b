"""A training step against the published formulation's, and against its network alone.

    python benchmarks/training_step.py [--device cuda] [--batch_size 40]

eccv16 in full width on crops of 176 px that lie in memory. The step is that of `pretext train` with `precision: auto`,
compiled on a GPU: RGB -> Lab, forward, targets and rebalanced loss, backward, Adam, running losses. The same step is
timed in float32, not compiled. The peer is that of `colorful_colorization.py`, which gets lightness and ab ready: as
published, in float32, and with the two flags of a user who tunes it, bfloat16 and channels-last. The network alone goes
forward and backward from a ready gradient.

The kernels of a step that take longest (on a CPU the operators, and the convolutions' share) are printed and kept in
the result. On a GPU three steps run while torch refuses every wait of the host for the device. The share of the peak is
of the data sheet's dense bfloat16 rate where the GPU is known here, else of the rate of one 3x3 convolution of 512
channels, the network's commonest, timed here too.
"""

import argparse
import traceback
from collections.abc import Callable

import torch
from colorful_colorization import peer_step
from measure import Target, interleaved_medians, report, synchronizer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pretext.networks import Backbone, build_network
from pretext.runtime.distributed import World, choose_precision
from pretext.runtime.running_losses import RunningLosses
from pretext.tasks.colorization import Colorization

CROP_SIZE = 176
DENSE_BFLOAT16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # FLOP/s, NVIDIA's data sheets, SXM
OURS, FLOAT32 = "training step", "training step in float32, not compiled"
PEER, TUNED = "colorful-colorization, as published", "colorful-colorization, tuned"
NUM_LONGEST = 12  # kernels to print
ALONE, CONVOLUTION = "network alone", "one convolution"
# batch size -> images/s on an H100
H100_TARGETS = {40: 3300, 256: 4200}


def training_step(
    network: Backbone,
    task: Colorization,
    rgb: Tensor,
    autocast: torch.autocast,
    *,
    compiled: bool,
    lr: float = 3e-5,
) -> Callable[[], Tensor]:
    """A step as `pretext.training` makes it, again and again on one batch; returns its loss."""
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=lr, fused=True)
    running = RunningLosses(task.loss_names, World(rank=0, size=1, device=rgb.device), way_out="")
    split = task.split
    if compiled:
        network.compile()
        split = torch.compile(split)

    def step() -> Tensor:
        inputs, targets = split(rgb, network)
        with autocast:
            output = network(inputs)
        losses = task.losses(output, targets)
        loss = losses.optimised.sum() / len(rgb)
        loss.backward()
        running.add(0, torch.stack([losses.by_name[name].sum() for name in task.loss_names]), losses.counted)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def make(task: Colorization, device: torch.device, width: float = 1.0) -> Backbone:
    torch.manual_seed(0)
    network = build_network("eccv16", output=task.output, width=width)
    task.prepare_network(network)
    return network.to(device).to(memory_format=torch.channels_last)


def waits_for_gpu(step: Callable[[], object]) -> bool:
    """Whether the host waits for the GPU anywhere in three steps, which is printed."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            step()
    except RuntimeError:
        traceback.print_exc()
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def kernel_milliseconds(step: Callable[[], object], device: str) -> dict[str, float]:
    """Kernel, on a CPU operator -> its own milliseconds in one step, the longest first."""
    on_gpu, num_steps = device == "cuda", 5 if device == "cuda" else 2
    activity = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity]) as profiler:
        for _ in range(num_steps):
            step()
        synchronizer(device)()
    microseconds = {
        event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total
        for event in profiler.key_averages()
    }
    longest_first = sorted(microseconds.items(), key=lambda item: -item[1])
    return {name: value / num_steps / 1e3 for name, value in longest_first}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, help="default: 40 on a GPU, the published one; 4 on a CPU")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device, on_gpu = torch.device(options.device), options.device == "cuda"
    batch_size = options.batch_size or (40 if on_gpu else 4)

    torch.backends.cudnn.benchmark = True
    task = Colorization()
    task.to(device)
    precision = choose_precision("auto", device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    no_autocast = torch.autocast(device.type, enabled=False)
    generator = torch.Generator().manual_seed(0)
    rgb = torch.randint(256, (batch_size, 3, CROP_SIZE, CROP_SIZE), generator=generator, dtype=torch.uint8)
    rgb = rgb.to(device)
    network, alone = make(task, device), make(task, device)
    lightness, ab = (tensor.contiguous() for tensor in task.split(rgb, network))
    with FlopCounterMode(display=False) as counter, torch.no_grad(), autocast:
        gradient = torch.randn_like(alone(lightness)) / 1e5
    flop_of_step = 3 * counter.get_total_flops()  # the backward pass costs two forward passes
    if on_gpu:
        alone.compile()

    def network_alone() -> None:
        with autocast:
            output = alone(lightness)
        output.backward(gradient)
        alone.zero_grad()

    layer = make(task, device).get_submodule("model4.2")
    features = torch.randn(batch_size, 512, 22, 22, device=device).to(memory_format=torch.channels_last)

    def convolution() -> None:
        with autocast, torch.no_grad():
            layer(features)

    step = training_step(network, task, rgb, autocast, compiled=on_gpu)
    published = (lightness, ab, task.ab_bins.centres.to(device), task.weights)
    seconds = interleaved_medians(
        {
            OURS: step,
            FLOAT32: training_step(make(task, device), task, rgb, no_autocast, compiled=False),
            PEER: peer_step(*published, tuned=False),
            TUNED: peer_step(*published, tuned=True),
            ALONE: network_alone,
            CONVOLUTION: convolution,
        },
        rounds=options.rounds,
        synchronize=synchronizer(options.device),
    )
    targets = [
        Target("times the rate of the tuned peer", seconds[TUNED] / seconds[OURS], 1.8 if on_gpu else 1.2),
        Target(
            "share of the step outside the network", 1 - seconds[ALONE] / seconds[OURS], 0.10, at_least=False
        ),
    ]
    if on_gpu:
        targets.append(Target("steps that wait for the GPU", waits_for_gpu(step), 0, at_least=False))
    kernels = kernel_milliseconds(step, options.device)
    longest = {name[:90]: round(value, 3) for name, value in list(kernels.items())[:NUM_LONGEST]}
    for name, value in longest.items():
        print(f"  {value:9.3f} ms  {name}")
    details: dict[str, object] = {"milliseconds of the longest kernels of a step": longest}
    if not on_gpu:
        convolutions = sum(value for name, value in kernels.items() if "convolution" in name)
        details["share of convolutions"] = round(convolutions / sum(kernels.values()), 3)
        print(f"  convolutions: {details['share of convolutions']:.1%} of the operators' time\n")

    flop_of_convolution = 2 * 9 * 512 * features.numel()
    peak, source = flop_of_convolution / seconds[CONVOLUTION], "one convolution's"
    for name, data_sheet in DENSE_BFLOAT16.items():
        if on_gpu and name in torch.cuda.get_device_name():
            peak, source = data_sheet, "the data sheet's"
    rate, images = flop_of_step / seconds[OURS], batch_size / seconds[OURS]
    if on_gpu and batch_size in H100_TARGETS:
        targets.append(Target("images/s", images, H100_TARGETS[batch_size]))
    report(
        f"training_step_{batch_size}" if on_gpu else "training_step",
        f"eccv16, {batch_size} crops of {CROP_SIZE} px, {precision}: {images:.1f} images/s, "
        f"{rate / 1e12:.2f} TFLOP/s, {rate / peak:.0%} of {source} {peak / 1e12:.2f}",
        seconds,
        targets,
        device=options.device,
        details=details,
    )


if __name__ == "__main__":
    main()
