"""A segmentation network on the shipped network, with data sets of pictures and masks."""

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

import transfer


class Halves(Dataset):
    """Pictures whose two halves are of two colors, with the class of each pixel."""

    classes = ("background", "blue")  # of 0 and 1 in a mask

    def __init__(self, first: int) -> None:
        self.first = first

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        rng = np.random.default_rng(self.first + index)
        mask = np.zeros((64, 64), np.uint8)
        mask[:, rng.integers(16, 48) :] = 1
        colors = np.array([[200, 120, 40], [40, 80, 200]]) + rng.integers(-20, 20, (2, 3))
        return Image.fromarray(colors.astype(np.uint8)[mask]), Image.fromarray(mask)


records = transfer.segment(
    "eccv16-photographs",
    Halves(0),
    Halves(8),
    train_from="head",
    steps=4,
    batch_size=2,
    image_size=(64, 64),
    crop_size=64,
)
for record in records:
    print(record.metric, record.value)
