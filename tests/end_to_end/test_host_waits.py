"""Between two lines of the log, no training step waits for what its device has computed."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pretext.config import DataConfig, NetworkConfig, OptimConfig, TrainConfig
from pretext.training import run

aten = torch.ops.aten
# What a GPU has to be waited for: a number that Python asks for, or a shape that depends on values.
WAITS = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten.is_nonzero,
    aten._unique2,
}


class CountWaits(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_mask = func.overloadpacket in (aten.index, aten.index_put_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        self.count += func.overloadpacket in WAITS or by_mask
        return func(*args, **(kwargs or {}))


def waits(folder, steps, task, clip_norm):
    """In a training that logs, validates and saves after its last step alone."""
    config = TrainConfig(
        data=DataConfig(train="sample", image_size=40, crop_size=32, num_workers=0, validation_images=4),
        network=NetworkConfig(width=0.125),
        task=task,
        run_dir=str(folder),
        steps=steps,
        batch_size=2,
        log_every=1000,
        gallery_images=1,
        device="cpu",
        optim=OptimConfig(clip_norm=clip_norm),
    )
    with CountWaits() as mode:
        run(config)
    return mode.count


@pytest.mark.parametrize(
    ("task", "clip_norm"), [("colorization", None), ("colorization", 1.0), ("colorization_regression", None)]
)
def test_a_longer_training_waits_no_more_often_than_a_shorter_one(tmp_path, task, clip_norm):
    few, many = (waits(tmp_path / str(steps), steps, task, clip_norm) for steps in (2, 13))
    assert few == many
