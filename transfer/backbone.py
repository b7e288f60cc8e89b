"""The one door to a backbone that is tested, and the proof that a test left it as it was."""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretext.color.lab import rgb_to_lab
from pretext.networks import NETWORKS, Backbone, build_network
from pretext.networks.alexnet import AlexNet
from pretext.pretrained import load_pretrained
from pretext.runtime.run_dir import RunDir
from pretext.spelling import did_you_mean
from transfer.config import BackboneConfig
from transfer.library_backbones import Weights, open_library_backbone
from transfer.rescaling import absorb_batch_norm, rescale_layers
from transfer.stages import TransferBackbone, choose_stages, parameters_up_to

__all__ = [
    "OpenedBackbone",
    "PretextBackbone",
    "TransferBackbone",
    "choose_stages",
    "frozen",
    "open_backbone",
    "parameters_up_to",
    "state_hash",
]

LIBRARIES = ("torchvision:", "timm:")
FORMS = ("random:", *LIBRARIES)
NUM_BINS = 313  # of a random network's output layer, which no test looks at


class PretextBackbone(TransferBackbone):
    """A network of this project, which sees the lightness of the images alone."""

    def __init__(self, network: Backbone) -> None:
        super().__init__()
        self.network = network
        self.stages = network.stages

    def _compute_stages(self, rgb: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        return self.network.forward_stages(rgb_to_lab(rgb)[:, :1], names)


@dataclass(frozen=True, kw_only=True)
class OpenedBackbone:
    """A backbone and what a result must say of it.

    Attributes:
        network: in evaluation mode, on the CPU, trainable.
        name: what the results table calls it.
        sha256: of its weights and buffers, as `state_hash` computes it.
    """

    network: TransferBackbone
    name: str
    sha256: str


def open_backbone(
    config: BackboneConfig, seed: int, images: Float[Tensor, "batch 3 height width"] | None = None
) -> OpenedBackbone:
    """Open, build or rescale the backbone that `config` describes; torch's global random state stays as it is.

    Args:
        seed: of the weights of random:NAME.
        images: RGB in [0, 1] for `config.rescale`, which needs them.

    Raises:
        FileNotFoundError: there is no weights file.
        ValueError: no such backbone, a file that does not hold its weights, or a key that means nothing for it.
    """
    _refuse_meaningless_keys(config)
    with torch.random.fork_rng(devices=[]):  # of the CPU alone, where weights are made
        torch.default_generator.manual_seed(seed)
        network = _open(config).eval()
    if config.absorb_batch_norm:
        absorb_batch_norm(network)
    if config.rescale:
        if not (isinstance(network, PretextBackbone) and isinstance(network.network, AlexNet)):
            raise ValueError(f"rescale is for this project's alexnet; model is {config.model!r}")
        assert images is not None
        rescale_layers(network.network, rgb_to_lab(images)[:, :1])
    return OpenedBackbone(
        network=network, name=config.name or _default_name(config), sha256=state_hash(network)
    )


def state_hash(network: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and values of all parameters and buffers, in hexadecimal."""
    return hashlib.sha256(repr(_tensor_hashes(network)).encode()).hexdigest()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, `network` is in evaluation mode and without gradients; afterwards no weight or buffer may have moved.

    Raises:
        AssertionError: after the block, naming the tensors that changed.
    """
    before = _tensor_hashes(network)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval().requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
    after = _tensor_hashes(network)
    moved = [name for name in before if after[name] != before[name]]
    assert not moved, f"the frozen backbone moved: {', '.join(moved)}"


def _tensor_hashes(network: nn.Module) -> dict[str, str]:
    return {
        name: hashlib.sha256(
            f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
            + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    }


def _open(config: BackboneConfig) -> TransferBackbone:
    model = config.model
    name = model.removeprefix("random:")
    if name.startswith(LIBRARIES):
        chosen: Weights = Path(config.weights) if config.weights else "pretrained"
        return open_library_backbone(name, "random" if name != model else chosen)
    if name != model:
        return PretextBackbone(build_network(name, num_bins=NUM_BINS, width=config.width))
    if not Path(model).exists():
        valid = [f"random:{name}" for name in NETWORKS] + [
            f"{form}{model.partition(':')[2]}" for form in FORMS
        ]
        raise ValueError(
            f"there is no backbone {model!r}{did_you_mean(model, valid)}: give the path of a pretext run or weights "
            "file, random:NAME, torchvision:NAME or timm:NAME"
        )
    return PretextBackbone(load_pretrained(model).network)


def _refuse_meaningless_keys(config: BackboneConfig) -> None:
    model = config.model
    if config.weights is not None and not model.startswith(LIBRARIES):
        raise ValueError(
            f"weights is for torchvision:NAME and timm:NAME, but model is {model!r}; leave weights out"
        )
    if config.width != 1 and model.removeprefix("random:") not in NETWORKS:
        raise ValueError(f"width is for random:NAME of this project, but model is {model!r}; leave width out")
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
        if config.weights:
            name += f" {Path(config.weights).stem}"
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
