"""A backbone inside Detectron2's detectors.

Detectron2 gets RGB in 0..255 (`transfer.detection.loading`), subtracts `PIXEL_MEAN`, divides by `PIXEL_STD` and
fills up with zeros. Mean and deviation are chosen so that all of that is exact and the filling is grey: the backbone
adds the mean again and sees RGB in [0, 1], as everywhere in this project.
"""

import copy
from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    FPN,
    Backbone,
    GeneralizedRCNN,
    build_mask_head,
    build_proposal_generator,
    build_roi_heads,
)
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, Res5ROIHeads
from torch import Tensor, nn

from transfer.detection.annotated import MaskFormat
from transfer.detection.config import DetectorName
from transfer.detection.protocols import DetectionProtocol
from transfer.partial_training import freeze_batch_norm, set_mode, train_only_from
from transfer.stages import TransferBackbone

PIXEL_MEAN, PIXEL_STD = 128.0, 1.0  # grey, of 0..255
PYRAMID = ("layer1", "layer2", "layer3", "layer4")


class DetectronBackbone(Backbone):
    """Stages of a backbone as Detectron2's feature maps, under their names, with their channels and strides.

    Args:
        network: parts of it may be frozen; in training mode those stay in evaluation mode.
        stages: that the detector looks at.
    """

    def __init__(self, network: TransferBackbone, stages: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.stages = tuple(stages)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The stages of images (batch, 3, height, width) in 0..255, less `PIXEL_MEAN`."""
        return self.network.forward_stages((image * PIXEL_STD + PIXEL_MEAN) / 255, self.stages)

    def output_shape(self) -> dict[str, ShapeSpec]:
        specs = {name: self.network.stages[name] for name in self.stages}
        return {name: ShapeSpec(channels=spec.channels, stride=spec.stride) for name, spec in specs.items()}

    @property
    def size_divisibility(self) -> int:
        """Images are filled up to multiples of the deepest stride, so that all maps have the sizes it says."""
        return max(self.network.stages[name].stride for name in self.stages)

    def train(self, mode: bool = True) -> "DetectronBackbone":
        self.training = mode
        set_mode(self.network, mode)
        return self


class _Layer4Head(nn.Sequential):
    """The last group of a ResNet on each box, and MoCo's BatchNorm behind it where BatchNorm is trained."""

    def train(self, mode: bool = True) -> "_Layer4Head":
        set_mode(self, mode)
        return self


def choose_detector(network: TransferBackbone, asked: DetectorName | None) -> DetectorName:
    """c4 for a ResNet and dc5 for other networks, unless the user chose.

    Raises:
        ValueError: c4 or fpn, and the backbone has no stages layer1..layer4; or it takes images of one size only.
    """
    has_pyramid = set(PYRAMID) <= network.stages.keys()
    is_resnet = has_pyramid and hasattr(
        getattr(network, "network", None), "layer4"
    )  # which c4 copies for each box
    if (asked == "c4" and not is_resnet) or (asked == "fpn" and not has_pyramid):
        raise ValueError(
            f"detector {asked} needs the stages {', '.join(PYRAMID)} of a ResNet, but the backbone has "
            f"{', '.join(network.stages)}; choose dc5"
        )
    if network.only_size is not None:
        raise ValueError(
            "the backbone takes images of one size only, and a detector's have any; choose another"
        )
    return asked or ("c4" if is_resnet else "dc5")


def detectron_config(
    protocol: DetectionProtocol,
    *,
    detector: DetectorName,
    stage: str,
    num_classes: int,
    with_proposals: bool,
    device: str,
    mask_format: MaskFormat | None = None,
) -> CfgNode:
    """Detectron2's configuration of a detector and its training, but for the backbone and the data.

    Heads, anchors and numbers of proposals are those of its R_50_DC5, R_50_C4 and R_50_FPN.

    Args:
        mask_format: of the masks that it learns; None learns none.
    """
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.MIN_SIZE_TRAIN = protocol.image_sizes
    cfg.INPUT.MAX_SIZE_TRAIN = cfg.INPUT.MAX_SIZE_TEST = protocol.max_image_size
    cfg.INPUT.MIN_SIZE_TEST = protocol.test_image_size
    model = cfg.MODEL
    if mask_format:
        model.MASK_ON, cfg.INPUT.MASK_FORMAT = True, mask_format
    model.DEVICE = device
    model.PIXEL_MEAN, model.PIXEL_STD = [PIXEL_MEAN] * 3, [PIXEL_STD] * 3
    model.PROPOSAL_GENERATOR.NAME = "PrecomputedProposals" if with_proposals else "RPN"
    model.LOAD_PROPOSALS = with_proposals
    model.ROI_HEADS.NUM_CLASSES = num_classes
    model.ROI_HEADS.BATCH_SIZE_PER_IMAGE = protocol.boxes_per_image
    model.RPN.PRE_NMS_TOPK_TEST, model.RPN.POST_NMS_TOPK_TEST = 6000, 1000
    model.RPN.IN_FEATURES = model.ROI_HEADS.IN_FEATURES = [stage]
    if detector != "c4":
        model.ROI_HEADS.NAME = "StandardROIHeads"
        model.ROI_BOX_HEAD.NAME, model.ROI_BOX_HEAD.NUM_FC = "FastRCNNConvFCHead", 2
        model.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
        model.ROI_MASK_HEAD.NUM_CONV = 4
    if detector == "fpn":
        model.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
        model.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
        model.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
        model.RPN.PRE_NMS_TOPK_TRAIN, model.RPN.PRE_NMS_TOPK_TEST = 2000, 1000
        model.RPN.POST_NMS_TOPK_TRAIN, model.RPN.POST_NMS_TOPK_TEST = 1000, 1000
    solver, schedule = cfg.SOLVER, protocol.schedule
    solver.IMS_PER_BATCH, solver.MAX_ITER, solver.BASE_LR = schedule.batch_size, schedule.steps, schedule.lr
    solver.WARMUP_ITERS = schedule.warmup_steps
    drops = {round(share * schedule.steps) for share in protocol.lr_decays}
    solver.STEPS = tuple(
        sorted(drops & set(range(1, schedule.steps - 1)))
    )  # a run of a few steps may have none
    solver.WEIGHT_DECAY = protocol.weight_decay
    return cfg


def build_detector(
    network: TransferBackbone,
    cfg: CfgNode,
    *,
    detector: DetectorName,
    train_from: str,
    trains_batch_norm: bool,
) -> GeneralizedRCNN:
    """The detector that `cfg` (of `detectron_config`) describes, on `network`, whose weights are taken as they are.

    Args:
        train_from: `head`, the first stage that is trained, or `all`. For c4, layer4 belongs to the head.

    Raises:
        ValueError: there is no stage `train_from` among those that the detector uses.
    """
    stages = PYRAMID if detector == "fpn" else cfg.MODEL.ROI_HEADS.IN_FEATURES
    per_box = copy.deepcopy(network.get_submodule("network.layer4")) if detector == "c4" else None
    train_only_from(network, train_from, stages[-1])
    backbone: Any = DetectronBackbone(network, stages)
    if detector == "fpn":
        # He et al. (2020) normalise the pyramid too, but no head: github.com/facebookresearch/moco/issues/34.
        norm = "BN" if trains_batch_norm else ""
        backbone = FPN(backbone, list(stages), out_channels=256, norm=norm, top_block=LastLevelMaxPool())
    shapes = backbone.output_shape()
    if per_box is None:
        heads = build_roi_heads(cfg, shapes)
    else:
        channels = network.stages["layer4"].channels
        extra = [nn.BatchNorm2d(channels)] if trains_batch_norm else []
        parts = Res5ROIHeads.from_config(cfg, shapes) | {
            "res5": _Layer4Head(per_box, *extra),
            "box_predictor": FastRCNNOutputLayers(cfg, ShapeSpec(channels=channels, height=1, width=1)),
        }
        if cfg.MODEL.MASK_ON:
            parts["mask_head"] = build_mask_head(cfg, ShapeSpec(channels=channels))
        heads = Res5ROIHeads(**parts)
    model = GeneralizedRCNN(
        backbone=backbone,
        proposal_generator=build_proposal_generator(cfg, shapes),
        roi_heads=heads,
        pixel_mean=cfg.MODEL.PIXEL_MEAN,
        pixel_std=cfg.MODEL.PIXEL_STD,
        input_format=cfg.INPUT.FORMAT,
    )
    if not trains_batch_norm:
        freeze_batch_norm(model)
    return model.to(cfg.MODEL.DEVICE)
