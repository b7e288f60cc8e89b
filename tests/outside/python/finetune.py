"""The last layers of a network are trained with labels; a copy, so that the network stays as it is."""

from torchvision.models import resnet18

import transfer

network = resnet18()
backbone = transfer.LiveBackbone(
    network, {"layer2": network.layer2, "layer3": network.layer3, "layer4": network.layer4}
)
records = transfer.finetune(
    backbone,
    "sample",
    "sample",
    protocol="folder",
    train_from="layer4",
    steps=4,
    batch_size=5,
    image_size=72,
    crop_size=64,
)
for record in records:
    print(record.metric, record.value)
