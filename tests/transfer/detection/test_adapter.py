"""The backbone inside Detectron2's detectors: what it sees, what is trained, what each detector is made of."""

import pytest
import torch

pytest.importorskip("detectron2", reason="install Detectron2: make detection")

from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.detection.adapter import (
    DetectronBackbone,
    build_detector,
    choose_detector,
    detectron_config,
)
from transfer.detection.protocols import DETECTION_PROTOCOLS
from transfer.stages import choose_stage

PLAIN = DETECTION_PROTOCOLS["plain"]


def backbone(name, width=0.125):
    return open_backbone(BackboneConfig(model=f"random:{name}", width=width), seed=0).network


def built(network, detector, *, train_from="all", trains_batch_norm=True, with_proposals=False):
    stage = {"c4": "layer3", "fpn": "layer4"}.get(detector) or choose_stage(
        network, None, fully_connected=False
    )
    cfg = detectron_config(
        PLAIN,
        detector=detector,
        stage=stage,
        num_classes=3,
        with_proposals=with_proposals,
        device="cpu",
    )
    torch.manual_seed(0)
    return build_detector(
        network, cfg, detector=detector, train_from=train_from, trains_batch_norm=trains_batch_norm
    )


def one_batch():
    truth = Instances((96, 128))
    truth.gt_boxes, truth.gt_classes = Boxes(torch.tensor([[10.0, 10, 80, 80]])), torch.tensor([1])
    pixels = torch.randint(0, 256, (3, 96, 128), generator=torch.Generator().manual_seed(0)).byte()
    return [{"image": pixels, "instances": truth, "height": 96, "width": 128}] * 2


def train_one_step(model):
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    with EventStorage(0):
        sum(model(one_batch()).values()).backward()
    optimizer.step()


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("name", "detector", "maps"),
    [
        ("eccv16", "dc5", {"conv7": 8}),
        ("alexnet", "dc5", {"conv5": 16}),
        ("resnet50", "c4", {"layer3": 16}),
        ("resnet50", "fpn", {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64}),
    ],
)
def test_each_network_has_its_detector_whose_maps_have_the_strides_that_they_say(name, detector, maps):
    network = backbone(name)
    model = built(network, detector)
    assert {of: shape.stride for of, shape in model.backbone.output_shape().items()} == maps
    with torch.no_grad():
        outputs = model.backbone(torch.zeros(1, 3, 128, 192))
    for of, stride in maps.items():
        assert outputs[of].shape[-2:] == (128 // stride, 192 // stride)
        assert outputs[of].shape[1] == model.backbone.output_shape()[of].channels
    assert choose_detector(network, None) == ("c4" if name == "resnet50" else "dc5")


@pytest.mark.parametrize(("name", "detector"), [("eccv16", "dc5"), ("resnet50", "c4"), ("resnet50", "fpn")])
def test_with_a_frozen_body_a_step_trains_the_head_alone(name, detector):
    network = backbone(name)
    model = built(network, detector, train_from="head", trains_batch_norm=False)
    before = {of: tensor.clone() for of, tensor in model.state_dict().items()}
    train_one_step(model)
    changed = moved(before, model.state_dict())
    assert not [of for of in changed if ".network.network." in of]
    assert any(of.startswith("roi_heads.box_predictor") for of in changed)
    assert any(of.startswith("proposal_generator") for of in changed)


def test_in_full_training_every_used_parameter_of_the_backbone_gets_a_gradient_and_no_other():
    network = backbone("eccv16")
    model = built(network, "dc5")
    train_one_step(model)
    reached = {of.split(".")[1] for of, p in network.named_parameters() if p.grad is not None}
    assert reached == {f"model{number}" for number in range(1, 8)}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("trains_batch_norm", [True, False])
def test_batch_norm_moves_only_where_the_protocol_trains_it(trains_batch_norm):
    network = backbone("resnet50")
    model = built(network, "c4", trains_batch_norm=trains_batch_norm)
    before = {of: tensor.clone() for of, tensor in model.state_dict().items()}
    train_one_step(model)
    statistics = {of for of in moved(before, model.state_dict()) if "running_mean" in of}
    assert any(of.startswith("roi_heads.res5") for of in statistics) == trains_batch_norm
    assert any(of.startswith("backbone") for of in statistics) == trains_batch_norm
    # The BatchNorm that MoCo puts behind the last group.
    assert isinstance(model.roi_heads.res5[-1], torch.nn.BatchNorm2d) == trains_batch_norm


def test_the_head_of_c4_begins_as_the_pretrained_layer4():
    network = backbone("resnet50")
    model = built(network, "c4")
    for name, parameter in network.get_submodule("network.layer4").named_parameters():
        torch.testing.assert_close(model.roi_heads.res5[0].get_parameter(name), parameter, rtol=0, atol=0)


def test_fast_rcnn_takes_the_proposed_boxes_alone():
    model = built(backbone("eccv16"), "dc5", with_proposals=True)
    assert model.proposal_generator is None
    inputs = one_batch()
    for image in inputs:
        image["proposals"] = Instances(
            (96, 128),
            proposal_boxes=Boxes(torch.tensor([[12.0, 8, 78, 82], [0.0, 0, 20, 20]])),
            objectness_logits=torch.tensor([1.0, 0.0]),
        )
    model.train()
    with EventStorage(0):
        assert model(inputs).keys() == {"loss_cls", "loss_box_reg"}


def test_padding_is_grey_for_the_backbone():
    network = backbone("eccv16")
    seen = []
    network.forward_stages = lambda rgb, names: seen.append(rgb) or {}
    model = built(backbone("eccv16"), "dc5")
    adapter = DetectronBackbone(network, ["conv7"])
    white = {"image": torch.full((3, 50, 60), 255, dtype=torch.uint8)}
    adapter(model.preprocess_image([white]).tensor)
    (rgb,) = seen
    assert rgb.shape[-2:] == (56, 64)  # multiples of the stride
    assert torch.equal(rgb[..., :50, :60], torch.ones(1, 3, 50, 60))
    assert torch.equal(rgb[..., 50:, :], torch.full((1, 3, 6, 64), 128 / 255))


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("c4", "detector c4 needs the stages layer1, layer2, layer3, layer4 of a ResNet.*choose dc5"),
        ("fpn", "fpn needs"),
    ],
)
def test_a_pyramid_of_a_network_without_one_is_refused(detector, message):
    with pytest.raises(ValueError, match=message):
        choose_detector(backbone("eccv16"), detector)


def test_a_stage_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no stage 'conv9'"):
        choose_stage(backbone("eccv16"), "conv9", fully_connected=False)
    with pytest.raises(ValueError, match="no stage 'conv8'"):  # beyond the one that is looked at
        built(backbone("eccv16"), "dc5", train_from="conv8")
