"""A backbone inside mmsegmentation's networks.

mmsegmentation gets BGR in 0..255 (`LoadPicture`), and `SegDataPreProcessor` subtracts a mean, divides by a deviation
and fills up. `DATA_PREPROCESSOR` chooses them so that all of that is exact and the filling is grey: the
backbone adds the mean again and sees RGB in [0, 1], as everywhere in this project. A configuration of mmsegmentation's
own takes the backbone as

    custom_imports = dict(imports=["transfer.segmentation.adapter"])
    data_preprocessor = dict(
        type="SegDataPreProcessor", mean=[128] * 3, std=[1] * 3, bgr_to_rgb=True, pad_val=0, seg_pad_val=255,
        size=(512, 512), test_cfg=dict(size=(512, 512)))
    backbone = dict(type="TransferBackbone", model="runs/imagenet", stages=["conv7"])

and should read with `dict(type="LoadPicture")` in place of `LoadImageFromFile`, which knows no colour profiles.
"""

import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import mmcv
import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int64
from mmcv.transforms import BaseTransform
from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS, TRANSFORMS
from torch import Tensor, nn

from pretext.images.image_file import open_rgb
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.partial_training import freeze_batch_norm, set_mode, train_only_from
from transfer.segmentation.protocols import SegmentationProtocol
from transfer.stages import TransferBackbone

with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
    # What these register MODELS and TRANSFORMS find. Optional parts, of no use here, announce their absence.
    warnings.filterwarnings("ignore", "Fail to import ``MultiScaleDeformableAttention``")
    import mmseg.datasets
    import mmseg.models  # noqa: F401
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

PIXEL_MEAN, PIXEL_STD = 128.0, 1.0  # grey, of 0..255
DATA_PREPROCESSOR = {
    "type": "SegDataPreProcessor",
    "mean": [PIXEL_MEAN] * 3,
    "std": [PIXEL_STD] * 3,
    "bgr_to_rgb": True,
    "pad_val": 0,
    "seg_pad_val": 255,
}


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """mmsegmentation's step that reads an image: BGR in 0..255.

    It takes the Pillow image `picture` of the results, or without one opens `img_path` by `open_rgb`, which raises
    BrokenImageError.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img`, `img_shape` and `ori_shape`."""
        picture = results.get("picture") or open_rgb(Path(results["img_path"]))
        image = mmcv.rgb2bgr(
            np.array(picture)
        )  # a copy: of a reversed view OpenCV resizes at a quarter of the speed
        return results | {"img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}


@TRANSFORMS.register_module()
class TakeLabels(BaseTransform):
    """The step in place of mmsegmentation's LoadAnnotations: from here on `labels` change with the image."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `gt_seg_map`."""
        return results | {"gt_seg_map": results["labels"], "seg_fields": ["gt_seg_map"]}


@MODELS.register_module(name="TransferBackbone")
class SegmentationBackbone(nn.Module):
    """Stages of a backbone as mmsegmentation's feature maps; its weights are never initialised anew.

    Args:
        model, weights, width, absorb_batch_norm, seed, colour_input: see `BackboneConfig` and `open_backbone`; or
            `model` is a backbone that is open already.
        stages: that the head looks at, in its `in_index`'s order.
        train_from: the first stage that is trained: `head` (none), a stage, or `all`.
        batch_norm: `train`, or `frozen` with its statistics.

    Raises:
        ValueError: as `open_backbone` does, for a stage that there is not, and for a backbone that takes images of one
            size only.
    """

    def __init__(
        self,
        model: str | TransferBackbone,
        stages: Sequence[str],
        *,
        weights: str | None = None,
        width: float = 1.0,
        absorb_batch_norm: bool = False,
        seed: int = 0,
        colour_input: bool = False,
        train_from: str = "all",
        batch_norm: Literal["train", "frozen"] = "train",
    ) -> None:
        super().__init__()
        if isinstance(model, str):
            config = BackboneConfig(
                model=model, weights=weights, width=width, absorb_batch_norm=absorb_batch_norm
            )
            model = open_backbone(config, seed, colour_input=colour_input).network
        if model.only_size is not None:
            raise ValueError("the backbone takes images of one size only, and these have any; choose another")
        for stage in stages:
            model.require_map(stage)
        self.network, self.stages = model, tuple(stages)
        train_only_from(model, train_from, max(stages, key=list(model.stages).index))
        if batch_norm == "frozen":
            freeze_batch_norm(model)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch _ _ _"], ...]:
        """The stages of RGB in 0..255, less `PIXEL_MEAN`."""
        outputs = self.network.forward_stages((image * PIXEL_STD + PIXEL_MEAN) / 255, self.stages)
        return tuple(outputs[stage] for stage in self.stages)

    def train(self, mode: bool = True) -> "SegmentationBackbone":
        self.training = mode
        set_mode(self.network, mode)
        return self


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """A BatchNorm and a 1x1 convolution on stages that are resized to the grid of the first and concatenated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(input_transform="resize_concat", **options)
        self.norm = nn.BatchNorm2d(self.in_channels)

    def forward(
        self, stages: Sequence[Float[Tensor, "batch _ _ _"]]
    ) -> Float[Tensor, "batch classes height width"]:
        """Logits on the grid of the first stage."""
        return self.cls_seg(self.norm(self._transform_inputs(stages)))


@MODELS.register_module()
class LabelledCrossEntropy(nn.Module):
    """Cross-entropy averaged over the labelled pixels of each image, then over images.

    So it is the same however images are filled up to one size, and however processes share them.
    """

    loss_name = "loss_ce"

    def forward(
        self,
        logits: Float[Tensor, "batch classes height width"],
        labels: Int64[Tensor, "batch height width"],
        weight: None = None,
        ignore_index: int = 255,
    ) -> Float[Tensor, ""]:
        losses = F.cross_entropy(logits, labels, reduction="none", ignore_index=ignore_index)
        return (losses.sum((1, 2)) / (labels != ignore_index).sum((1, 2)).clamp(min=1)).mean()


def build_segmentor(
    network: TransferBackbone,
    protocol: SegmentationProtocol,
    *,
    stages: Sequence[str],
    num_classes: int,
    train_from: str = "all",
) -> nn.Module:
    """mmsegmentation's `EncoderDecoder`: `network`, whose weights are taken as they are, and a head on `stages`.

    Its `forward(images, mode="tensor")` gives logits on the grid of the first stage. The weights of the head come from
    torch's global random numbers, some here and some when mmengine calls `init_weights`.

    Raises:
        ValueError: as `SegmentationBackbone` does.
    """
    size = (protocol.crop_size, protocol.crop_size)
    # Test images are filled up as training crops are: a network that has only seen grey below its images answers
    # nonsense at the lower edge of one that ends there.
    preprocessor = DATA_PREPROCESSOR | {"size": size, "test_cfg": {"size": size}}
    backbone = {
        "type": "TransferBackbone",
        "model": network,
        "stages": list(stages),
        "train_from": train_from,
        "batch_norm": protocol.batch_norm,
    }
    model = {
        "type": "EncoderDecoder",
        "data_preprocessor": preprocessor,
        "backbone": backbone,
        "decode_head": head_config(
            protocol, [network.stages[stage].channels for stage in stages], num_classes
        ),
        "test_cfg": ConfigDict(mode="slide", crop_size=size, stride=(2 * protocol.crop_size // 3,) * 2)
        if protocol.slides
        else ConfigDict(mode="whole"),
    }
    with warnings.catch_warnings(), DefaultScope.overwrite_default_scope("mmseg"):
        warnings.filterwarnings(
            "ignore", "Default ``avg_non_ignore`` is False"
        )  # as in its own configurations
        return MODELS.build(model)


def head_config(
    protocol: SegmentationProtocol, stage_channels: Sequence[int], num_classes: int
) -> dict[str, Any]:
    """mmsegmentation's configuration of the head.

    The convolutions of the FCN head have a quarter of the stage's channels and at most 512: mmsegmentation's 512 on
    ResNet-50 and 128 on ResNet-18.
    """
    channels = sum(stage_channels)
    form: dict[str, Any]
    if protocol.head == "linear":
        form = {
            "type": "LinearHead",
            "in_channels": list(stage_channels),
            "in_index": list(range(len(stage_channels))),
            "channels": channels,
        }
    elif protocol.head == "score":
        form = {"channels": channels, "num_convs": 0, "kernel_size": 1, "concat_input": False}
    else:
        form = {"channels": min(512, channels // 4), "num_convs": 2, "concat_input": True}
    loss = {"labelled": "LabelledCrossEntropy", "all": "CrossEntropyLoss"}[protocol.loss]
    return (
        {"type": "FCNHead", "in_channels": channels}
        | form
        | {
            "num_classes": num_classes,
            "out_channels": num_classes,  # two classes too
            "dropout_ratio": protocol.dropout,
            "norm_cfg": {"type": "BN"},
            "loss_decode": {"type": loss},
        }
    )
