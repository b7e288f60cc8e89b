"""Recognition of colorized images: does a classifier that was trained on true colours still know what they show?

The paper's figure is the top-1 accuracy of VGG-16 (section 3.2, "semantic interpretability").
"""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import v2

from pretext.library_weights import (
    cached_timm_weights,
    downloaded_weights,
    named_when_damaged,
)
from pretext.networks.backbone import IMAGENET_MEAN, IMAGENET_STD
from pretext.optional import missing_package
from pretext.spelling import did_you_mean
from pretext.weights_file import find_weights, flatten_tensors, is_named, read_weights

Prepare = Callable[[Tensor], Tensor]


class Classifier:
    """A classification network behind the preprocessing that its weights were validated with.

    That runs on float tensors, so nothing is rounded to 8 bits between resizing and network.
    """

    def __init__(self, network: nn.Module, prepare: Prepare, device: torch.device) -> None:
        self._network, self._prepare = network.eval().to(device), prepare
        self.num_classes = len(list(network.parameters())[-1])

    @torch.inference_mode()
    def __call__(self, rgb: Float[Tensor, "batch 3 height width"]) -> Int64[Tensor, "batch"]:
        """The likeliest class of each image; RGB in [0, 1] on the classifier's device."""
        return self._network(self._prepare(rgb)).argmax(dim=1)


def open_classifier(name: str, weights: Path | None, device: torch.device) -> Classifier:
    """The classifier `torchvision:NAME` or `timm:NAME`, with the library's pretrained weights or those of a file.

    Args:
        weights: a state dict as .pth or .safetensors, whose last layer says how many classes there are; None takes
            the weights that the library has downloaded before.

    Preprocessing: of the library's weights their own; of a file for a torchvision network the usual one, short side
    256, central 224 x 224, ImageNet's mean and deviation; for a timm network that of its configuration.

    Raises:
        NotAvailableError: timm is not installed, or the library's weights are not on this machine.
        FileNotFoundError: there is no such weights file.
        ValueError: no such network, or a file that is damaged or holds the weights of another one.
    """
    library, _, architecture = name.partition(":")
    if library == "torchvision":
        network, prepare = _from_torchvision(architecture, weights)
    elif library == "timm":
        network, prepare = _from_timm(architecture, weights)
    else:
        raise ValueError(f"classifier must be torchvision:NAME or timm:NAME but is {name!r}")
    return Classifier(network, prepare, device)


def _from_torchvision(architecture: str, weights: Path | None) -> tuple[nn.Module, Prepare]:
    names = models.list_models(module=models)  # without those of detection, segmentation and video
    if architecture not in names:
        raise ValueError(
            f"torchvision has no classifier {architecture!r}{did_you_mean(architecture, names)}; "
            "its documentation lists them under torchvision.models"
        )
    if weights is not None:
        network = _with_weights_of(weights, lambda **kwargs: models.get_model(architecture, **kwargs))
        usual = [v2.Resize(256), v2.CenterCrop(224), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
        return network, v2.Compose(usual)
    pretrained = models.get_model_weights(architecture).DEFAULT
    with named_when_damaged(downloaded_weights(f"torchvision:{architecture}", pretrained.url)):
        return models.get_model(architecture, weights=pretrained), pretrained.transforms()


def _from_timm(architecture: str, weights: Path | None) -> tuple[nn.Module, Prepare]:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise missing_package(f"the classifier timm:{architecture}", error, "timm") from error

    names = timm.list_models()
    config = timm.models.get_pretrained_cfg(architecture)
    if config is None:
        raise ValueError(
            f"timm has no classifier {architecture!r}{did_you_mean(architecture, names)}; "
            "timm.list_models() lists them"
        )
    if weights is not None:
        network = _with_weights_of(weights, lambda **kwargs: timm.create_model(architecture, **kwargs))
    else:
        cached = cached_timm_weights(architecture, config.hf_hub_id)
        with named_when_damaged(cached):
            network = timm.create_model(
                architecture, pretrained=True, pretrained_cfg_overlay={"file": str(cached)}
            )
    resolved = timm.data.resolve_model_data_config(network)
    return network, timm.data.create_transform(**resolved, is_training=False)


def _with_weights_of(path: Path, build: Callable[..., nn.Module]) -> nn.Module:
    """`build(num_classes=...)` for as many classes as the weights at `path` have, with these weights."""
    contents = read_weights(path)
    with torch.device("meta"):
        last_layer = list(build().named_parameters())[-1][0]
    sizes = [len(tensor) for name, tensor in flatten_tensors(contents) if is_named(name, last_layer)]
    network = build(num_classes=sizes[0]) if sizes else build()
    weights = find_weights(path, contents, network.state_dict(), "this classifier")
    network.load_state_dict(weights, strict=False)  # only num_batches_tracked may be missing
    return network
