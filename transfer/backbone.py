"""Opens the backbones that are tested, from addresses, configurations and live modules."""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretext.color.lab import rgb_to_lab
from pretext.networks import NETWORKS, Backbone, build_network
from pretext.networks.alexnet import AlexNet
from pretext.pretrained import ACCEPTED_MODELS, SHIPPED_WEIGHTS, load_pretrained, state_hash
from pretext.runtime.run_dir import RunDir
from pretext.spelling import did_you_mean
from transfer.config import BackboneConfig
from transfer.initialisation import cluster_layers, draw_gaussian
from transfer.library_backbones import Weights, open_library_backbone
from transfer.live_backbone import LiveBackbone
from transfer.rescaling import absorb_batch_norm, rescale_layers
from transfer.stages import TransferBackbone

LIBRARIES = ("torchvision:", "timm:")
FORMS = ("random:", *LIBRARIES)
NUM_BINS = 313  # of the output layer of a random network of the user's own, which no test looks at


class PretextBackbone(TransferBackbone):
    """A network of this project, which sees the lightness of the images alone, or ab too.

    The paper's "colour" variant (Zhang, Isola, Efros 2016, section 3.2): the first convolution takes ab beside L, by
    weights that start at zero, so that the network starts as the one that was trained on L. A convolution of two
    inputs is a sum of two convolutions, so the weights on L stay those of the network, under their name.
    """

    def __init__(self, network: Backbone) -> None:
        super().__init__()
        self.network = network
        self.stages = network.stages
        self.ab_convolution: nn.Conv2d | None = None

    def add_colour_input(self) -> None:
        """From now on the network sees ab too, in the units of its lightness."""
        first = self._first_convolution()
        self.ab_convolution = copy.deepcopy(first)
        self.ab_convolution.in_channels, self.ab_convolution.bias = 2, None
        self.ab_convolution.weight = nn.Parameter(
            first.weight.new_zeros(len(first.weight), 2, *first.kernel_size)
        )

    def _first_convolution(self) -> nn.Conv2d:
        return next(module for module in self.network.modules() if isinstance(module, nn.Conv2d))

    def _compute_stages(self, rgb: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        if self.ab_convolution is None:
            return self.network.forward_stages(self.network.see(rgb), names)
        lightness, ab = rgb_to_lab(rgb).split([1, 2], dim=1)
        color_part = self.ab_convolution(ab / self.network.lightness_scale)
        with self._first_convolution().register_forward_hook(lambda _, __, output: output + color_part):
            return self.network.forward_stages(lightness, names)


@dataclass(frozen=True, kw_only=True)
class OpenedBackbone:
    """A backbone, and its name and hash for the results.

    Attributes:
        network: in evaluation mode, on the CPU, trainable.
        name: what the results table calls it.
        sha256: of its weights and buffers, as `state_hash` computes it.
    """

    network: TransferBackbone
    name: str
    sha256: str


AnyBackbone = str | BackboneConfig | nn.Module | OpenedBackbone
"""What `open_backbone` takes."""


def open_backbone(
    backbone: AnyBackbone,
    seed: int = 0,
    draw_crops: Callable[[], Float[Tensor, "batch 3 height width"]] | None = None,
    *,
    colour_input: bool = False,
) -> OpenedBackbone:
    """Open, build, initialise, rescale or copy a backbone; torch's global random state stays as it is.

    Args:
        backbone: an address, as `BackboneConfig.model`; a configuration; or a live module, which is copied: a network
            of this project, a `LiveBackbone`, or a module with an attribute `stages` (and `mean` and `std`) as
            `LiveBackbone` takes it.
        seed: for the weights of random:NAME.
        draw_crops: gives RGB in [0, 1] for `initialisation` and `rescale`, see `BackboneConfig`.
        colour_input: whether a network of this project sees ab too.

    Raises:
        FileNotFoundError: there is no weights file.
        ValueError: no such backbone, a file that does not hold its weights, a key that means nothing for it, or a
            module whose stages are unknown or that cannot be copied.
    """
    if isinstance(backbone, str):
        backbone = BackboneConfig(model=backbone)
    if isinstance(backbone, BackboneConfig):
        network, name = _open_config(backbone, seed, draw_crops), backbone.name or _default_name(backbone)
        opened = OpenedBackbone(network=network, name=name, sha256=_weights_hash(network))
    elif isinstance(backbone, OpenedBackbone):
        opened = replace(backbone, network=_copied(backbone.network))
    else:
        network = _as_backbone(backbone)
        name = type(getattr(network, "network", network)).__name__
        opened = OpenedBackbone(network=_copied(network), name=name, sha256=_weights_hash(network))
    if colour_input:
        wrapped = opened.network
        if not (isinstance(wrapped, PretextBackbone) and wrapped.network.input == "lightness"):
            raise ValueError(
                f"{opened.name} sees colours already; colour_input is for networks that see the lightness"
            )
        wrapped.add_colour_input()
        opened = replace(opened, name=f"{opened.name}, colour input")
    return opened


def _open_config(
    config: BackboneConfig, seed: int, draw_crops: Callable[[], Tensor] | None
) -> TransferBackbone:
    _refuse_meaningless_keys(config)
    with torch.random.fork_rng(devices=[]):  # of the CPU alone, where weights are made
        torch.default_generator.manual_seed(seed)
        network = _open(config).eval()
        if config.initialisation == "gaussian":
            draw_gaussian(network)
    if config.initialisation == "kmeans":
        assert draw_crops is not None
        assert isinstance(network, PretextBackbone)
        cluster_layers(network.network, network.network.see(draw_crops()), seed)
    if config.absorb_batch_norm:
        absorb_batch_norm(network)
    if config.rescale:
        if not (isinstance(network, PretextBackbone) and isinstance(network.network, AlexNet)):
            raise ValueError(f"rescale is for this project's alexnet; model is {config.model!r}")
        assert draw_crops is not None
        rescale_layers(network.network, rgb_to_lab(draw_crops())[:, :1])
    return network


def _as_backbone(module: nn.Module) -> TransferBackbone:
    if isinstance(module, TransferBackbone):
        return module
    if isinstance(module, Backbone):
        return PretextBackbone(module)
    stages = getattr(module, "stages", None)
    if not isinstance(stages, Mapping | nn.ModuleDict):
        raise ValueError(
            f"{type(module).__name__} does not say which of its submodules are stages; give "
            "transfer.LiveBackbone(module, {'stage': 'dotted.name.of.a.submodule', ...})"
        )
    return LiveBackbone(
        module,
        dict(stages.items()),
        mean=getattr(module, "mean", (0.0, 0.0, 0.0)),
        std=getattr(module, "std", (1.0, 1.0, 1.0)),
    )


def _copied(network: TransferBackbone) -> TransferBackbone:
    """A copy as `OpenedBackbone` has it, so that a test leaves mode, gradients, weights and device of the user's."""
    try:
        return copy.deepcopy(network).cpu().eval().requires_grad_(True)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{type(getattr(network, 'network', network)).__name__} cannot be copied ({error}); keep no tensors with "
            "gradients and no open files in the module"
        ) from error


def _weights_hash(network: TransferBackbone) -> str:
    """The hash of the user's own module without the adapter around it, as `pretext` and reports have it."""
    return state_hash(network.network if isinstance(network, PretextBackbone | LiveBackbone) else network)


def _open(config: BackboneConfig) -> TransferBackbone:
    model = config.model
    name = model.removeprefix("random:")
    if name.startswith(LIBRARIES):
        chosen: Weights = Path(config.weights) if config.weights else "pretrained"
        return open_library_backbone(name, "random" if name != model else chosen)
    if name != model:
        output = signature(NETWORKS[name]).parameters["output"].default if name in NETWORKS else NUM_BINS
        return PretextBackbone(build_network(name, output=output, width=config.width))
    if model not in SHIPPED_WEIGHTS and not Path(model).exists():
        valid = [
            *SHIPPED_WEIGHTS,
            *(f"random:{name}" for name in NETWORKS),
            *(f"{form}{model.partition(':')[2]}" for form in FORMS),
        ]
        raise ValueError(
            f"there is no backbone {model!r}{did_you_mean(model, valid)}: give random:NAME, torchvision:NAME, "
            f"timm:NAME, or {ACCEPTED_MODELS}"
        )
    return PretextBackbone(load_pretrained(model).network)


def _refuse_meaningless_keys(config: BackboneConfig) -> None:
    model = config.model
    if config.weights is not None and not model.startswith(LIBRARIES):
        raise ValueError(
            f"weights is for torchvision:NAME and timm:NAME, but model is {model!r}; leave weights out"
        )
    for key, is_given in (
        ("width", config.width != 1),
        ("initialisation", config.initialisation != "kaiming"),
    ):
        if is_given and not (model.startswith("random:") and model.removeprefix("random:") in NETWORKS):
            raise ValueError(
                f"{key} is for random:NAME of this project, but model is {model!r}; leave {key} out"
            )
    if config.absorb_batch_norm and "timm:" in model:
        raise ValueError(
            f"absorb_batch_norm is for this project's networks and torchvision's, not for {model!r}"
        )
    if config.rescale and not config.absorb_batch_norm:
        raise ValueError("rescale needs absorb_batch_norm: with BatchNorm the scale of a layer means nothing")


def _default_name(config: BackboneConfig) -> str:
    if config.model.startswith(FORMS):
        name = config.model.replace(":", " ")
        if config.width != 1:
            name += f" x{config.width:g}"
        if config.initialisation != "kaiming":
            name += f", {config.initialisation}"
        if config.weights:
            name += f" {Path(config.weights).stem}"
    elif config.model in SHIPPED_WEIGHTS:
        name = config.model
    else:
        name = _run_or_file_name(Path(config.model).resolve())
    if config.absorb_batch_norm:
        name += ", rescaled" if config.rescale else ", absorbed BatchNorm"
    return name


def _run_or_file_name(path: Path) -> str:
    if path.is_dir():
        return path.name
    run = RunDir(path.parent.parent)
    if path == run.last_checkpoint:
        return run.path.name
    return f"{run.path.name} {path.stem}" if path.parent == run.checkpoints else path.stem
