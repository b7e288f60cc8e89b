"""One photograph through plain torch, Detectron2 and mmsegmentation: the same features of every stage.

Each framework reads the file, resizes nothing, normalises and fills up in its own code; its adapter is behind that.
"""

import pytest
import torch
from torchvision.transforms.functional import pil_to_tensor

pytest.importorskip("detectron2", reason="install Detectron2: make detection")
pytest.importorskip("mmseg", reason="install mmsegmentation: make segmentation")

from detectron2.data import DatasetMapper
from detectron2.modeling import GeneralizedRCNN
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from pretext.data.images import open_rgb
from pretext.data.sample import bundled_photograph
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.detection.adapter import DetectronBackbone, detectron_config
from transfer.detection.protocols import DETECTION_PROTOCOLS
from transfer.segmentation.adapter import DATA_PREPROCESSOR, SegmentationBackbone
from transfer.segmentation.loading import PACK, READ

HEIGHT, WIDTH = 160, 192  # multiples of every stride, so that nothing is filled up


@pytest.fixture(scope="module", params=["jpg", "png"])
def photograph(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / f"coffee.{request.param}"
    bundled_photograph("coffee").crop((150, 40, 150 + WIDTH, 40 + HEIGHT)).save(path)
    return path


def as_plain_torch(path):
    return pil_to_tensor(open_rgb(path))[None] / 255


def through_detectron2(path, backbone):
    """What its detectors hand to the backbone, by its own mapper and preprocessing."""
    protocol = DETECTION_PROTOCOLS["plain"]
    cfg = detectron_config(
        protocol,
        protocol.schedule,
        detector="dc5",
        stage=backbone.stages[-1],
        num_classes=1,
        with_proposals=False,
        device="cpu",
    )
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = HEIGHT, WIDTH
    record = DatasetMapper(cfg, is_train=False)({"file_name": str(path), "height": HEIGHT, "width": WIDTH})
    model = GeneralizedRCNN(
        backbone=backbone,
        proposal_generator=torch.nn.Identity(),
        roi_heads=torch.nn.Identity(),
        pixel_mean=cfg.MODEL.PIXEL_MEAN,
        pixel_std=cfg.MODEL.PIXEL_STD,
    )
    return model.backbone(model.preprocess_image([record]).tensor)


def through_mmsegmentation(path, backbone):
    """The same by its own pipeline and data preprocessor."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        pipeline, preprocessor = Compose([READ, PACK]), MODELS.build(DATA_PREPROCESSOR)
    batch = pseudo_collate([pipeline({"img_path": str(path)})])
    return dict(zip(backbone.stages, backbone(preprocessor(batch)["inputs"]), strict=True))


@pytest.mark.parametrize("name", ["eccv16", "alexnet", "resnet50"])
def test_all_ways_give_the_same_features(name, photograph):
    network = open_backbone(BackboneConfig(model=f"random:{name}", width=0.25), seed=0).network
    stages = list(network.stages)
    in_detectron2 = DetectronBackbone(network, stages)
    in_mmsegmentation = SegmentationBackbone(network, stages).eval()
    with torch.no_grad():
        expected = network.forward_stages(as_plain_torch(photograph), stages)
        assert all(of.std() > 0 for of in expected.values())
        for found in (
            through_detectron2(photograph, in_detectron2),
            through_mmsegmentation(photograph, in_mmsegmentation),
        ):
            assert found.keys() == expected.keys()
            for stage in stages:
                torch.testing.assert_close(found[stage], expected[stage], rtol=0, atol=1e-5)
