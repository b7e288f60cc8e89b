"""Many linear classifiers against one.  Run: python benchmarks/linear.py [--device cuda]

A training step of `transfer linear` (zhang16) from crops of 224 px that lie in memory, on an eccv16 in full width with
100 classes: all eight stages with eight learning rates each, 64 classifiers, against one on the deepest stage. The same
of DINOv2's evaluation on timm's ViT-S/16: four choices of tokens with thirteen rates each, against one on the last
class token. On a GPU the backbones compute in bfloat16, on a CPU in float32.
"""

import argparse
from collections.abc import Callable, Sequence

import torch
from measure import Target, interleaved_medians, report, synchronizer

from pretext.runtime.distributed import World
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.features.protocols import LINEAR_PROTOCOLS, LinearProtocol
from transfer.linear_probes.heads import LinearHeads
from transfer.stages import TransferBackbone

CROP_SIZE = 224
NUM_CLASSES = 100
LEARNING_RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, help="default: 256 on a GPU, the published one; 8 on a CPU")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device, on_gpu = torch.device(options.device), options.device == "cuda"
    batch_size = options.batch_size or (256 if on_gpu else 8)

    torch.backends.cudnn.benchmark = True
    zhang16, dinov2 = LINEAR_PROTOCOLS["zhang16"], LINEAR_PROTOCOLS["dinov2"]
    eccv16, vit = (
        open_backbone(BackboneConfig(model=f"random:{name}"), seed=0)
        .network.to(device)
        .to(memory_format=torch.channels_last)
        for name in ("eccv16", "timm:vit_small_patch16_224")
    )
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=on_gpu)
    rgb = torch.randint(256, (batch_size, 3, CROP_SIZE, CROP_SIZE), dtype=torch.uint8, device=device)
    labels = torch.randint(NUM_CLASSES, (batch_size,), device=device)
    readable = torch.ones(batch_size, dtype=torch.bool, device=device)

    def training_step(
        network: TransferBackbone,
        protocol: LinearProtocol,
        stages: Sequence[str],
        learning_rates: Sequence[float],
    ) -> Callable[[], object]:
        specs = {stage: network.specs[stage] for stage in stages}
        heads = LinearHeads(
            {stage: (spec.channels, protocol.grid(stage, spec)) for stage, spec in specs.items()},
            NUM_CLASSES,
            learning_rates,
            protocol,
            seed=0,
            world=World(rank=0, size=1, device=device),
        )

        def step() -> None:
            with torch.no_grad(), autocast:
                maps = network.forward_stages(rgb / 255, stages)
            pooled = {stage: protocol.pool(stage, spec, maps[stage]) for stage, spec in specs.items()}
            heads.train_step(pooled, labels, readable, 1.0)

        return step

    stages = list(eccv16.stages)
    assert dinov2.stages
    all_heads, one_head = (
        f"eccv16, {len(stages)} stages x {len(LEARNING_RATES)} rates",
        "eccv16, one classifier",
    )
    grid, one_token = "ViT-S/16, 4 choices of tokens x 13 rates", "ViT-S/16, one classifier"
    seconds = interleaved_medians(
        {
            all_heads: training_step(eccv16, zhang16, stages, LEARNING_RATES),
            one_head: training_step(eccv16, zhang16, stages[-1:], [zhang16.lr]),
            grid: training_step(vit, dinov2, dinov2.stages, dinov2.learning_rates),
            one_token: training_step(vit, dinov2, ["class1"], [dinov2.lr]),
        },
        rounds=options.rounds,
        synchronize=synchronizer(options.device),
    )
    report(
        "linear",
        f"eccv16 and ViT-S/16, {batch_size} crops of {CROP_SIZE} px, {NUM_CLASSES} classes",
        seconds,
        [
            Target(
                "all classifiers, as a multiple of one",
                seconds[all_heads] / seconds[one_head],
                1.3,
                at_least=False,
            ),
            Target(
                "DINOv2's grid, as a multiple of one", seconds[grid] / seconds[one_token], 1.5, at_least=False
            ),
        ],
        ("timm",),
        device=options.device,
    )


if __name__ == "__main__":
    main()
