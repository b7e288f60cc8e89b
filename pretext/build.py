"""From a configuration to what it names: images, bins, objective."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from pretext.broken_files import BrokenFiles
from pretext.color.bins import AbBins, empirical_prior
from pretext.color.lab import rgb_to_lab
from pretext.config import DataConfig, NetworkConfig, ObjectiveConfig, TrainConfig
from pretext.images.crops import to_tensor
from pretext.images.folder import FolderSource, listing
from pretext.images.image_file import BrokenImageError
from pretext.images.sources import ImageSource, SubsetSource, open_source, split_source
from pretext.networks import Backbone, build_network
from pretext.objective import ClassificationObjective, Objective, RegressionObjective, is_coloured
from pretext.pretrained import load_pretrained
from pretext.prior import load_bins, measure_colours

COLOUR_SOUGHT_IN = 1000  # images


def open_sources(
    config: DataConfig, seed: int
) -> tuple[ImageSource, ImageSource, list[ImageSource], list[str]]:
    """The images of training, of validation, and of the gallery; and a line for each folder that holds other files."""
    remarks = []

    def open_data(address: str, split: Literal["train", "validation"]) -> ImageSource:
        source = open_source(
            address, split=split, download=config.download, torchvision_root=Path(config.torchvision_root)
        )
        if isinstance(source, FolderSource) and source.left_out:
            remarks.append(f"{address}: left out, as no images that Pillow reads: {listing(source.left_out)}")
        return source

    train = open_data(config.train, "train")
    validation: ImageSource
    if config.validation is None:
        num_validation = max(1, min(config.validation_images, len(train) // 10))
        train, validation = split_source(train, num_validation=num_validation, seed=seed)
    else:
        validation = open_data(config.validation, "validation")
        if len(validation) > config.validation_images:
            spread = np.linspace(0, len(validation) - 1, config.validation_images).round().astype(int)
            validation = SubsetSource(validation, spread)
    more = [] if config.gallery is None else [open_data(config.gallery, "validation")]
    return train, validation, [validation, *more], list(dict.fromkeys(remarks))


def refuse_grey(source: ImageSource, address: str) -> None:
    """Raises ValueError if there is no colour to learn in the images at `address`: none in a thousand drawn at random.

    The first image with colour settles it, so that this takes no time on photographs.
    """
    broken = BrokenFiles({}, num_images=len(source), max_share=1.0)
    places = np.random.default_rng(0).permutation(len(source))[:COLOUR_SOUGHT_IN]
    for place in map(int, places):
        try:
            image = source.open(place, short_side=64)
        except BrokenImageError as error:
            broken.add([(source.name(place), str(error))])
            continue
        if is_coloured(rgb_to_lab(to_tensor(image)[None] / 255)[:, 1:]).item():
            return
    if len(broken.reasons) == len(places):
        raise ValueError(f"none of {len(places)} images of {address} can be read: {broken.listing()}")
    raise ValueError(
        f"there is no colour to learn in {address}: all of {len(places) - len(broken.reasons)} images looked at are "
        "grey; give colour photographs"
    )


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


def start_from(network: Backbone, init: str, config: NetworkConfig, bins: AbBins | None) -> str:
    """Copy the weights of a trained network into a new one; what was copied and what was not, in words.

    Between other bins, or another objective, the layers whose size depends on the bins stay as they are.

    Args:
        network: what `config` describes, over `bins`.
        init: what `load_pretrained` takes.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are unusable, or of another network.
    """
    trained = load_pretrained(init)
    if (trained.name, trained.width) != (config.name, config.width):
        raise ValueError(
            f"init: {trained.origin} holds a {trained.name} of width {trained.width:g}, but {config.name} of width "
            f"{config.width:g} is to be trained; set network.name and network.width to those of the weights"
        )
    state = trained.network.state_dict()
    if bins is None or trained.bins is None:
        same_bins = bins is trained.bins
    else:
        same_bins = torch.equal(bins.centres, trained.bins.centres)
    if not same_bins:
        with torch.device("meta"):  # shapes only
            other = build_network(config.name, num_bins=None if bins is None else 1, width=config.width)
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        fixed = {name for name, tensor in other.state_dict().items() if tensor.shape == shapes.get(name)}
        state = {name: state[name] for name in fixed & state.keys() if state[name].shape == shapes[name]}
    left_new = network.load_state_dict(state, strict=False).missing_keys
    step = "" if trained.step is None else f" after step {trained.step}"
    new = f"; new, for other bins: {', '.join(left_new)}" if left_new else ""
    return f"starts from the weights of {trained.origin}{step}{new}"


def build_objective(config: ObjectiveConfig, bins: AbBins | None) -> Objective:
    """The objective that `config` names, over `bins` unless it is regression."""
    if bins is None:
        return RegressionObjective()
    uniform_share = config.uniform_share if config.name == "rebalanced_classification" else None
    return ClassificationObjective(bins, config.neighbours, config.sigma, uniform_share)
