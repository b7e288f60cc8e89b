"""A batch is measured as a whole, on whatever device, and its numbers come back in one copy."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from eval_colorization.config import MethodConfig
from eval_colorization.learned import Learned
from eval_colorization.measure import Measurer, to_host
from eval_colorization.methods import open_methods
from eval_colorization.metrics.table import METRICS
from eval_colorization.results import CONTROLS
from tests.eval_colorization.metrics.photographs import photographs
from tests.eval_colorization.test_methods import CPU, canvas_of

SIZE = 64


class CountOperations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def measurer(run):
    methods = {"network": MethodConfig(model=str(run))} | dict.fromkeys(CONTROLS, MethodConfig())
    learned = Learned(lpips=None, inception=None, classifier=None, labels=None, not_computed=())
    return Measurer(methods=open_methods(methods, CPU), metrics=METRICS, device=CPU, learned=learned)


def batch_of(pictures):
    return canvas_of(pictures, lenders=pictures.roll(1, dims=0)).batch


def test_more_images_in_a_batch_take_no_more_operations(measurer):
    """On a GPU each would be a launch, or a wait, for every image."""
    pictures = photographs(SIZE, SIZE)
    measurer.measure(batch_of(pictures[:2]))  # fills the tables that are kept
    counts = []
    for number in (2, len(pictures)):
        with CountOperations() as mode:
            measurer.measure(batch_of(pictures[:number]))
        counts.append(mode.count)
    assert len(pictures) > 2
    assert counts[0] == counts[1]


def test_what_comes_back_in_one_copy_keeps_types_shapes_and_values():
    tensors = {
        "flags": torch.tensor([True, False, True]),
        "pixels": torch.arange(30, dtype=torch.uint8).view(2, 5, 3).transpose(1, 2),
        "sum": torch.tensor(0.1, dtype=torch.float64),
        "features": torch.randn(3, 7, generator=torch.Generator().manual_seed(0)),
        "counts": torch.arange(4),
    }
    arrays = to_host(tensors)
    assert arrays.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert arrays[name].dtype == tensor.numpy().dtype
        np.testing.assert_array_equal(arrays[name], tensor.numpy())
