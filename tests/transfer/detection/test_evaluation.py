"""Detectron2's own evaluators, asked before any training what they give to the truth."""

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="install Detectron2: make detection")

from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator

from pretext.runtime.distributed import World
from transfer.detection.annotated import AnnotatedImage, Box, DetectionImages
from transfer.detection.evaluation import open_evaluator, require_full_marks

CPU = World(rank=0, size=1, device=torch.device("cpu"))


def split(address, *boxes, classes=("cup", "pot")):
    """Two images of 160 x 120 px, the second without objects."""
    images = [
        AnnotatedImage(
            id=name, name=name, open=lambda: pytest.fail("opened"), width=160, height=120, boxes=shown
        )
        for name, shown in (("my photo 1", boxes), ("b", ()))
    ]
    return DetectionImages(
        address=address, classes=classes, measure=address.partition(":")[0], images=tuple(images)
    )


def box(label, left, top, right, bottom, **more):
    return Box(label=label, corners=(float(left), float(top), float(right), float(bottom)), **more)


CUP, POT = box(0, 10, 10, 60, 60), box(1, 80, 20, 150, 110)
CASES = {
    "difficult": ("voc:x:test", (CUP, POT, box(0, 70, 70, 90, 90, difficult=True))),
    "overlapping": ("voc:x:test", (CUP, POT, box(0, 11, 10, 60, 60), box(0, 10, 10, 61, 62))),
    "a pixel": ("voc:x:test", (CUP, box(1, 3, 3, 4, 4))),
    "crowd": ("coco:x:t.json", (CUP, POT, box(0, 0, 0, 160, 120, crowd=True))),
    "a class that is not there": ("coco:x:t.json", (CUP,)),
    "equal": ("coco:x:t.json", (CUP, CUP, POT)),
    "fractions": ("coco:x:t.json", (box(0, 0.1, 0.2, 0.3, 0.4), box(1, 149.95, 0.015, 150.15, 120))),
    "more than COCO's 100 of a class": (
        "coco:x:t.json",
        tuple(box(0, x, y, x + 9, y + 9) for x in range(0, 150, 10) for y in range(0, 110, 10)),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("eleven_points", [False, True])
def test_the_truth_has_full_marks(case, eleven_points, capsys):
    address, boxes = CASES[case]
    images = split(address, *boxes, classes=("a/b", "{}\n.."))
    require_full_marks(images, eleven_points=eleven_points, world=CPU)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "boxes", "message"),
    [
        (
            "voc:x:test",
            (CUP, CUP, POT),
            r"evaluator gives only AP50 \d\d\.\d\d to the true boxes of voc:x:test",
        ),
        ("coco:x:t.json", (), r"evaluator gives only AP nan to the true boxes of coco:x:t\.json itself"),
    ],
)
def test_a_truth_that_the_evaluator_cannot_measure_is_refused(address, boxes, message):
    with pytest.raises(ValueError, match=message):
        require_full_marks(split(address, *boxes), eleven_points=False, world=CPU)


def test_an_evaluator_that_fails_is_an_error_before_the_training(monkeypatch):
    def fail(self):
        raise AttributeError("module 'numpy' has no attribute 'float'")

    monkeypatch.setattr(COCOEvaluator, "evaluate", fail)
    with pytest.raises(
        ValueError, match=r"evaluator fails \(AttributeError.*\) on the truth of coco:x:t\.json"
    ):
        require_full_marks(split("coco:x:t.json", CUP), eleven_points=False, world=CPU)


def test_a_detector_that_misses_half_of_the_boxes_has_half_of_the_marks(tmp_path):
    from detectron2.structures import Boxes, Instances

    for address, kind, metric in (
        ("voc:x:test", PascalVOCDetectionEvaluator, 50),
        ("coco:x:t.json", COCOEvaluator, 100 * 51 / 101),  # of COCO's 101 recalls, those up to a half
    ):
        images = split(address, CUP, box(0, 100, 60, 150, 110), classes=("cup",))
        answer = Instances((120, 160))
        answer.pred_boxes = Boxes(torch.tensor([CUP.corners]))
        answer.pred_classes, answer.scores = torch.tensor([0]), torch.ones(1)
        with open_evaluator(images, eleven_points=False) as evaluator:
            assert isinstance(evaluator, kind)
            evaluator.reset()
            evaluator.process([{"image_id": 0}], [{"instances": answer}])
            measured = evaluator.evaluate()["bbox"]
        np.testing.assert_allclose(measured["AP50"], metric)
