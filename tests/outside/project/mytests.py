"""Retrieval: how often the training image nearest to a test image shows the same class."""

from dataclasses import dataclass

import torch
from torchvision.transforms.functional import center_crop, resize, to_tensor

import transfer


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig:
    """Look for the nearest training image of each test image.

    Args:
        out: folder of the results.
        side: in pixels, of the square that the network sees.
    """

    backbone: transfer.BackboneConfig
    data: transfer.DataConfig
    out: str
    side: int = 64
    seed: int = 0


@torch.inference_mode()
def retrieve(config: RetrievalConfig) -> list[transfer.Record]:
    opened = transfer.open_backbone(config.backbone, config.seed)

    def features(images: transfer.LabelledImages) -> dict[str, torch.Tensor]:
        pictures = [images.source.open(index) for index in range(len(images.source))]
        squares = [to_tensor(center_crop(resize(picture, config.side), config.side)) for picture in pictures]
        maps = opened.network.forward_stages(torch.stack(squares), opened.network.stages)
        return {stage: torch.nn.functional.normalize(m.mean((2, 3))) for stage, m in maps.items()}

    train, test = transfer.open_labelled(config.data)
    train_features, records = features(train), []
    for stage, queries in features(test).items():
        nearest = (queries @ train_features[stage].T).argmax(1)
        hits = train.labels[nearest] == test.labels
        records.append(
            transfer.Record(
                task="retrieval",
                data=test.name,
                protocol=f"{config.side} px",
                backbone=opened.name,
                weights=opened.sha256,
                stage=stage,
                metric="recall1",
                value=100 * hits.mean().item(),
                seed=config.seed,
            )
        )
    return records


Retrieval = transfer.DownstreamTest(
    config=RetrievalConfig,
    run=retrieve,
    help="how often the nearest training image shows the same class",
    title="Retrieval",
    headline=("recall1",),
)
