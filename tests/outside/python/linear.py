"""Linear probes on a vision transformer of timm as it is in memory, with data sets of torchvision."""

import timm
from torchvision.datasets import FakeData
from torchvision.transforms import ToTensor

import transfer

train, test = (FakeData(20, (3, 64, 64), 2, ToTensor(), random_offset=seed) for seed in (0, 1000))
vit = timm.create_model("vit_tiny_patch16_224", img_size=64)  # untrained; see pretrained=True
backbone = transfer.LiveBackbone(
    vit,
    {"block4": "blocks.3", "block12": vit.blocks[11]},
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    image_size=64,
)
records = transfer.linear(
    backbone,
    train,
    test,
    validation=0.2,  # of `train` is held out, and chooses the learning rate
    learning_rates=[0.01, 0.1],
    image_size=64,
    crop_size=64,
    epochs=2,
    batch_size=10,
    out="results/linear",
)
for record in records:
    print(record.stage, record.metric, record.value, record.details["lr"])
first = transfer.predict("results/linear", test, backbone=backbone)[0]
print(first.classes[0], f"{first.probabilities[0]:.0%}")
