"""A detector on a network of torchvision as it is in memory, with data sets as torchvision's references have them."""

import torch
from torch.utils.data import Dataset
from torchvision.models import resnet18

import transfer


class Squares(Dataset):
    """Pictures of a bright square each, with its box."""

    classes = ("square",)

    def __init__(self, first: int) -> None:
        self.first = first

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(self.first + index)
        picture = torch.rand(3, 64, 64, generator=generator) / 2
        left, top = torch.randint(40, (2,), generator=generator).tolist()
        picture[:, top : top + 24, left : left + 24] = 1
        boxes = torch.tensor([[left, top, left + 24, top + 24]])
        return picture, {"boxes": boxes, "labels": torch.tensor([1])}  # 0 is the background


network = resnet18()
backbone = transfer.LiveBackbone(network, {f"layer{number}": f"layer{number}" for number in range(1, 5)})
records = transfer.detect(
    backbone,
    Squares(0),
    Squares(8),
    detector="dc5",
    steps=4,
    batch_size=2,
    image_sizes=[64],
    test_image_size=64,
)
for record in records:
    print(record.metric, record.value)
