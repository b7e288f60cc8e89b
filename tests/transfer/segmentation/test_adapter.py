import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from pretext.images.image_file import open_rgb
from tests.transfer.small_voc import write_small_voc
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.segmentation.data import open_segmentation
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS
from transfer.stages import choose_stage

pytest.importorskip("mmseg", reason="make segmentation")

from mmengine import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from pretext.runtime.distributed import World
from transfer.segmentation.adapter import (
    DATA_PREPROCESSOR,
    LabelledCrossEntropy,
    build_segmentor,
)
from transfer.segmentation.loading import test_loader as loader_of_tests
from transfer.segmentation.loading import train_loader

CPU = World(rank=0, size=1, device=torch.device("cpu"))
PLAIN, ZHANG16 = SEGMENTATION_PROTOCOLS["plain"], SEGMENTATION_PROTOCOLS["zhang16"]


def shortened(protocol, steps, batch_size):
    return replace(protocol, schedule=replace(protocol.schedule, steps=steps, batch_size=batch_size))


def opened(name="eccv16", width=0.125, **options):
    return open_backbone(BackboneConfig(model=f"random:{name}", width=width), 0, **options).network


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The training and the test images of the sample."""
    folder = write_small_voc(tmp_path_factory.mktemp("data") / "voc")
    (train,), test = open_segmentation(f"voc:{folder}:train", f"voc:{folder}:val")
    return train, test


@pytest.mark.parametrize("name", ["eccv16", "alexnet", "resnet50"])
def test_a_jpeg_read_by_mmsegmentation_gives_the_stages_of_the_network_on_its_rgb(images, name):
    _, test = images
    network = opened(name)
    stage = choose_stage(network, None, fully_connected=True)
    protocol = replace(ZHANG16, crop_size=96)  # so that nothing is filled up
    model = build_segmentor(network, protocol, stages=[stage], num_classes=4).eval()
    batch = next(iter(loader_of_tests(test, protocol, world=CPU, num_workers=0)))
    with torch.no_grad():
        (found,) = model.extract_feat(model.data_preprocessor(batch)["inputs"])
        rgb = pil_to_tensor(test.images[0].read()[0])[None] / 255
        expected = network.forward_stages(rgb, [stage])[stage]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_filling_is_grey_to_the_network_and_void_to_the_loss(images):
    train, _ = images
    loader = train_loader([train], shortened(ZHANG16, 1, 2), seed=0, world=CPU, num_workers=0)
    model = build_segmentor(opened(), ZHANG16, stages=["conv7"], num_classes=4)
    data = model.data_preprocessor(next(iter(loader)), training=True)
    assert data["inputs"].shape == (2, 3, 500, 500)
    assert (data["inputs"][:, :, 120:] == 0).all()
    assert data["inputs"][:, :, :120, :160].abs().max() > 20
    labels = torch.stack([sample.gt_sem_seg.data for sample in data["data_samples"]])
    assert (labels[..., 120:, :] == 255).all()
    assert set(labels[..., :120, :160].unique().tolist()) <= {0, 1, 2, 3, 255}


def test_a_test_image_smaller_than_a_crop_is_filled_up_as_in_training(images):
    _, test = images
    protocol = replace(ZHANG16, crop_size=200)
    torch.manual_seed(2)  # a head that answers several classes
    model = build_segmentor(opened(), protocol, stages=["conv7"], num_classes=4).eval()
    batch = next(iter(loader_of_tests(test, protocol, world=CPU, num_workers=0)))
    as_in_training = model.data_preprocessor(copy.deepcopy(batch), training=True)["inputs"]
    with torch.no_grad():
        (answer,) = model.test_step(batch)
        logits = model(as_in_training, mode="tensor")
    expected = F.interpolate(logits, (200, 200), mode="bilinear")[0, :, :120, :160].argmax(0)
    assert len(expected.unique()) > 1
    assert torch.equal(answer.pred_sem_seg.data[0], expected)


def test_an_exif_orientation_is_undone_as_it_is_in_the_rest_of_the_project(images, tmp_path):
    _, test = images
    turned = Image.open(test.images[0].name)
    exif = turned.getexif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    turned.save(path, exif=exif)
    dataset = loader_of_tests(test, ZHANG16, world=CPU, num_workers=0).dataset
    read = dataset.pipeline.transforms[0]({"img_path": str(path)})["img"]
    assert (torch.from_numpy(read[..., ::-1].copy()).permute(2, 0, 1) == pil_to_tensor(open_rgb(path))).all()


def test_a_configuration_of_mmsegmentations_own_can_hold_the_backbone():
    init_default_scope("mmseg")
    cfg = Config(
        {
            "type": "EncoderDecoder",
            "data_preprocessor": DATA_PREPROCESSOR | {"size": (64, 64)},
            "backbone": {
                "type": "TransferBackbone",
                "model": "random:eccv16",
                "width": 0.125,
                "stages": ["conv3", "conv8"],
                "train_from": "conv5",
                "batch_norm": "frozen",
                "colour_input": True,
            },
            "decode_head": {
                "type": "FCNHead",
                "in_channels": [32, 32],
                "in_index": [0, 1],
                "input_transform": "resize_concat",
                "channels": 8,
                "num_classes": 3,
                "loss_decode": {"type": "LabelledCrossEntropy"},
            },
            "test_cfg": {"mode": "whole"},
        }
    )
    model = MODELS.build(cfg)
    assert [len(of[0]) for of in model.extract_feat(torch.zeros(1, 3, 64, 64))] == [32, 32]
    assert model(torch.zeros(1, 3, 64, 64), mode="tensor").shape == (1, 3, 8, 8)
    trained = {name for name, of in model.backbone.named_parameters() if of.requires_grad}
    assert {name.split(".")[2] for name in trained} == {"model5", "model6", "model7", "model8"}
    assert not any(name.endswith(".running_mean") for name in trained)


def test_mmengines_initialisation_draws_the_head_and_leaves_the_backbone():
    network = opened("resnet50")
    network.network.init_weights = lambda: pytest.fail("timm's networks have this method, too")
    model = build_segmentor(
        network, PLAIN, stages=[choose_stage(network, None, fully_connected=True)], num_classes=4
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.init_weights()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "decode_head.conv_seg.weight" in moved
    assert all(name.startswith("decode_head.") for name in moved)


def test_a_linear_head_is_a_batch_norm_and_a_1x1_convolution_on_the_concatenated_stages():
    protocol, stages = SEGMENTATION_PROTOCOLS["dinov2_linear"], ["conv7", "conv2"]
    network = opened()
    model = build_segmentor(network, protocol, stages=stages, num_classes=4, train_from="head")
    assert (
        sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * 80 + 80 * 4 + 4
    )  # 64 + 16 channels
    head = model.decode_head
    image = torch.randn(2, 3, 64, 48) * 50
    with torch.no_grad():
        maps = network.eval().forward_stages((image + 128) / 255, stages)
        deep, shallow = maps["conv7"], maps["conv2"]
        resized = F.interpolate(shallow, deep.shape[2:], mode="bilinear", align_corners=False)
        joint = torch.cat([deep, resized], dim=1)
        normalised = F.batch_norm(joint, None, None, head.norm.weight, head.norm.bias, training=True)
        expected = F.conv2d(normalised, head.conv_seg.weight, head.conv_seg.bias)
        found = model.train()(image, mode="tensor")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("train_from", "batch_norm", "moving"),
    [("all", "train", 8), ("conv7", "train", 1), ("head", "train", 0), ("all", "frozen", 0)],
)
def test_statistics_move_only_where_batch_norm_is_trained(train_from, batch_norm, moving):
    network = opened()
    protocol = {"train": PLAIN, "frozen": ZHANG16}[batch_norm]
    model = build_segmentor(network, protocol, stages=["conv7"], num_classes=4, train_from=train_from)
    means = {name: of.clone() for name, of in network.named_buffers() if name.endswith("running_mean")}
    frozen = frozen_tensors(network)
    model.train()
    model(torch.randn(2, 3, 32, 32) * 50, mode="tensor")
    after = dict(network.named_buffers())
    assert sum(not torch.equal(after[name], mean) for name, mean in means.items()) == min(moving, len(means))
    assert_unchanged(network, frozen)
    model.eval()
    assert not any(module.training for module in model.modules())


def test_the_loss_over_labelled_pixels_knows_neither_void_nor_filling():
    logits, labels = torch.randn(2, 4, 6, 5), torch.randint(0, 4, (2, 6, 5))
    labels[0, 2:] = 255
    expected = (
        F.cross_entropy(logits[:1, :, :2], labels[:1, :2]) + F.cross_entropy(logits[1:], labels[1:])
    ) / 2
    loss = LabelledCrossEntropy()
    torch.testing.assert_close(loss(logits, labels), expected)
    filled = loss(F.pad(logits, (0, 3, 0, 2)), F.pad(labels, (0, 3, 0, 2), value=255))
    torch.testing.assert_close(filled, expected)
    assert loss(logits, torch.full_like(labels, 255)) == 0


def test_ade20ks_labels_reach_the_loss_from_0_with_void_as_255(tmp_path):
    root = tmp_path / "ade"
    for split in ("training", "validation"):
        (root / "images" / split).mkdir(parents=True)
        (root / "annotations" / split).mkdir(parents=True)
        Image.new("RGB", (3, 2)).save(root / "images" / split / "a.jpg")
        mask = Image.new("L", (3, 2))
        mask.putdata([0, 1, 1, 2, 3, 3])
        mask.save(root / "annotations" / split / "a.png")
    (root / "objectInfo150.txt").write_text("Name\nwall\nsky\ntree\n")
    _, test = open_segmentation(f"ade20k:{root}:training", f"ade20k:{root}:validation")
    (batch,) = loader_of_tests(test, ZHANG16, world=CPU, num_workers=0)
    (sample,) = batch["data_samples"]
    assert sample.gt_sem_seg.data.tolist() == [[[255, 0, 0], [1, 2, 2]]]


def order_of(loader):
    return [[sample.img_path for sample in batch["data_samples"]] for batch in loader]


def test_a_run_that_goes_on_and_one_with_other_workers_and_processes_see_the_same_images(images):
    train, _ = images
    protocol = shortened(PLAIN, 5, 4)
    whole = train_loader([train], protocol, seed=0, world=CPU, num_workers=0)
    batches = list(whole)
    goes_on = train_loader([train], protocol, seed=0, world=CPU, num_workers=1)
    goes_on.sampler.skip(3 * 4)
    for expected, found in zip(batches[3:], goes_on, strict=True):
        assert all(map(torch.equal, expected["inputs"], found["inputs"]))
    ranks = [
        order_of(train_loader([train], protocol, seed=0, world=World(rank, 2, CPU.device), num_workers=0))
        for rank in range(2)
    ]
    assert [one + two for one, two in zip(*ranks, strict=True)] == order_of(whole)


def test_a_batch_that_processes_cannot_share_is_refused(images):
    with pytest.raises(ValueError, match=r"a batch of 4 cannot be shared by 3 processes"):
        train_loader(
            [images[0]],
            shortened(PLAIN, 1, 4),
            seed=0,
            world=World(0, 3, CPU.device),
            num_workers=0,
        )


def test_a_backbone_or_a_stage_that_cannot_be_used_is_refused_in_one_line():
    network = opened()
    with pytest.raises(ValueError, match=r"there is no stage 'conv9' \(did you mean 'conv\d'\?\)"):
        choose_stage(network, "conv9", fully_connected=True)
    with pytest.raises(ValueError, match=r"there is no stage 'conv8'.*valid names are head, conv1"):
        build_segmentor(network, PLAIN, stages=["conv7"], num_classes=4, train_from="conv8")
    network.only_size = (224, 224)
    with pytest.raises(ValueError, match="takes images of one size only"):
        build_segmentor(network, PLAIN, stages=["conv7"], num_classes=4)


@pytest.mark.parametrize(("name", "stage"), [("eccv16", "conv7"), ("alexnet", "fc7"), ("resnet50", "layer4")])
def test_the_head_looks_at_the_deepest_stage_of_stride_8_or_more(name, stage):
    assert choose_stage(opened(name), None, fully_connected=True) == stage
