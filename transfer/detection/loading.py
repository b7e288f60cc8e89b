"""Images on their way into Detectron2: augmented by its own code, in this project's order and colours."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper
from detectron2.data.build import load_proposals_into_dataset, trivial_batch_collator
from detectron2.data.detection_utils import check_image_size, transform_proposals
from detectron2.data.transforms import AugInput
from detectron2.structures import BoxMode
from PIL import Image
from torch.utils.data import Dataset

from pretext.images.image_file import BrokenImageError
from pretext.images.workers import GuardedLoader
from pretext.runtime.distributed import World
from transfer.data.step_order import StepOrder, TrainingImages
from transfer.detection.annotated import AnnotatedImage, DetectionImages


def training_loader(
    images: "MappedImages",
    cfg: CfgNode,
    *,
    seed: int,
    start_step: int,
    world: World,
    num_workers: int,
) -> GuardedLoader:
    """This rank's images of steps `start_step` and on, as many as `cfg` says.

    As in `pretext.images.order`, neither an interruption nor the number of workers changes what comes when.

    Raises:
        ValueError: the batch cannot be shared evenly.
    """
    order = StepOrder(
        len(images),
        seed=seed,
        num_steps=cfg.SOLVER.MAX_ITER,
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        world=world,
    )
    order.skip(start_step * order.per_step)
    return GuardedLoader(
        TrainingImages(images, seed),
        batch_size=order.per_step,
        sampler=order,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
    )


class MappedImages(Dataset[dict[str, Any]]):
    """Images as Detectron2's detectors take them, mapped by its own code as `cfg` says.

    Args:
        annotated: each image with its record, of `detectron_records`.
        training: whether they are augmented and keep their boxes.
    """

    def __init__(
        self, annotated: Sequence[tuple[AnnotatedImage, dict[str, Any]]], cfg: CfgNode, *, training: bool
    ) -> None:
        self._annotated, self._mapper = annotated, _Mapper(cfg, is_train=training)

    def __len__(self) -> int:
        return len(self._annotated)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, record = self._annotated[index]
        try:
            picture = image.open()
        except BrokenImageError as error:
            raise ValueError(f"{image.name} cannot be read as an image ({error})") from error
        return self._mapper.map(picture, copy.deepcopy(record))


class _Mapper(DatasetMapper):
    """Detectron2's mapper of images with boxes, which does not read them itself."""

    def map(self, picture: Image.Image, record: dict[str, Any]) -> dict[str, Any]:
        image = np.array(picture)
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


def detectron_records(
    images: DetectionImages, proposals: str | None = None
) -> list[tuple[AnnotatedImage, dict[str, Any]]]:
    """Each image with Detectron2's form of its annotations.

    Its `image_id` is its place in `images.images`.

    Args:
        proposals: file of proposed boxes in Detectron2's format, for Fast R-CNN.

    Raises:
        ValueError: the file is missing, cannot be read, or lacks an image.
    """
    records = [
        {
            "file_name": image.name,
            "image_id": image.id,
            "height": image.height,
            "width": image.width,
            "annotations": [
                {
                    "bbox": list(box.corners),
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "category_id": box.label,
                    "iscrowd": int(box.crowd),
                    **({} if box.mask is None else {"segmentation": box.mask}),
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
    return list(zip(images.images, records, strict=True))


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
        raise ValueError(
            f"{proposals} is not a file of proposals in Detectron2's format ({error!r})"
        ) from error
