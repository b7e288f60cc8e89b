"""What is compared: trained networks, folders that other systems colorized, functions, and the controls."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from eval_colorization.config import MethodConfig
from eval_colorization.images import ImageBatch
from eval_colorization.metrics.metric import Pictures
from eval_colorization.results import CONTROLS, Kind
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.colorizer import Colorizer, to_8_bits
from pretext.pretrained import SHIPPED_WEIGHTS, Pretrained, load_pretrained, state_hash
from pretext.tasks.colorization import GREY_LIMIT, ColorizationTask

Colorize = Callable[[Image.Image], Image.Image]
LiveMethod = Pretrained | Colorizer | Colorize


class Canvas:
    """A batch on the device where it is colorized and measured.

    Attributes:
        truth: the true images, RGB in 0..255.
        pictures: the same, for the metrics.
        outputs: what networks have answered for it, so that each looks at it once however many methods decode it.
    """

    def __init__(self, batch: ImageBatch, device: torch.device) -> None:
        self.batch = batch
        self.truth: UInt8[Tensor, "batch 3 height width"] = batch.truth.to(device)
        self.pictures = Pictures(self.truth)
        self.outputs: dict[DecodedNetwork, Tensor] = {}

    @property
    def lab(self) -> Float[Tensor, "batch 3 height width"]:
        """CIE Lab of the truth."""
        return self.pictures.lab

    @property
    def lightness(self) -> Float[Tensor, "batch 1 height width"]:
        """CIE L in 0..100: all that a method may look at."""
        return self.lab[:, :1]


def is_grey(canvas: Canvas) -> Bool[Tensor, "batch"]:
    """Which true images are grey: no pixel has |a| or |b| above 5, the limit below which training masks them too."""
    return canvas.pictures.ab.abs().amax(dim=(1, 2, 3)) <= GREY_LIMIT


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedNetwork:
    """A network behind one method or several.

    Attributes:
        name: in descriptions.
        weights: SHA-256 of its weights, as in every record of them.
        origin: of the weights: a name or a file; None where they are in memory only.
    """

    name: str
    weights: str
    origin: str | None


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodedNetwork(TrainedNetwork):
    """A network that answers ab or bins of it, which several methods decode.

    Attributes:
        colorizer: of its network and bins, at the size at which it predicts colours.
    """

    colorizer: Colorizer

    def output(self, canvas: Canvas) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """The network's output for the lightness of `canvas`."""
        if self not in canvas.outputs:
            canvas.outputs[self] = self.colorizer.network_output(canvas.lightness)
        return canvas.outputs[self]


@dataclass(frozen=True, kw_only=True)
class Method:
    """Something that gives colours to the lightness of images.

    Attributes:
        kind: see `Kind`.
        description: one line: where its images come from.
        colorize: the colorized images of a canvas, RGB in 0..255.
        network: of a method of kind network.
    """

    kind: Kind
    description: str
    colorize: Callable[[Canvas], UInt8[Tensor, "batch 3 height width"]]
    network: TrainedNetwork | None = None


def _grey(canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
    rgb = lab_to_rgb(torch.cat([canvas.lightness, torch.zeros_like(canvas.pictures.ab)], dim=1))
    # The channels agree to 1e-5, but next to a half they would be rounded to different levels.
    return to_8_bits(rgb)[:, 1:2].expand(-1, 3, -1, -1)


def _random_colours(canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
    """The lightness under the lender's ab, with as much of its chroma as sRGB has there."""
    lenders = canvas.batch.lenders
    assert lenders is not None
    ab = rgb_to_lab(lenders.to(canvas.lab.device) / 255)[:, 1:]
    return to_8_bits(lab_to_rgb(fit_chroma_to_gamut(torch.cat([canvas.lightness, ab], dim=1))))


CONTROL_METHODS = {
    "grey": Method(kind="grey", description="the lightness alone", colorize=_grey),
    "random": Method(
        kind="random", description="the ab channels of another image of the set", colorize=_random_colours
    ),
    "truth": Method(kind="truth", description="the true images", colorize=lambda canvas: canvas.truth),
}


def _folder(name: str, root: str) -> Method:
    return Method(
        kind="folder",
        description=f"folder {Path(root)}",
        colorize=lambda canvas: canvas.batch.colorized[name].to(canvas.truth.device),
    )


def _function(name: str, function: Colorize) -> Method:
    """A function of the user's from the grey picture to the colorized one, called for one picture at a time."""
    lock = threading.Lock()

    def colorize(canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        greys = _grey(canvas).permute(0, 2, 3, 1).cpu().numpy()
        with lock:
            pictures = [function(Image.fromarray(grey)) for grey in greys]
        size = (greys.shape[2], greys.shape[1])
        for picture in pictures:
            if not isinstance(picture, Image.Image) or picture.size != size:
                got = f"one of {picture.size}" if isinstance(picture, Image.Image) else f"{picture!r:.80}"
                raise ValueError(
                    f"method {name!r} must return a PIL image of the size that it was given, {size}, but "
                    f"returned {got}"
                )
        pixels = np.stack([np.array(picture.convert("RGB")) for picture in pictures])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(canvas.truth.device)

    qualified_name = getattr(function, "__qualname__", type(function).__qualname__)
    return Method(kind="function", description=f"function {qualified_name}", colorize=colorize)


def _network(trained: DecodedNetwork, colorizer: Colorizer) -> Method:
    """The network with one way of decoding its output."""
    return Method(
        kind="network",
        description=f"{trained.name}, {_decoding(colorizer)}, predicted at {colorizer.size} px",
        colorize=lambda canvas: colorizer.colorize(canvas.lightness, trained.output(canvas)),
        network=trained,
    )


def method_config(name_or_path: str | Path) -> MethodConfig:
    """The method that one word names: a folder of colorized images, or weights as `load_pretrained` opens them."""
    path = Path(name_or_path).expanduser()
    if path.is_dir() and not (path / "checkpoints").exists() and str(name_or_path) not in SHIPPED_WEIGHTS:
        return MethodConfig(folder=str(name_or_path))
    return MethodConfig(model=str(name_or_path))


def open_methods(methods: Mapping[str, MethodConfig | LiveMethod], device: torch.device) -> dict[str, Method]:
    """Each named method, its network on `device`; a network that several decode is opened once.

    Raises:
        ValueError: a method that is neither model nor folder nor a control, or both; a decoding of a distribution
            asked of a regression network; a model that cannot be opened.
        FileNotFoundError: no such model.
    """
    opened: dict[str, Method] = {}
    pretrained: dict[str, Pretrained] = {}
    trained: dict[tuple[str | None, int | None], DecodedNetwork] = {}
    for name, method in methods.items():
        if name in CONTROLS:
            if method != MethodConfig():
                raise ValueError(f"{name!r} is the name of a control; give your method another")
            opened[name] = CONTROL_METHODS[name]
        elif isinstance(method, Pretrained):
            opened[name] = _opened_network(method, MethodConfig(), device, {})
        elif isinstance(method, Colorizer):
            method.network.to(device)
            label, weights = f"{type(method.network).__name__} in memory", state_hash(method.network)
            opened[name] = _network(
                DecodedNetwork(colorizer=method, name=label, weights=weights, origin=None), method
            )
        elif not isinstance(method, MethodConfig):
            opened[name] = _function(name, method)
        elif (method.model is None) == (method.folder is None):
            raise ValueError(f"method {name!r} needs either a model or a folder, and not both")
        elif method.folder is not None:
            opened[name] = _folder(name, method.folder)
        elif method.model is not None:
            if method.model not in pretrained:
                pretrained[method.model] = load_pretrained(method.model)
            network = pretrained[method.model]
            regresses = isinstance(network.colorizing, ColorizationTask) and network.bins is None
            if regresses and method.decoding != "annealed_mean":
                raise ValueError(
                    f"method {name!r}: {method.model} is a regression network, which has no distribution to decode by "
                    f"{method.decoding}; leave decoding out"
                )
            opened[name] = _opened_network(network, method, device, trained)
    return opened


def _opened_network(
    pretrained: Pretrained,
    config: MethodConfig,
    device: torch.device,
    opened: dict[tuple[str | None, int | None], DecodedNetwork],
) -> Method:
    """A network of any colorization task, on `device`; what several methods decode is in `opened` once."""
    if isinstance(pretrained.colorizing, ColorizationTask):
        key = (config.model, config.size)
        if key not in opened:
            opened[key] = _on_device(pretrained, config, device)
        return _decoded(pretrained, opened[key], config)
    size = config.size or pretrained.image_size
    colorizer = pretrained.colorizing.colorizer(pretrained.network.to(device), size)
    if config.decoding != "annealed_mean":
        colorizer.decode_by(config.decoding)
    trained = TrainedNetwork(**_identity(pretrained, config))
    return replace(
        _function(trained.name, colorizer),
        kind="network",
        description=f"{trained.name}, {colorizer.decoding}, predicted at {colorizer.size} px",
        network=trained,
    )


def _on_device(pretrained: Pretrained, config: MethodConfig, device: torch.device) -> DecodedNetwork:
    size = config.size or pretrained.image_size
    colorizer = Colorizer(pretrained.network.to(device), pretrained.bins, size=size)
    return DecodedNetwork(colorizer=colorizer, **_identity(pretrained, config))


def _identity(pretrained: Pretrained, config: MethodConfig) -> dict[str, str]:
    """Name, weights and origin of a network."""
    step = "" if pretrained.step is None else f" at step {pretrained.step}"
    return {
        "name": f"{pretrained.name} of {config.model or pretrained.origin}{step}",
        "weights": pretrained.sha256,
        "origin": pretrained.origin,
    }


def _decoded(pretrained: Pretrained, trained: DecodedNetwork, config: MethodConfig) -> Method:
    colorizer = Colorizer(
        pretrained.network,
        pretrained.bins,
        size=trained.colorizer.size,
        decoding=config.decoding,
        temperature=pretrained.temperature if config.temperature is None else config.temperature,
        top_k=config.top_k,
    )
    return _network(trained, colorizer)


def _decoding(colorizer: Colorizer) -> str:
    if colorizer.bins is None:
        return "regression"
    if colorizer.decoding == "annealed_mean":
        return f"annealed mean at temperature {colorizer.temperature:g}"
    if colorizer.decoding == "top_k_mean":
        return f"mean of the top {colorizer.top_k} bins"
    return colorizer.decoding


def all_decodings(model: str) -> dict[str, MethodConfig]:
    """The methods that `model` stands for: every decoding of its distributions, or its regression.

    Raises as `load_pretrained`.
    """
    pretrained, annealed = load_pretrained(model), MethodConfig(model=model)
    if not isinstance(pretrained.colorizing, ColorizationTask):
        others = pretrained.colorizing.colorizer(pretrained.network).decodings
        own = {"median" if others else "regression": annealed}
        return own | {decoding: replace(annealed, decoding=decoding) for decoding in others}
    if pretrained.bins is None:
        return {"regression": annealed}
    return {
        "annealed mean": annealed,
        "mean": replace(annealed, decoding="mean"),
        "mode": replace(annealed, decoding="mode"),
        "top-5 mean": replace(annealed, decoding="top_k_mean"),
    }
