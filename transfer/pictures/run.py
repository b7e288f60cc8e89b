"""`transfer pictures`: what networks see in images, computed for one page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pretext.runtime.distributed import World
from pretext.runtime.whole_file import write_whole
from transfer.data.labelled import LabelledImages
from transfer.features.extraction import FeatureExtractor, feature_folder
from transfer.features.files import Features
from transfer.features.run import make_extractor, open_images
from transfer.partial_training import frozen
from transfer.pictures.config import PicturesConfig
from transfer.pictures.maps import component_maps, first_filters
from transfer.pictures.neighbours import classes_by_neighbours, lay_out, nearest_others
from transfer.pictures.page import Crops, NetworkPictures, StageMaps, render
from transfer.runs import start_run
from transfer.stages import choose_stages

FEWEST = 10  # images of which a plane is made
NUM_VOTES = 20  # of nearest neighbours on an image's class, as in `transfer knn`


def run(config: PicturesConfig) -> None:
    """Write index.html into `config.out`.

    Raises:
        ValueError: a key means nothing, a network has none of the stages, there are too few images, or the folder
            holds another run.
        RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    images = open_images(config, config.labels)
    num_images = len(images.source)
    if num_images < FEWEST or not 1 <= config.num_shown <= num_images:
        raise ValueError(
            f"{images.name} has {num_images} images, and num_shown is {config.num_shown}; give at least {FEWEST} "
            "images, and a num_shown from 1 to their number"
        )
    with start_run(config) as run:
        extractors = _extractors(config, images, run.world)
        run.take_folder()
        folder, fingerprint = feature_folder(config.cache, run), images.fingerprint()
        features = [extractor.extract_cached(images, folder, fingerprint) for extractor in extractors]
        if not run.world.is_main:
            return
        readable = np.flatnonzero(next(iter(features[0].values())).kept)
        shown = readable[np.linspace(0, len(readable) - 1, config.num_shown).round().astype(int)].tolist()
        crops = Crops(images.source, extractors[0].protocol)
        num_votes = min(NUM_VOTES, len(readable) - 1)
        page = render(
            images,
            extractors[0].protocol,
            shown,
            _maps(extractors, torch.stack([crops.open(index) for index in shown])),
            [
                _pictures(extractor, of, images, shown, num_votes, config.seed)
                for extractor, of in zip(extractors, features, strict=True)
            ],
            num_votes=num_votes,
        )
        path = Path(config.out) / "index.html"
        write_whole(path, page)
        print(f"the page    {path}")


def _extractors(config: PicturesConfig, images: LabelledImages, world: World) -> list[FeatureExtractor]:
    """One for each network, of those stages that it has.

    Raises:
        ValueError: a network has none of the stages, or a stage is of none of the networks.
    """
    extractors = [
        make_extractor(config, network, images, world) for network in (config.backbone, *config.others)
    ]
    if config.stages is None:
        return extractors
    networks = [extractor.backbone.network for extractor in extractors]
    for stage in config.stages:
        if not any(stage in network.specs for network in networks):
            networks[0].require_stages([stage])
    chosen = [[stage for stage in config.stages if stage in network.specs] for network in networks]
    for network, stages in zip(networks, chosen, strict=True):
        if not stages:
            network.require_stages(config.stages)
    return [replace(extractor, stages=stages) for extractor, stages in zip(extractors, chosen, strict=True)]


def _pictures(
    extractor: FeatureExtractor,
    features: dict[str, Features],
    images: LabelledImages,
    shown: Sequence[int],
    num_votes: int,
    seed: int,
) -> NetworkPictures:
    """What the page shows of one network."""
    accuracy, neighbours = {}, None
    for stage, of_stage in features.items():
        kept = of_stage.kept
        neighbours = nearest_others(of_stage, num_votes)
        if images.classes:
            accuracy[stage] = classes_by_neighbours(neighbours, images.labels, len(images.classes), kept)
    deepest, of_deepest = list(features.items())[-1]
    assert neighbours is not None
    return NetworkPictures(
        name=extractor.backbone.name,
        weights=extractor.backbone.sha256,
        filters=first_filters(extractor.backbone.network),
        stage=deepest,
        neighbours=[
            list(
                zip(neighbours.indices[index].tolist(), neighbours.similarities[index].tolist(), strict=True)
            )
            for index in shown
        ],
        places=dict(
            zip(np.flatnonzero(of_deepest.kept).tolist(), lay_out(of_deepest, seed).tolist(), strict=True)
        ),
        accuracy=accuracy,
    )


@torch.inference_mode()
def _maps(
    extractors: Sequence[FeatureExtractor], rgb: Float[Tensor, "images 3 size size"]
) -> list[StageMaps]:
    """The principal components of each stage that is a map, of all networks that have a stage of this name."""
    by_stage: dict[str, dict[int, Tensor]] = {}
    for number, extractor in enumerate(extractors):
        network = extractor.backbone.network
        stages = [name for name in choose_stages(network, extractor.stages) if name in network.stages]
        device = extractor.world.device
        with frozen(network.to(device)):
            for stage, of in network.forward_stages(rgb.to(device), stages).items():
                by_stage.setdefault(stage, {})[number] = of.float().cpu()
    return [
        StageMaps(stage=stage, pictures=dict(zip(maps, component_maps(list(maps.values())), strict=True)))
        for stage, maps in by_stage.items()
    ]
