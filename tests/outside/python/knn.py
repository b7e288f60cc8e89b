"""A network in the middle of its own training, tested between epochs: it is left as it is."""

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import FakeData
from torchvision.models import resnet18
from torchvision.transforms import ToTensor

import transfer

train, test = (FakeData(20, (3, 64, 64), 2, ToTensor(), random_offset=seed) for seed in (0, 1000))
network = resnet18(num_classes=2).train()
backbone = transfer.LiveBackbone(network, {name: name for name in ("layer3", "layer4")})
optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
for epoch in range(2):
    for images, labels in DataLoader(train, batch_size=10, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    for record in transfer.knn(backbone, train, test, k=[5], image_size=64, crop_size=64):
        print(f"epoch {epoch}: {record.stage} {record.metric} {record.value}")
