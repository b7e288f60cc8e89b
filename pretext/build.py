"""From a configuration to what it names: images, bins, objective."""

from functools import partial
from pathlib import Path

import numpy as np

from pretext.broken_files import BrokenFiles
from pretext.color.bins import AbBins, empirical_prior
from pretext.config import DataConfig, ObjectiveConfig, TrainConfig
from pretext.data.sources import ImageSource, SubsetSource, open_source, split_source
from pretext.objective import ClassificationObjective, Objective, RegressionObjective
from pretext.prior import load_bins, measure_colours


def open_sources(config: DataConfig, seed: int) -> tuple[ImageSource, ImageSource, list[ImageSource]]:
    """The images of training, of validation, and of the gallery."""
    open_data = partial(open_source, download=config.download, torchvision_root=Path(config.torchvision_root))
    train: ImageSource = open_data(config.train, split="train")
    validation: ImageSource
    if config.validation is None:
        num_validation = max(1, min(config.validation_images, len(train) // 10))
        train, validation = split_source(train, num_validation=num_validation, seed=seed)
    else:
        validation = open_data(config.validation, split="validation")
        if len(validation) > config.validation_images:
            spread = np.linspace(0, len(validation) - 1, config.validation_images).round().astype(int)
            validation = SubsetSource(validation, spread)
    more = [] if config.gallery is None else [open_data(config.gallery, split="validation")]
    return train, validation, [validation, *more]


def choose_bins(config: TrainConfig, train_source: ImageSource, visible: bool) -> AbBins | None:
    """The bins and the prior that `config` asks for; None for regression."""
    if config.objective.name == "regression":
        return None
    if config.objective.bins != "data":
        return load_bins(config.objective.bins)
    broken = BrokenFiles({}, num_images=len(train_source), max_share=1.0)
    histogram = measure_colours(
        train_source,
        broken,
        image_size=config.data.image_size,
        num_workers=config.data.num_workers,
        visible=visible,
    )
    centres = AbBins.published().centres
    neighbours, sigma = config.objective.neighbours, config.objective.sigma
    return AbBins(centres=centres, prior=empirical_prior(histogram, centres, neighbours, sigma))


def build_objective(config: ObjectiveConfig, bins: AbBins | None) -> Objective:
    """The objective that `config` names, over `bins` unless it is regression."""
    if bins is None:
        return RegressionObjective()
    uniform_share = config.uniform_share if config.name == "rebalanced_classification" else None
    return ClassificationObjective(bins, config.neighbours, config.sigma, uniform_share)
