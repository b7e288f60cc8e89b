"""One photograph through plain torch, Detectron2 and mmsegmentation: the same features of every stage.

Each framework resizes nothing, normalises and fills up in its own code; its adapter is behind that.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

pytest.importorskip("detectron2", reason="install Detectron2: make detection")
pytest.importorskip("mmseg", reason="install mmsegmentation: make segmentation")

from detectron2.modeling import GeneralizedRCNN
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from pretext.images.image_file import open_rgb
from pretext.images.sample import bundled_photograph
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.detection.adapter import DetectronBackbone, detectron_config
from transfer.detection.annotated import AnnotatedImage, DetectionImages
from transfer.detection.loading import MappedImages, detectron_records
from transfer.detection.protocols import DETECTION_PROTOCOLS
from transfer.segmentation.adapter import DATA_PREPROCESSOR, SegmentationBackbone
from transfer.segmentation.loading import PACK, READ

HEIGHT, WIDTH = 160, 192  # multiples of every stride, so that nothing is filled up


@pytest.fixture(scope="module", params=["coffee.jpg", "coffee.png", "adobe_rgb.png", "grey_of_16_bits.png"])
def photograph(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / request.param
    picture = bundled_photograph("coffee").crop((150, 40, 150 + WIDTH, 40 + HEIGHT))
    if request.param.startswith("grey"):
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    profile = None
    if request.param.startswith("adobe"):
        with Image.open(Path(skimage.data.__file__).with_name("rocket.jpg")) as rocket:
            profile = rocket.info["icc_profile"]
    picture.save(path, icc_profile=profile)
    return path


def as_plain_torch(path):
    return pil_to_tensor(open_rgb(path))[None] / 255


def through_detectron2(path, backbone):
    """What its detectors hand to the backbone, by the loader of tests and its own preprocessing."""
    protocol = DETECTION_PROTOCOLS["plain"]
    cfg = detectron_config(
        protocol,
        detector="dc5",
        stage=backbone.stages[-1],
        num_classes=1,
        with_proposals=False,
        device="cpu",
    )
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = HEIGHT, WIDTH
    image = AnnotatedImage(
        id=1, name=str(path), open=partial(open_rgb, path), width=WIDTH, height=HEIGHT, boxes=()
    )
    images = DetectionImages(address="voc:folder:test", classes=("cup",), measure="voc", images=(image,))
    (record,) = MappedImages(detectron_records(images), cfg, training=False)
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
