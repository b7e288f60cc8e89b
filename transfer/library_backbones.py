"""Networks of torchvision and timm as backbones, behind their libraries' normalisation of colours.

timm is optional and imported only here. Pretrained weights are used when they are on this machine, never downloaded.
"""

import copy
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from pretext.library_weights import (
    cached_timm_weights,
    downloaded_weights,
    named_when_damaged,
)
from pretext.networks import StageSpec
from pretext.networks.timm_network import timm_and_config, timm_maps, timm_stages
from pretext.optional import NotAvailableError
from pretext.spelling import unknown_name
from pretext.weights_file import find_weights, flatten_tensors, is_named, read_weights
from transfer.live_backbone import NormalisingBackbone, find_layout, run_vectors, vectors_of
from transfer.stages import TransferBackbone
from transfer.tokens import NUMBERS_OF_BLOCKS, token_specs, token_vectors

# Chains of layers, whose stages have names in the field; torchvision's feature extraction finds those of all others.
TORCHVISION_CHAINS = ("alexnet", "vgg", "resnet", "resnext", "wide_resnet")
LAST_NORMALISATION = "encoder.ln"  # of torchvision's vision transformers
TORCHVISION_HEADS = ("avgpool", "dropout", "classifier", "fc", "head", "heads", "aux1", "aux2", "AuxLogits")

NUM_BLOCKS = max(NUMBERS_OF_BLOCKS)  # of a vision transformer that are stages

Weights = Path | Literal["pretrained", "random"]


def open_library_backbone(name: str, weights: Weights) -> TransferBackbone:
    """The backbone `torchvision:NAME` or `timm:NAME`, without its head, in evaluation mode.

    Raises:
        FileNotFoundError: there is no such weights file.
        ValueError: no such network, timm or the pretrained weights are not on this machine, or a file does not hold
            the network's weights; see `find_weights`.
    """
    library, _, architecture = name.partition(":")
    backbone_class: Callable[[str, Weights], NormalisingBackbone] = timm_backbone
    if library == "torchvision":
        is_chain = architecture.startswith(TORCHVISION_CHAINS)
        backbone_class = TorchvisionChain if is_chain else TorchvisionGraph
    try:
        return backbone_class(architecture, weights).eval()
    except NotAvailableError as error:
        raise ValueError(str(error)) from error


class TorchvisionChain(NormalisingBackbone):
    """A chain of torchvision's layers; its parameters have torchvision's names behind `network.`.

    Stages of a ResNet are layer1..layer4; of AlexNet and VGG conv1..conv5, the ReLU that ends a convolution or a
    block of them, before the pooling. Who stops early does not pay for the rest.
    """

    def __init__(self, architecture: str, weights: Weights) -> None:
        super().__init__()
        self.network, published = _torchvision_network(architecture, weights)
        for head in set(TORCHVISION_HEADS) & dict(self.network.named_children()).keys():
            delattr(self.network, head)
        if isinstance(weights, Path):
            _load_file(self.network, weights)
        self._set_normalisation(published.transforms().mean, published.transforms().std)
        self._stage_ends = _stage_ends(self._layers)
        self.stages = self._measure_stages()

    @property
    def _layers(self) -> nn.Module:
        return getattr(self.network, "features", self.network)

    def _run_stages(self, normalised: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = normalised
        for child, layer in self._layers.named_children():
            features = layer(features)
            if child in self._stage_ends:
                yield self._stage_ends[child], features

    def _measure_stages(self) -> dict[str, StageSpec]:
        layout = copy.deepcopy(self).to("meta").eval()  # shapes without arithmetic
        outputs = layout._run_stages(torch.empty(1, 3, 512, 512, device="meta"))
        return {name: find_layout(output.shape, 512).spec for name, output in outputs}


def _stage_ends(layers: nn.Module) -> dict[str, str]:
    """Child of a chain of layers -> the stage that it ends."""
    children = dict(layers.named_children())
    residual = [name for name in children if name.startswith("layer")]
    if residual:
        return {name: name for name in residual}
    ends = [name for name, layer in children.items() if isinstance(layer, nn.ReLU)]
    if len(ends) > 5:  # VGG: blocks of convolutions between poolings
        ends = [name for name in ends if isinstance(children[str(int(name) + 1)], nn.MaxPool2d)]
    return {name: f"conv{number}" for number, name in enumerate(ends, start=1)}


class TorchvisionGraph(NormalisingBackbone):
    """Any other classification network of torchvision, by torchvision's feature extraction; all stages are computed.

    Its parameters have torchvision's names behind `network.`. Stages have the names of torchvision's modules: the last
    block of each resolution, and every layer of a vision transformer, whose tokens, but for the class token, are laid
    out as a map; and its tokens' vectors.
    """

    def __init__(self, architecture: str, weights: Weights) -> None:
        super().__init__()
        whole, published = _torchvision_network(architecture, weights)
        transforms = published.transforms()
        self._set_normalisation(transforms.mean, transforms.std)
        side = transforms.crop_size[0]
        blocks = [name for name in _blocks(whole) if name.partition(".")[0] not in TORCHVISION_HEADS]
        shapes = _shapes(whole, blocks, side)
        self.only_size = None if _shapes(whole, blocks, 2 * side) else (side, side)
        self._layouts = {name: find_layout(shape, side) for name, shape in shapes.items() if len(shape) > 2}
        specs = {name: layout.spec for name, layout in self._layouts.items()}
        last = {spec.stride: name for name, spec in specs.items()}
        self.stages = {
            name: spec
            for name, spec in specs.items()
            if name == last[spec.stride] or self._layouts[name].kind == "tokens"
        }
        self._layouts = {name: self._layouts[name] for name in self.stages}
        self.vectors = vectors_of(self._layouts)
        nodes = [*self.stages, *([LAST_NORMALISATION] if self.vectors else [])]
        self.network = create_feature_extractor(whole, nodes, suppress_diff_warning=True)
        if isinstance(weights, Path):
            _load_file(self.network, weights)

    def _run_stages(self, normalised: Tensor) -> Iterator[tuple[str, Tensor]]:
        outputs = self.network(normalised)
        for name, layout in self._layouts.items():
            yield name, layout.as_map(outputs[name], normalised)
        if self.vectors:
            normalise = self.network.get_submodule(LAST_NORMALISATION)
            yield from run_vectors(outputs, self._layouts, normalise)


def _blocks(network: nn.Module) -> list[str]:
    """The modules of which a network is a sequence: its children, those of a container instead of it."""
    if isinstance(network, models.VisionTransformer):
        return [f"encoder.layers.{name}" for name, _ in network.encoder.layers.named_children()]
    names = []
    for name, child in network.named_children():
        is_container = type(child) in (nn.Sequential, nn.ModuleList)
        names += [f"{name}.{inner}" for inner, _ in child.named_children()] if is_container else [name]
    return names


def _shapes(network: nn.Module, blocks: Sequence[str], side: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the blocks' outputs for an image of `side` x `side`; empty where the network does not take it."""
    layout = copy.deepcopy(network).to("meta").eval()  # shapes without arithmetic
    extractor = create_feature_extractor(layout, list(blocks), suppress_diff_warning=True)
    try:
        with redirect_stderr(io.StringIO()):  # where torch.fx explains its errors
            outputs = extractor(torch.empty(1, 3, side, side, device="meta"))
    except (AssertionError, RuntimeError):
        return {}
    return {name: tuple(output.shape) for name, output in outputs.items()}


def _torchvision_network(architecture: str, weights: Weights) -> tuple[nn.Module, Any]:
    """The whole network, with the downloaded weights if these are asked for, and its published weights' entry.

    Raises:
        ValueError: torchvision has no such classification network.
    """
    names = models.list_models(module=models)  # without those of detection, segmentation and video
    if architecture not in names:
        raise ValueError(unknown_name("torchvision backbone", architecture, names))
    published = models.get_model_weights(architecture).DEFAULT
    if weights == "pretrained":
        with named_when_damaged(downloaded_weights(f"torchvision:{architecture}", published.url)):
            return models.get_model(architecture, weights=published), published
    more: dict[str, bool] = {}
    if architecture in ("googlenet", "inception_v3"):  # the published weights are of another normalisation
        more = {"init_weights": weights == "random", "transform_input": weights != "random"}
    return models.get_model(architecture, **more), published


class TimmMaps(NormalisingBackbone):
    """A timm network in its `features_only` form, whose stages have the names of timm's modules; all are computed."""

    def __init__(self, architecture: str, weights: Weights) -> None:
        super().__init__()
        timm, config = timm_and_config(architecture, "backbone")
        try:
            network: Any = timm.create_model(architecture, features_only=True)
        except RuntimeError as error:
            raise ValueError(f"timm gives no features of {architecture} ({error}); choose another") from error
        _load_timm(network, timm, architecture, config, weights)
        self.network = network
        self._set_normalisation(config.mean, config.std)
        self.only_size = config.input_size[1:] if config.fixed_input_size else None
        self.stages = timm_stages(network)

    def _run_stages(self, normalised: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield from zip(self.stages, timm_maps(self.network, normalised), strict=True)


class TimmTransformer(NormalisingBackbone):
    """A timm vision transformer with a class token, without its head: the maps and vectors of its last four blocks.

    It takes images of any size that is a multiple of its patches', by interpolated position embeddings where its
    architecture can.
    """

    def __init__(self, architecture: str, weights: Weights) -> None:
        super().__init__()
        timm, config = timm_and_config(architecture, "backbone")
        try:
            network: Any = timm.create_model(architecture, num_classes=0, dynamic_img_size=True)
            self.only_size = None
        except TypeError:  # not of all architectures
            network = timm.create_model(architecture, num_classes=0)
            self.only_size = config.input_size[1:]
        _load_timm(network, timm, architecture, config, weights)
        self.network = network
        self._set_normalisation(config.mean, config.std)
        self._last = range(len(network.blocks) - NUM_BLOCKS, len(network.blocks))
        self._patch_size = network.patch_embed.patch_size[0]
        self.probe_size = self.only_size or (4 * self._patch_size,) * 2
        self.stages = {
            f"blocks.{number}": StageSpec(network.num_features, self._patch_size) for number in self._last
        }
        self.vectors = token_specs(network.num_features, NUM_BLOCKS, has_class_token=True)

    def _run_stages(self, normalised: Tensor) -> Iterator[tuple[str, Tensor]]:
        if any(length % self._patch_size for length in normalised.shape[-2:]):
            height, width = normalised.shape[-2:]
            raise ValueError(
                f"the backbone takes images whose sides are multiples of {self._patch_size} px, got {height} x "
                f"{width}; set data.crop_size"
            )
        outputs = self.network.forward_intermediates(
            normalised,
            indices=list(self._last),
            return_prefix_tokens=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
        rows, columns = (length // self._patch_size for length in normalised.shape[-2:])
        for name, (patches, _) in zip(self.stages, outputs, strict=True):
            yield name, patches.transpose(1, 2).unflatten(2, (rows, columns))
        tokens = [torch.cat([prefix, patches], dim=1) for patches, prefix in outputs]
        yield from token_vectors(tokens, self.network.num_prefix_tokens, self.network.norm)


def timm_backbone(architecture: str, weights: Weights) -> NormalisingBackbone:
    """The network in the form that shows most of it."""
    timm, _ = timm_and_config(architecture, "backbone")
    with torch.device("meta"):
        network = timm.create_model(architecture)
    gives_tokens = (
        getattr(network, "num_prefix_tokens", 0) > 0
        and len(getattr(network, "blocks", ())) >= NUM_BLOCKS
        and "return_prefix_tokens" in signature(network.forward_intermediates).parameters
    )
    return (TimmTransformer if gives_tokens else TimmMaps)(architecture, weights)


def _load_timm(network: nn.Module, timm: Any, architecture: str, config: Any, weights: Weights) -> None:
    """Load the pretrained weights on this machine, or a file of the plain network's; nothing for random ones."""
    if weights == "pretrained":
        path = cached_timm_weights(architecture, config.hf_hub_id)
        with named_when_damaged(path):
            overlay = {"file": str(path)}
            plain = timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=overlay)
        _load(network, plain.state_dict(), _plain_names(network, plain))
    elif isinstance(weights, Path):
        with torch.device("meta"):
            plain = timm.create_model(architecture)
        names, expected = _plain_names(network, plain), plain.state_dict()
        plain_weights = {name: expected[name] for name in names.values()}
        _load(network, find_weights(weights, _as_in_timm(read_weights(weights)), plain_weights), names)


def _as_in_timm(contents: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors in a file, those of DINOv2's networks with registers named and laid out as timm has them.

    There the class token includes its position embedding, and the two layers of SwiGLU have the names of an MLP's.
    """
    tensors = {
        re.sub(r"\.mlp\.w12\.", ".mlp.fc1.", re.sub(r"\.mlp\.w3\.", ".mlp.fc2.", name)): tensor
        for name, tensor in flatten_tensors(contents)
    }
    for name in [name for name in tensors if is_named(name, "register_tokens")]:
        class_token, positions = (name.replace("register_tokens", of) for of in ("cls_token", "pos_embed"))
        tensors[name.replace("register_tokens", "reg_token")] = tensors.pop(name)
        tensors[class_token] = tensors[class_token] + tensors[positions][:, :1]
        tensors[positions] = tensors[positions][:, 1:]
    return tensors


def _plain_names(features: nn.Module, plain: nn.Module) -> dict[str, str]:
    """Tensor of a `features_only` network -> its name in the plain one: timm prefixes, and writes stem_0 for stem.0."""
    flat = {name.replace("_", "."): name for name in plain.state_dict()}
    return {own: flat[re.sub(r"^(model|body)\.", "", own).replace("_", ".")] for own in features.state_dict()}


def _load_file(network: nn.Module, path: Path) -> None:
    """Load a file that has torchvision's names; raises as `read_weights` and `find_weights`."""
    expected = network.state_dict()
    _load(network, find_weights(path, read_weights(path), expected), {name: name for name in expected})


def _load(network: nn.Module, weights: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    """Load `weights`; `names` gives each tensor's name among them."""
    state = {own: weights[name] for own, name in names.items() if name in weights}
    missing, _ = network.load_state_dict(state, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing)
