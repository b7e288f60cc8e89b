"""What features are worth while a network learns them: a probe of `pretext train`."""

from types import SimpleNamespace

import torch

from pretext.networks.backbone import Backbone
from pretext.probe import Probe
from transfer.backbone import open_backbone
from transfer.classification import measure
from transfer.config import DataConfig
from transfer.data.labelled import open_labelled, require_pictures
from transfer.features.extraction import FeatureExtractor, feature_folder
from transfer.features.files import Features
from transfer.features.protocols import resolve
from transfer.geometry.measures import effective_rank
from transfer.linear_probes.run import linear
from transfer.nearest_neighbours.run import PUBLISHED_TEMPERATURE, count_votes
from transfer.nearest_neighbours.search import MIB, nearest_neighbours
from transfer.runs import start_run

MEMORY = 512 * MIB  # of a search for neighbours


class FeatureProbe(Probe):
    """Nearest neighbours, linear probes and the effective rank of the features on labelled images, by the code of
    `transfer knn`, `linear` and `geometry`.

    Logged are STAGE_knn_top1 (or mAP), STAGE_linear_top1 and STAGE_effective_rank; the latter of the training images.

    Args:
        train, test: labelled images, as `data.train` and `data.test` of `transfer`.
        train_labels, test_labels: CSV files of image,class instead of the folders' names.
        stages: which ones; None takes all.
        protocol: whose crop and pooling are taken, and by which linear probes are trained.
        image_size, crop_size: in pixels; None takes the protocol's.
        k: neighbours that vote.
        linear_epochs: passes over the training images in which linear probes are trained; 0 trains none.
        batch_size: images in one forward pass.
        num_workers: processes that read images.
        seed: of the linear probes.
    """

    ylabel = "accuracy (%)"

    def __init__(
        self,
        train: str,
        test: str,
        train_labels: str | None = None,
        test_labels: str | None = None,
        stages: list[str] | None = None,
        protocol: str = "goyal19",
        image_size: int | None = None,
        crop_size: int | None = None,
        k: int = 20,
        linear_epochs: int = 0,
        batch_size: int = 64,
        num_workers: int = 2,
        seed: int = 0,
    ) -> None:
        self._recipe = resolve(protocol, image_size, crop_size)
        data = DataConfig(train=train, test=test, train_labels=train_labels, test_labels=test_labels)
        self._train, self._test = open_labelled(data)
        require_pictures(self._train, self._test)
        if not 1 <= k <= len(self._train.source):
            raise ValueError(f"k is {k}, expected 1 to the {len(self._train.source)} training images")
        self._stages, self._k, self._linear_epochs = stages, k, linear_epochs
        self._batch_size, self._num_workers, self._seed = batch_size, num_workers, seed

    def measure(self, network: Backbone) -> dict[str, float]:
        """The numbers of each stage. Raises ValueError if the network has no such stage."""
        device = next(network.parameters()).device.type
        values: dict[str, float] = {}
        with start_run(SimpleNamespace(device=device, out="")) as run:
            extractor = FeatureExtractor(
                backbone=open_backbone(network),
                protocol=self._recipe,
                stages=self._stages,
                batch_size=self._batch_size,
                precision="float32",
                num_workers=self._num_workers,
                max_broken_share=1.0,
                world=run.world,
                visible=False,
            )
            folder = feature_folder(None, run)
            train, test = (
                extractor.extract(images, folder / name, name)
                for name, images in (("train", self._train), ("test", self._test))
            )
            for stage, of_train in train.items():
                metric, value = self._by_neighbours(of_train, test[stage])
                values[f"{stage}_knn_{metric}"] = value
                values[f"{stage}_effective_rank"] = effective_rank(of_train.open()[of_train.kept])
        if self._linear_epochs:
            records = linear(
                network,
                self._train,
                self._test,
                protocol=self._recipe.name,
                image_size=self._recipe.image_size,
                crop_size=self._recipe.crop_size,
                stages=self._stages,
                epochs=self._linear_epochs,
                num_workers=self._num_workers,
                seed=self._seed,
                device=device,
            )
            values |= {f"{record.stage}_linear_{record.metric}": record.value for record in records}
        return values

    def _by_neighbours(self, train: Features, test: Features) -> tuple[str, float]:
        """The first metric of the vote of the nearest training images."""
        k = min(self._k, int(train.kept.sum()))
        similarities, indices = nearest_neighbours(train, test, k, MEMORY, torch.device("cpu"))
        votes = count_votes(
            similarities, indices, self._train.labels, len(self._train.classes), PUBLISHED_TEMPERATURE
        )
        return next(iter(measure(votes.numpy(), self._test.labels, test.kept).items()))
