"""Training a detector with Detectron2, for real, on a small data set in VOC's layout."""

import copy
import dataclasses
import json
import os
import pickle
import re
import shutil
import signal

import numpy as np
import pytest
import torch
import torchvision
import yaml
from PIL import Image

detectron2 = pytest.importorskip("detectron2", reason="install Detectron2: make detection")

from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.solver import build_lr_scheduler
from detectron2.structures import Boxes, Instances

import transfer
from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.command_line import RunFailedError, StoppedError
from pretext.runtime.distributed import World
from tests.end_to_end.small_run import TORCHRUN, finish
from tests.transfer.small_voc import as_coco, edit_annotation, write_small_voc
from transfer.config import BackboneConfig
from transfer.data.sample_voc import CLASSES
from transfer.detection import loading
from transfer.detection.adapter import detectron_config
from transfer.detection.config import DetectConfig, DetectionDataConfig
from transfer.detection.data import open_detection
from transfer.detection.evaluation import Evaluation
from transfer.detection.loading import MappedImages, detectron_records, training_loader
from transfer.detection.masks import mask_pixels
from transfer.detection.protocols import DETECTION_PROTOCOLS, resolve_protocol
from transfer.detection.run import run as detect
from transfer.results import read_records

CPU = World(rank=0, size=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_voc(tmp_path_factory.mktemp("data") / "VOC2012")


def small_config(folder, out):
    """A detector of seconds."""
    return DetectConfig(
        backbone=BackboneConfig(model="random:eccv16", width=0.125),
        data=DetectionDataConfig(
            train=f"voc:{folder}:train",
            test=f"voc:{folder}:val",
            image_sizes=[64, 80],
            test_image_size=80,
            num_workers=0,
        ),
        out=str(out),
        steps=6,
        batch_size=2,
        lr=0.01,
        save_every=2,
        evaluate_every=100,
    )


def opened(data):
    return open_detection(data.train, data.test, data.classes)


@pytest.fixture
def config(folder, tmp_path):
    return small_config(folder, tmp_path / "run")


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    detect(small_config(folder, out))
    return out


def assert_same_run(out, other):
    first, second = (load_checkpoint(folder / "checkpoints" / "last.pt")["model"] for folder in (out, other))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    results = [(record.metric, record.value) for record in read_records([out])]
    assert results == [(record.metric, record.value) for record in read_records([other])]


def in_coco_s_layout(folder, to):
    """The small data set's splits as COCO's files in the folder `to`."""
    addresses = {}
    for key, split in (("train", "train"), ("test", "val")):
        as_coco(folder, split, to / f"{split}.json")
        addresses[key] = f"coco:{folder / 'JPEGImages'}:{to / split}.json"
    return addresses


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_detector_learns_the_bundled_objects(tmp_path):
    folder = write_small_voc(tmp_path / "VOC2012", num_train=60, num_val=12)
    out = tmp_path / "run"
    detect(
        DetectConfig(
            backbone=BackboneConfig(model="random:eccv16", width=0.125),
            data=DetectionDataConfig(
                train=f"voc:{folder}:train", test=f"voc:{folder}:val", image_sizes=[120], test_image_size=120
            ),
            out=str(out),
            steps=140,
            batch_size=4,
            lr=0.02,
            evaluate_every=70,
        )
    )
    losses = [row["loss"] for row in rows(out) if "loss" in row]
    assert losses[-1] < 0.7 * losses[0]
    tested = {row["step"]: row["AP50"] for row in rows(out) if "AP50" in row}
    assert list(tested) == [70, 140]
    assert tested[140] > 25  # by chance it is below 1
    records = {record.metric: record for record in read_records([out])}
    last = records["AP50"]
    assert last.value == tested[140]
    assert (last.task, last.data, last.stage) == ("detect", "VOC2012 val", "all")
    assert last.protocol == "plain, dc5 conv7, 120 px"
    assert last.settings == {"steps": 140, "batch_size": 4, "lr": 0.02}
    assert last.details["test_images"] == 12
    assert last.versions["detectron2"] == detectron2.__version__
    assert set(records) == {"AP50", "AP75", "AP"}
    with Image.open(out / "samples" / "step_0000140.png") as gallery:
        assert gallery.size == (4 * 324 + 4, 4 * 244 + 4)  # eight images, each twice


def interrupt(monkeypatch, step, act):
    """Call `act` before the batch of step `step` (from 0) is read."""

    def loader(*args, **options):
        for number, batch in enumerate(training_loader(*args, **options)):
            if number == step:
                act()
            yield batch

    monkeypatch.setattr(loading, "training_loader", loader)


def crash():
    raise KeyboardInterrupt


def test_a_killed_run_resumes_to_the_bits_of_one_that_was_not(config, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt(patched, 3, crash)
        with pytest.raises(KeyboardInterrupt):
            detect(config)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 2
    assert not (tmp_path / "run" / "results.jsonl").exists()
    detect(config)
    assert_same_run(tmp_path / "run", undisturbed)


def test_sigterm_saves_after_the_step_and_the_same_command_resumes(
    config, undisturbed, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patched:
        interrupt(patched, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(StoppedError, match=r"SIGTERM after step 3 of 6, saved in .*last\.pt") as stopped:
            detect(config)
    assert stopped.value.exit_status == 143
    assert [row["step"] for row in rows(tmp_path / "run")] == [2, 3]
    detect(config)
    assert "resuming after step 3 of 6" in capsys.readouterr().out
    assert_same_run(tmp_path / "run", undisturbed)


def test_the_images_of_a_step_depend_neither_on_an_interruption_nor_on_workers(config):
    protocol = resolve_protocol(config)
    (train,), _ = opened(config.data)
    cfg = detectron_config(
        protocol, detector="dc5", stage="conv7", num_classes=3, with_proposals=False, device="cpu"
    )
    mapped = MappedImages(detectron_records(train), cfg, training=True)

    def images(**options):
        loader = training_loader(mapped, cfg, seed=0, world=CPU, **options)
        return [(image["image_id"], image["image"].sum().item()) for batch in loader for image in batch]

    whole = images(start_step=0, num_workers=0)
    assert len({name for name, _ in whole}) == 8
    assert images(start_step=2, num_workers=0) == whole[4:]
    assert images(start_step=0, num_workers=2) == whole


def test_a_batch_that_the_processes_cannot_share_is_refused(config):
    protocol = resolve_protocol(config)
    cfg = detectron_config(
        protocol, detector="dc5", stage="conv7", num_classes=3, with_proposals=False, device="cpu"
    )
    three = World(rank=0, size=3, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="a batch of 2 cannot be shared by 3 processes"):
        training_loader(
            MappedImages([], cfg, training=True), cfg, seed=0, start_step=0, world=three, num_workers=0
        )


class TellsTheTruth(torch.nn.Module):
    """A detector that answers with the annotations, each of score 1."""

    def __init__(self, annotated):
        super().__init__()
        self.records = {record["image_id"]: record for _, record in annotated}

    def forward(self, inputs):
        answers = []
        for image in inputs:
            true = self.records[image["image_id"]]["annotations"]
            found = Instances((image["height"], image["width"]))
            found.pred_boxes = Boxes(torch.tensor([box["bbox"] for box in true]))
            found.pred_classes = torch.tensor([box["category_id"] for box in true])
            found.scores = torch.ones(len(true))
            if "segmentation" in true[0]:
                masks = [mask_pixels(of["segmentation"], image["width"], image["height"]) for of in true]
                found.pred_masks = torch.from_numpy(np.stack(masks))
            answers.append({"instances": found})
        return answers


@pytest.mark.parametrize("layout", ["voc", "coco", "coco with masks"])
@pytest.mark.parametrize("eleven_points", [False, True])
def test_who_tells_the_truth_has_every_ap_of_100(
    config, folder, tmp_path, monkeypatch, layout, eleven_points
):
    data = config.data
    masks = layout == "coco with masks"
    if layout != "voc":
        monkeypatch.setenv("HOME", str(tmp_path))
        as_coco(folder, "val", tmp_path / "val.json")
        address = f"coco:{folder / 'JPEGImages'}:~/val.json"
        data = dataclasses.replace(data, train=address, test=address)
    protocol = resolve_protocol(config)
    cfg = detectron_config(
        protocol, detector="dc5", stage="conv7", num_classes=3, with_proposals=False, device="cpu"
    )
    _, test = open_detection(data.train, data.test, masks=masks)
    annotated = detectron_records(test)
    evaluation = Evaluation(test, annotated, cfg, eleven_points=eleven_points, masks=masks, num_workers=0)
    metrics = evaluation.run(TellsTheTruth(annotated))
    suffix = "_11_point" if eleven_points and layout == "voc" else ""
    kinds = ("", "mask_") if masks else ("",)
    names = [f"{kind}{name}{suffix}" for kind in kinds for name in ("AP50", "AP75", "AP")]
    assert metrics == pytest.approx(dict.fromkeys(names, 100))
    gallery = evaluation.gallery(TellsTheTruth(annotated))
    assert gallery.shape[2] == 3


def test_fast_rcnn_is_trained_and_tested_on_proposed_boxes(config, tmp_path):
    (train,), test = opened(config.data)
    files = {}
    for name, images in (("train", train), ("test", test)):
        proposed = {
            "ids": [image.id for image in images.images],
            "boxes": [np.array([box.corners for box in image.boxes], np.float32) for image in images.images],
            "objectness_logits": [np.ones(len(image.boxes), np.float32) for image in images.images],
            "bbox_mode": 0,
        }
        files[f"{name}_proposals"] = str(tmp_path / f"{name}.pkl")
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(proposed))
    data = dataclasses.replace(config.data, **files)
    detect(dataclasses.replace(config, data=data, steps=2))
    record = read_records([tmp_path / "run"])[0]
    assert record.protocol == "plain, dc5 conv7, Fast R-CNN, 80 px"
    losses = {name for row in rows(tmp_path / "run") for name in row if name.startswith("loss")}
    assert losses == {"loss", "loss_cls", "loss_box_reg"}  # none of proposals


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["c4", "fpn"])
def test_a_killed_run_that_learns_masks_resumes_to_the_bits_of_one_that_was_not(
    config, folder, tmp_path, monkeypatch, detector
):
    config = dataclasses.replace(
        config,
        backbone=BackboneConfig(model="random:resnet50", width=0.125),
        data=dataclasses.replace(config.data, **in_coco_s_layout(folder, tmp_path)),
        masks=True,
        detector=detector,
        steps=4,
    )
    other = dataclasses.replace(config, out=str(tmp_path / "other"))
    detect(other)
    with monkeypatch.context() as patched:
        interrupt(patched, 3, crash)
        with pytest.raises(KeyboardInterrupt):
            detect(config)
    detect(config)
    assert_same_run(tmp_path / "run", tmp_path / "other")
    records = read_records([tmp_path / "run"])
    stage = {"c4": "layer3", "fpn": "layer4"}[detector]
    assert records[0].protocol == f"plain, {detector} {stage}, Mask R-CNN, 80 px"
    boxes = ["AP50", "AP75", "AP"]
    assert [record.metric for record in records] == [*boxes, *(f"mask_{name}" for name in boxes)]
    assert "loss_mask" in rows(tmp_path / "run")[0]


class Files:
    """A split in VOC's layout as a data set in the manner of torchvision's detection references."""

    def __init__(self, folder, split):
        (self.images,), _ = open_detection([f"voc:{folder}:{split}"], f"voc:{folder}:val")
        self.classes = self.images.classes

    def __len__(self):
        return len(self.images.images)

    def __getitem__(self, index):
        image = self.images.images[index]
        boxes = torch.tensor([box.corners for box in image.boxes])
        return image.open(), {"boxes": boxes, "labels": torch.tensor([box.label + 1 for box in image.boxes])}


def test_a_data_set_gives_the_weights_and_the_results_of_the_same_images_in_files(config, folder, tmp_path):
    addresses = in_coco_s_layout(folder, tmp_path)
    detect(dataclasses.replace(config, data=dataclasses.replace(config.data, **addresses), steps=2))
    options = {key: getattr(config, key) for key in ("batch_size", "lr", "save_every", "evaluate_every")}
    sizes = {key: getattr(config.data, key) for key in ("image_sizes", "test_image_size", "num_workers")}
    data_sets = (Files(folder, "train"), Files(folder, "val"))
    records = transfer.detect(
        config.backbone, *data_sets, **options, **sizes, steps=2, out=tmp_path / "other"
    )
    assert_same_run(tmp_path / "run", tmp_path / "other")
    assert (records[0].data, records[0].metric) == ("Files", "AP50")


def test_a_live_network_is_left_as_it_is_and_a_run_without_a_folder_leaves_none(
    folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    network = torchvision.models.resnet18().train()
    before = copy.deepcopy(network.state_dict())
    backbone = transfer.LiveBackbone(network, {"layer2": "layer2", "layer3": network.layer3})
    options = {"steps": 1, "batch_size": 2, "image_sizes": [64], "test_image_size": 64, "num_workers": 0}
    records = transfer.detect(backbone, f"voc:{folder}:train", f"voc:{folder}:val", **options)
    assert records[0].protocol == "plain, dc5 layer3, 64 px"
    assert records[0].backbone == "ResNet"
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"labels": [1]}, r"image 0 of the training data list has no boxes as .*KeyError\('boxes'\)"),
        (
            {"boxes": [[1, 2, 9, 9]], "labels": [0]},
            r"label 0, expected 1 to 1, of the classes cup; 0 is the back",
        ),
        ({"boxes": [[9, 2, 1, 9]], "labels": [1]}, r"box 0 of image 0 .* against the order left, top, right"),
        ({"boxes": [[1, 2, 9, 9]], "labels": [1, 1]}, r"image 0 .* has no boxes as"),
    ],
)
def test_a_data_set_of_another_form_is_refused_in_one_line(target, message):
    data_set = [(Image.new("RGB", (20, 20)), target)]
    with pytest.raises(ValueError, match=message):
        open_detection(data_set, data_set, ["cup"])


def as_train2017(folder, split, file):
    """COCO's annotations of a split with what instances_train2017.json has beside plain boxes."""
    as_coco(folder, split, file)
    values = json.loads(file.read_text())
    images, annotations = values["images"], values["annotations"]
    values |= {"info": {"year": 2017}, "licenses": [{"id": 4, "url": "x", "name": "y"}]}
    values["categories"].append(
        {"id": 90, "name": "toothbrush", "supercategory": "indoor"}
    )  # after gaps; unused
    for image in images:
        image |= {"license": 4, "coco_url": "http://x", "date_captured": "2013-11-14 17:02:52"}
    for annotation in annotations:
        left, top, width, height = annotation["bbox"]
        annotation["bbox"] = [left + 0.27, top + 0.44, width - 0.5, height - 0.81]
        annotation["segmentation"] = [[left, top, left + width, top, left + width, top + height]]
        annotation["area"] = 0.5 * width * height
    images[1]["file_name"], images[2]["file_name"] = f"grey_{split}.jpg", f"cmyk_{split}.jpg"
    for number, mode in ((1, "L"), (2, "CMYK")):
        with Image.open(folder / "JPEGImages" / f"{split}_{number:03d}.jpg") as picture:
            picture.convert(mode).save(folder / "JPEGImages" / images[number]["file_name"])
    values["annotations"] = annotations = [of for of in annotations if of["image_id"] != images[3]["id"]]
    first = {"image_id": images[0]["id"], "category_id": 10, "iscrowd": 0, "segmentation": []}
    annotations += [
        first | {"id": 2206849, "bbox": [9.98, 18.56, 5.54, 0.0], "area": 0.0},
        first
        | {
            "id": 2206850,
            "bbox": [120.5, 100.25, 39.51, 19.75],
            "area": 700.1,
            "segmentation": [[120.5, 100.25, 160.01, 100.25, 160.01, 120]],
        },
        first
        | {
            "id": 900100002206851,
            "bbox": [0, 0, 160, 60],
            "area": 900,
            "iscrowd": 1,
            "segmentation": {"counts": [0, 60, 19140], "size": [120, 160]},
        },
    ]
    file.write_text(json.dumps(values))


@pytest.mark.parametrize("masks", [False, True])
def test_a_file_with_the_oddities_of_train2017_trains_and_evaluates(tmp_path, config, capsys, masks):
    folder = write_small_voc(tmp_path / "VOC2012")
    addresses = {}
    for key, split in (("train", "train"), ("test", "val")):
        as_train2017(folder, split, tmp_path / f"{split}.json")
        addresses[key] = f"coco:{folder / 'JPEGImages'}:{tmp_path / split}.json"
    data = dataclasses.replace(config.data, **addresses)
    detect(dataclasses.replace(config, data=data, masks=masks, steps=2))
    printed = capsys.readouterr().out
    for key, split in (("train", "train"), ("test", "val")):
        start = rf"(?m)^{re.escape(addresses[key])}: "
        with_masks = r", \d+ with masks" if masks else ""
        assert re.search(
            rf"{start}\d images, \d+ boxes .*toothbrush 0\){with_masks}, 1 crowds; 1 without objects: {split}_003",
            printed,
        )
        assert re.search(
            rf"{start}boxes without width or height, left out: 1 \(annotation 2206849 on {split}_000.jpg\)$",
            printed,
        )
        assert re.search(
            rf"{start}boxes that reach over the border, clipped: 1 \(annotation 2206850 on {split}_000.jpg\)$",
            printed,
        )
    record = read_records([tmp_path / "run"])[0]
    assert (record.metric, record.details["test_images"]) == ("AP50", 6)
    (train,), test = open_detection(addresses["train"], addresses["test"], masks=masks)
    assert record.details["test_boxes"] == sum(test.boxes_by_class().values())
    assert record.details["notes"] == [*train.notes(), *test.notes()]


def as_few_tags(folder):
    """Tags that tools leave out and corners with decimals, in every file."""

    def edit(root):
        root.remove(root.find("size"))
        for entry in root.iter("object"):
            for tag in ("difficult", "pose", "truncated"):
                entry.remove(entry.find(tag))
            entry.find("bndbox/xmax").text += ".3"

    for file in (folder / "Annotations").iterdir():
        edit_annotation(folder, file.stem, edit)


def test_vocs_xml_of_few_tags_gives_the_boxes_of_the_whole_one(config, tmp_path, folder):
    other = shutil.copytree(folder, tmp_path / "VOC2012")
    as_few_tags(other)
    (train,), test = opened(config.data)
    data = dataclasses.replace(config.data, train=f"voc:{other}:train", test=f"voc:{other}:val")
    (same_train,), same_test = opened(data)
    for images, same in ((train, same_train), (test, same_test)):
        assert [image.boxes for image in images.images] == [image.boxes for image in same.images]


def test_an_evaluator_that_does_not_give_full_marks_to_the_truth_ends_the_command_before_it_trains(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr(PascalVOCDetectionEvaluator, "process", lambda self, inputs, outputs: None)
    with pytest.raises(ValueError, match=r"gives only AP50 0\.00 to the true boxes of voc:"):
        detect(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_train_and_test_together(config, tmp_path):
    file = tmp_path / "two.yaml"
    changed = dataclasses.replace(config, steps=2)
    file.write_text(yaml.safe_dump(dataclasses.asdict(changed)))
    finish(["detect", str(file)], launcher=(*TORCHRUN, "-m", "transfer"))
    values = {record.metric: record for record in read_records([tmp_path / "run"])}
    assert values["AP50"].details["test_images"] == 6
    assert [row["step"] for row in rows(tmp_path / "run")] == [2, 2]


def test_a_finished_run_given_again_writes_the_same_results(undisturbed, folder):
    results = (undisturbed / "results.jsonl").read_text()
    (undisturbed / "results.jsonl").unlink()
    detect(small_config(folder, undisturbed))
    assert (undisturbed / "results.jsonl").read_text() == results


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(config):
    with pytest.raises(RunFailedError, match=r"the loss of step \d is NaN or infinite"):
        detect(dataclasses.replace(config, lr=1e12))


def test_other_weights_behind_the_same_name_are_refused_by_a_begun_run(config, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "run")
    stored = yaml.safe_load((out / "config.yaml").read_text())
    (out / "config.yaml").write_text(yaml.safe_dump(stored | {"seed": 1}))
    with pytest.raises(ValueError, match=r"has other weights now than when"):
        detect(dataclasses.replace(config, seed=1))


def test_the_paper_s_colour_variant_and_the_eleven_points_are_named_in_the_results(config, tmp_path):
    detect(dataclasses.replace(config, steps=1, colour_input=True, average_precision="11_point"))
    record = read_records([tmp_path / "run"])[0]
    assert record.backbone == "random eccv16 x0.125, colour input"
    assert record.metric == "AP50_11_point"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"save_every": 0}, "save_every is 0, expected at least 1"),
        ({"stage": "conv9"}, "no stage 'conv9'"),
        ({"train_from": "conv8"}, "no stage 'conv8'"),
        ({"detector": "c4"}, "detector c4 needs the stages"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused_in_one_line(config, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        detect(dataclasses.replace(config, **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_proposals": "some.pkl"}, "Fast R-CNN needs a file of proposals for each split"),
        ({"image_sizes": [0]}, "data.image_sizes is 0, expected at least 1"),
        ({"classes": ["cup"]}, "which is none of cup"),
    ],
)
def test_data_that_cannot_be_used_is_refused_in_one_line(config, changes, message):
    with pytest.raises(ValueError, match=message):
        detect(dataclasses.replace(config, data=dataclasses.replace(config.data, **changes)))


def test_the_learning_rate_of_moco_s_schedule_warms_up_and_drops_where_it_says():
    moco = DETECTION_PROTOCOLS["moco_24k"]
    cfg = detectron_config(
        moco, detector="c4", stage="layer3", num_classes=20, with_proposals=False, device="cpu"
    )
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.IMS_PER_BATCH) == (24000, 16)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(cfg.SOLVER.MAX_ITER):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    # MoCo's pascal_voc_R_50_C4_24k.yaml, and Detectron2's warm-up from a thousandth.
    assert rates[:101:50] == pytest.approx([0.02 / 1000, 0.02 * (1 + 1 / 1000) / 2, 0.02])
    assert [rates[step] for step in (17999, 18000, 21999, 22000)] == pytest.approx(
        [0.02, 0.002, 0.002, 0.0002]
    )
    assert cfg.INPUT.MIN_SIZE_TRAIN == (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)


def test_the_classes_of_the_sample_are_those_that_are_tested(config):
    _, test = opened(config.data)
    assert test.classes == CLASSES
