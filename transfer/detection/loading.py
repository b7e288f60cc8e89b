"""Images on their way into Detectron2: augmented by its own code, in this project's order and colours."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, MapDataset, build_detection_test_loader
from detectron2.data.build import load_proposals_into_dataset, trivial_batch_collator
from detectron2.data.detection_utils import check_image_size, transform_proposals
from detectron2.data.transforms import AugInput
from detectron2.structures import BoxMode

from pretext.images.image_file import BrokenImageError, open_rgb
from pretext.images.workers import GuardedLoader
from pretext.runtime.distributed import World
from transfer.data.step_order import StepOrder, TrainingImages
from transfer.detection.annotated import DetectionImages


def training_loader(
    records: Sequence[dict[str, Any]],
    cfg: CfgNode,
    *,
    seed: int,
    start_step: int,
    world: World,
    num_workers: int,
) -> GuardedLoader:
    """This rank's images of steps `start_step` and on, mapped by Detectron2 as `cfg` says.

    As in `pretext.images.order`, neither an interruption nor the number of workers changes what comes when.

    Raises:
        ValueError: the batch cannot be shared evenly.
    """
    order = StepOrder(
        len(records),
        seed=seed,
        num_steps=cfg.SOLVER.MAX_ITER,
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        world=world,
    )
    order.skip(start_step * order.per_step)
    images = MapDataset(records, _Mapper(cfg, is_train=True))
    return GuardedLoader(
        TrainingImages(images, seed),
        batch_size=order.per_step,
        sampler=order,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
    )


def test_loader(records: Sequence[dict[str, Any]], cfg: CfgNode, num_workers: int) -> Any:
    """The test images once, shared by the processes, mapped by Detectron2 as `cfg` says."""
    return build_detection_test_loader(
        list(records), mapper=_Mapper(cfg, is_train=False), num_workers=num_workers
    )


class _Mapper(DatasetMapper):
    """Detectron2's mapper of images with boxes, which reads them by `open_rgb`, not by its own code."""

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        record = copy.deepcopy(dataset_dict)
        path = Path(record["file_name"])
        try:
            image = np.array(open_rgb(path))
        except BrokenImageError as error:
            raise ValueError(f"{path} cannot be read as an image ({error})") from error
        check_image_size(record, image)
        augmented = AugInput(image)
        transforms = self.augmentations(augmented)
        size = augmented.image.shape[:2]
        record["image"] = torch.from_numpy(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
        if self.proposal_topk is not None:
            transform_proposals(record, size, transforms, proposal_topk=self.proposal_topk)
        if self.is_train:
            self._transform_annotations(record, transforms, size)
        else:
            del record["annotations"]
        return record


def detectron_records(images: DetectionImages, proposals: str | None) -> list[dict[str, Any]]:
    """Detectron2's form of the data, with the proposed boxes of a file in its format.

    An image's `image_id` is its place in `images.images`.

    Raises:
        ValueError: the file is missing, cannot be read, or lacks an image.
    """
    records = [
        {
            "file_name": str(image.path),
            "image_id": image.id,
            "height": image.height,
            "width": image.width,
            "annotations": [
                {
                    "bbox": list(box.corners),
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "category_id": box.label,
                    "iscrowd": int(box.crowd),
                }
                for box in image.boxes
            ],
        }
        for image in images.images
    ]
    if proposals is not None:
        records = _with_proposals(records, proposals, images.address)
    for place, record in enumerate(records):
        record["image_id"] = place
    return records


def _with_proposals(records: list[dict[str, Any]], proposals: str, address: str) -> list[dict[str, Any]]:
    try:
        return load_proposals_into_dataset(records, proposals)
    except FileNotFoundError:
        raise ValueError(f"there is no file of proposals {proposals}") from None
    except KeyError as error:
        raise ValueError(
            f"{proposals} has no proposals for {error.args[0]} of {address}, or is not in Detectron2's format"
        ) from error
    except Exception as error:  # whatever unpickling meets
        raise ValueError(f"{proposals} is no file of proposals in Detectron2's format ({error!r})") from error
