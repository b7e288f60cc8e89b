"""What the adapters cost inside Detectron2 and mmsegmentation, and the memory of segmentation.

    python benchmarks/frameworks.py [--device cuda]

Training steps of the frameworks' own models on eccv16 in full width, from images in memory: Faster R-CNN on conv7 with
two images of 192 x 256 px, and an FCN head on conv7 with two crops of 192 px. The peers are the same models on a
backbone of the same layers and weights, written plainly for that framework: it takes the mean of the framework's
normalised channels for grey and knows nothing of colour spaces, stages or freezing. The memory is what torch's profiler
counts of all tensors in one segmentation step of two crops of 513 px.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone, GeneralizedRCNN, build_proposal_generator, build_roi_heads
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from measure import Target, interleaved_medians, peak_tensor_memory, report, synchronizer
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from pretext.networks.eccv16 import Eccv16, conv_block
from transfer.backbone import PretextBackbone
from transfer.detection.adapter import build_detector, detectron_config
from transfer.detection.protocols import DETECTION_PROTOCOLS
from transfer.segmentation.adapter import build_segmentor
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS

HEIGHT, WIDTH, CROP, LARGE_CROP = 192, 256, 192, 513
NUM_CLASSES, BATCH = 20, 2
GIB = 2**30


class PlainTrunk(nn.Sequential):
    """conv1..conv7 of eccv16 on grey images; `width` is a factor on its channels."""

    def __init__(self, width: float = 1.0) -> None:
        c64, c128, c256, c512 = (round(channels * width) for channels in (64, 128, 256, 512))
        super().__init__(
            conv_block(1, c64, c64, stride=2),
            conv_block(c64, c128, c128, stride=2),
            conv_block(c128, c256, c256, c256, stride=2),
            conv_block(c256, c512, c512, c512),
            conv_block(c512, c512, c512, c512, dilation=2),
            conv_block(c512, c512, c512, c512, dilation=2),
            conv_block(c512, c512, c512, c512),
        )

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.mean(1, keepdim=True) / 255)


class PlainDetectronBackbone(Backbone):
    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.trunk, self.channels = PlainTrunk(width), round(512 * width)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"conv7": self.trunk(image)}

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"conv7": ShapeSpec(channels=self.channels, stride=8)}


class PlainSegmentationBackbone(nn.Module):
    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = PlainTrunk(width)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.trunk(image),)


def detectors(device: str) -> dict[str, nn.Module]:
    """The detector on the adapter, and on the plain backbone with equal weights."""
    cfg = detectron_config(
        DETECTION_PROTOCOLS["moco_24k"],
        detector="dc5",
        stage="conv7",
        num_classes=NUM_CLASSES,
        with_proposals=False,
        device=device,
    )
    ours = build_detector(
        PretextBackbone(Eccv16()).eval(), cfg, detector="dc5", train_from="all", trains_batch_norm=True
    )
    plain = plain_detector(cfg).to(device)
    copy_trunk(ours.backbone.network.network, plain.backbone.trunk)
    plain.proposal_generator.load_state_dict(ours.proposal_generator.state_dict())
    plain.roi_heads.load_state_dict(ours.roi_heads.state_dict())
    return {"adapter": ours, "plain": plain}


def plain_detector(cfg: CfgNode, width: float = 1.0) -> GeneralizedRCNN:
    """The detector of `cfg` on the plain backbone."""
    backbone = PlainDetectronBackbone(width)
    shapes = backbone.output_shape()
    return GeneralizedRCNN(
        backbone=backbone,
        proposal_generator=build_proposal_generator(cfg, shapes),
        roi_heads=build_roi_heads(cfg, shapes),
        pixel_mean=cfg.MODEL.PIXEL_MEAN,
        pixel_std=cfg.MODEL.PIXEL_STD,
    )


def segmentors(device: str) -> dict[str, nn.Module]:
    """The same of the segmentation network."""
    models = {"adapter": segmentor(Eccv16()), "plain": plain_segmentor()}
    copy_trunk(models["adapter"].backbone.network.network, models["plain"].backbone.trunk)
    models["plain"].decode_head.load_state_dict(models["adapter"].decode_head.state_dict())
    for model in models.values():
        model.to(device)
    return models


def segmentor(network: Eccv16, crop_size: int = LARGE_CROP) -> nn.Module:
    model = build_segmentor(
        PretextBackbone(network).eval(),
        replace(SEGMENTATION_PROTOCOLS["fcn_20k"], crop_size=crop_size),
        stages=["conv7"],
        num_classes=NUM_CLASSES + 1,
    )
    model.init_weights()
    return model


def plain_segmentor(width: float = 1.0, crop_size: int = LARGE_CROP) -> nn.Module:
    """The same segmentation network on the plain backbone; its loader's crops are padded to `crop_size`."""
    model = segmentor(Eccv16(width=width), crop_size)
    model.backbone = PlainSegmentationBackbone(width)
    return model


def copy_trunk(network: Eccv16, trunk: PlainTrunk) -> None:
    for number, block in enumerate(trunk, start=1):
        block.load_state_dict(network.get_submodule(f"model{number}").state_dict())


def detection_step(model: nn.Module) -> Callable[[], None]:
    truth = Instances((HEIGHT, WIDTH))
    truth.gt_boxes = Boxes(torch.tensor([[20.0, 20, 120, 150], [100.0, 60, 240, 180]]))
    truth.gt_classes = torch.tensor([3, 7])
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (BATCH, 3, HEIGHT, WIDTH), generator=generator).byte()
    inputs = [{"image": image, "instances": truth, "height": HEIGHT, "width": WIDTH} for image in pixels]

    def losses() -> Tensor:
        with EventStorage(0):
            return sum(model(inputs).values())

    return training_step(model, losses)


def segmentation_step(model: nn.Module, size: int) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    images = torch.randint(256, (BATCH, 3, size, size), generator=generator).float().to(device) - 128
    samples = []
    for _ in range(BATCH):
        labels = torch.randint(NUM_CLASSES + 1, (1, size, size), generator=generator).to(device)
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=labels)))

    def losses() -> Tensor:
        return model(images, samples, mode="loss")["decode.loss_ce"]

    return training_step(model, losses)


def training_step(model: nn.Module, losses: Callable[[], Tensor]) -> Callable[[], None]:
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6, momentum=0.9)

    def step() -> None:
        torch.manual_seed(0)  # the same boxes and the same dropout for both
        losses().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(0)
    synchronize = synchronizer(options.device)
    of_detection, of_segmentation = detectors(options.device), segmentors(options.device)
    peak = peak_tensor_memory(segmentation_step(of_segmentation["adapter"], LARGE_CROP))
    seconds: dict[str, float] = {}
    for framework, steps in (
        ("Detectron2", {name: detection_step(model) for name, model in of_detection.items()}),
        ("mmsegmentation", {name: segmentation_step(model, CROP) for name, model in of_segmentation.items()}),
    ):
        medians = interleaved_medians(steps, rounds=options.rounds, synchronize=synchronize)
        seconds |= {f"{framework}, {name}": value for name, value in medians.items()}
    report(
        "frameworks",
        f"training steps of eccv16 conv1 to conv7: Faster R-CNN, {BATCH} images of {HEIGHT} x {WIDTH} px; FCN, {BATCH} "
        f"crops of {CROP} px. Peak of an FCN step with {BATCH} crops of {LARGE_CROP} px: {peak / GIB:.2f} GiB",
        seconds,
        [
            *(
                Target(
                    f"{framework}: time over the plain backbone's",
                    seconds[f"{framework}, adapter"] / seconds[f"{framework}, plain"],
                    1.03,
                    at_least=False,
                )
                for framework in ("Detectron2", "mmsegmentation")
            ),
            Target("memory of segmentation at 513 px, GiB", peak / GIB, 8, at_least=False),
        ],
        ("torchvision", "onedl-mmsegmentation"),
        device=options.device,
    )


if __name__ == "__main__":
    main()
