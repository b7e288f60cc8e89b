"""Images on their way into mmsegmentation: augmented by its own code, in this project's order."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import Compose, DefaultSampler, pseudo_collate
from mmengine.registry import DefaultScope
from torch.utils.data import Dataset

from pretext.images.workers import GuardedLoader
from pretext.runtime.distributed import World
from transfer.data.step_order import StepOrder, TrainingImages
from transfer.segmentation.adapter import LoadPicture, TakeLabels
from transfer.segmentation.data import SegmentationImages
from transfer.segmentation.protocols import SegmentationProtocol

READ = {"type": LoadPicture.__name__}
READ_MASK = {"type": TakeLabels.__name__}
PACK = {"type": "PackSegInputs"}


def train_pipeline(protocol: SegmentationProtocol) -> list[dict[str, Any]]:
    """mmsegmentation's configuration of what happens to a training image."""
    steps: list[dict[str, Any]] = [READ, READ_MASK]
    crop = {"type": "RandomCrop", "crop_size": (protocol.crop_size, protocol.crop_size)}
    if protocol.augmentation == "none":
        if protocol.image_size:
            steps.append(_resize(protocol.image_size))
        return [*steps, crop, PACK]
    assert protocol.image_size
    scale = {"ratio_range": (0.5, 2.0)}
    return [
        *steps,
        _resize(protocol.image_size) | {"type": "RandomResize"} | scale,
        crop | {"cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
        PACK,
    ]


def test_pipeline(protocol: SegmentationProtocol) -> list[dict[str, Any]]:
    """The pipeline of a test image, whose mask keeps its size: once, or mirrored too at each scale of the protocol."""
    if not protocol.test_scales:
        resize = [_resize(protocol.image_size)] if protocol.image_size else []
        return [READ, *resize, READ_MASK, PACK]
    sizes = [_scaled(protocol.image_size, scale) for scale in protocol.test_scales]
    mirrors = [{"type": "RandomFlip", "prob": prob, "direction": "horizontal"} for prob in (0.0, 1.0)]
    return [READ, {"type": "TestTimeAug", "transforms": [sizes, mirrors, [READ_MASK], [PACK]]}]


def train_loader(
    images: Sequence[SegmentationImages],
    protocol: SegmentationProtocol,
    *,
    seed: int,
    world: World,
    num_workers: int,
) -> GuardedLoader:
    """This rank's training images, step by step; `sampler.skip` leaves out what was trained on.

    As in `pretext.images.order`, neither an interruption nor the number of workers or of processes
    changes what comes when.

    Raises:
        ValueError: the batch cannot be shared evenly.
    """
    dataset = _Images(images, train_pipeline(protocol))
    steps, batch_size = protocol.schedule.steps, protocol.schedule.batch_size
    order = StepOrder(len(dataset), seed=seed, num_steps=steps, batch_size=batch_size, world=world)
    return GuardedLoader(
        TrainingImages(dataset, seed),
        batch_size=order.per_step,
        sampler=order,
        **_loader_options(world, num_workers),
    )


def test_loader(
    images: SegmentationImages, protocol: SegmentationProtocol, *, world: World, num_workers: int
) -> GuardedLoader:
    """The test images once, one at a time, shared by the processes."""
    dataset = _Images([images], test_pipeline(protocol))
    return GuardedLoader(
        dataset, sampler=DefaultSampler(dataset, shuffle=False), **_loader_options(world, num_workers)
    )


class _Images(Dataset[dict[str, Any]]):
    """Images after mmsegmentation's pipeline.

    Attributes:
        metainfo: what its evaluator and its checkpoints know of the data.
    """

    def __init__(self, images: Sequence[SegmentationImages], pipeline: list[dict[str, Any]]) -> None:
        with DefaultScope.overwrite_default_scope("mmseg"):
            self.pipeline = Compose(pipeline)
        self.metainfo = {"classes": images[0].classes}
        self._images = [image for split in images for image in split.images]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self._images[index]
        picture, labels = image.read()
        return self.pipeline({"img_path": image.name, "picture": picture, "labels": labels})


def _resize(image_size: tuple[int, int]) -> dict[str, Any]:
    return {"type": "Resize", "scale": image_size, "keep_ratio": True}


def _scaled(image_size: tuple[int, int] | None, scale: float) -> dict[str, Any]:
    if image_size is None:
        return {"type": "Resize", "scale_factor": scale, "keep_ratio": True}
    width, height = image_size
    return _resize((round(scale * width), round(scale * height)))


def _loader_options(world: World, num_workers: int) -> dict[str, Any]:
    return {
        "num_workers": num_workers,
        "pin_memory": world.device.type == "cuda",
        "collate_fn": pseudo_collate,
    }
