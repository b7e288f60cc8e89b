"""What is compared: trained networks, folders that other systems colorized, functions, and the controls."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
from pretext.color.bins import AbBins
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.colorizer import Colorizer, to_8_bits
from pretext.pretrained import SHIPPED_WEIGHTS, Pretrained, load_pretrained, state_hash
from pretext.tasks.colorization import GREY_LIMIT

Colorize = Callable[[Image.Image], Image.Image]
LiveMethod = Pretrained | Colorizer | Colorize


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A batch on the device where it is colorized and measured.

    Attributes:
        truth: the true images, RGB in 0..255.
        pictures: the same, for the metrics.
        outputs: what networks have answered for it, so that each looks at it once however many methods decode it.
    """

    batch: ImageBatch
    truth: UInt8[Tensor, "batch 3 height width"]
    pictures: Pictures
    outputs: dict["TrainedNetwork", Tensor] = field(default_factory=dict)

    @property
    def lab(self) -> Float[Tensor, "batch 3 height width"]:
        """CIE Lab of the truth."""
        return self.pictures.lab

    @property
    def lightness(self) -> Float[Tensor, "batch 1 height width"]:
        """CIE L in 0..100: all that a method may look at."""
        return self.lab[:, :1]


def on_device(batch: ImageBatch, device: torch.device) -> Canvas:
    """The batch's canvas on `device`."""
    truth = batch.truth.to(device)
    return Canvas(batch=batch, truth=truth, pictures=Pictures(truth))


def is_grey(canvas: Canvas) -> Bool[Tensor, "batch"]:
    """Which true images are grey: no pixel has |a| or |b| above 5, the limit below which training masks them too."""
    return canvas.pictures.ab.abs().amax(dim=(1, 2, 3)) <= GREY_LIMIT


class Method(ABC):
    """Something that gives colours to the lightness of images.

    Attributes:
        kind: see `Kind`.
        description: one line: where its images come from.
        weights: SHA-256 of its network's weights, as in every record of them; None without a network.
        origin: of the weights: a name or a file; None where they are in memory only.
    """

    kind: Kind
    description: str
    weights: str | None = None
    origin: str | None = None

    @abstractmethod
    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """The colorized images, RGB in 0..255."""


class Truth(Method):
    """The true images."""

    kind: Kind = "truth"
    description = "the true images"

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """The truth."""
        return canvas.truth


class Grey(Method):
    """No colour: the lightness alone."""

    kind: Kind = "grey"
    description = "the lightness alone"

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """The lightness, three channels of the same values."""
        rgb = lab_to_rgb(torch.cat([canvas.lightness, torch.zeros_like(canvas.pictures.ab)], dim=1))
        # The channels agree to 1e-5, but next to a half they would be rounded to different levels.
        return to_8_bits(rgb)[:, 1:2].expand(-1, 3, -1, -1)


class RandomColours(Method):
    """The colours of another image of the set, in the paper's words: "random"."""

    kind: Kind = "random"
    description = "the ab channels of another image of the set"

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """The lightness under the other image's ab, with as much of its chroma as sRGB has there."""
        lenders = canvas.batch.lenders
        assert lenders is not None
        ab = rgb_to_lab(lenders.to(canvas.lab.device) / 255)[:, 1:]
        return to_8_bits(lab_to_rgb(fit_chroma_to_gamut(torch.cat([canvas.lightness, ab], dim=1))))


class Folder(Method):
    """Images that another system has colorized."""

    kind: Kind = "folder"

    def __init__(self, name: str, root: Path) -> None:
        self.description = f"folder {root}"
        self._name = name

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """The images of the folder."""
        return canvas.batch.colorized[self._name].to(canvas.truth.device)


class LiveFunction(Method):
    """A function of the user's from the grey picture to the colorized one, called for one picture at a time."""

    kind: Kind = "function"

    def __init__(self, name: str, function: Colorize) -> None:
        self._name, self._function, self._lock = name, function, threading.Lock()
        self.description = f"function {getattr(function, '__qualname__', type(function).__qualname__)}"

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """What the function returns. Raises ValueError for anything but a picture of the same size."""
        greys = Grey().colorize(canvas).permute(0, 2, 3, 1).cpu().numpy()
        with self._lock:
            pictures = [self._function(Image.fromarray(grey)) for grey in greys]
        size = (greys.shape[2], greys.shape[1])
        for picture in pictures:
            if not isinstance(picture, Image.Image) or picture.size != size:
                got = f"one of {picture.size}" if isinstance(picture, Image.Image) else f"{picture!r:.80}"
                raise ValueError(
                    f"method {self._name!r} must return a PIL image of the size that it was given, {size}, but "
                    f"returned {got}"
                )
        pixels = np.stack([np.array(picture.convert("RGB")) for picture in pictures])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(canvas.truth.device)


class LiveColorizer(Method):
    """A `Colorizer` of the user's, where its network is."""

    kind: Kind = "network"

    def __init__(self, colorizer: Colorizer) -> None:
        self._colorizer = colorizer
        self.weights = state_hash(colorizer.network)
        self.description = f"{type(colorizer.network).__name__} in memory, predicted at {colorizer.size} px"

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """As `Colorizer` colorizes a file."""
        lightness = canvas.lightness.to(next(self._colorizer.network.parameters()).device)
        return self._colorizer.colorize(lightness, self._colorizer.network_output(lightness)).to(
            canvas.lab.device
        )


class TrainedNetwork:
    """A network that several methods decode.

    Attributes:
        bins: over which it answers with a distribution; None for a regression network.
        size: pixels at which it predicts colours.
    """

    def __init__(self, pretrained: Pretrained, size: int) -> None:
        self.pretrained, self.size = pretrained, size
        self.bins: AbBins | None = pretrained.bins
        self.colorizer = Colorizer(pretrained.network, self.bins, size=size)

    def output(self, canvas: Canvas) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """Its output for the lightness of `canvas`."""
        if self not in canvas.outputs:
            canvas.outputs[self] = self.colorizer.network_output(canvas.lightness)
        return canvas.outputs[self]


class Network(Method):
    """A trained network with one way of decoding its output."""

    kind: Kind = "network"

    def __init__(self, trained: TrainedNetwork, config: MethodConfig) -> None:
        self.trained = trained
        pretrained = trained.pretrained
        self.weights, self.origin = pretrained.sha256, pretrained.origin
        temperature = pretrained.temperature if config.temperature is None else config.temperature
        self._colorizer = Colorizer(
            pretrained.network,
            trained.bins,
            size=trained.size,
            decoding=config.decoding,
            temperature=temperature,
            top_k=config.top_k,
        )
        step = "" if pretrained.step is None else f" at step {pretrained.step}"
        self.description = (
            f"{pretrained.name} of {config.model or pretrained.origin}{step}, {self._decoding(config, temperature)}, "
            f"predicted at {trained.size} px"
        )

    def colorize(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 height width"]:
        """The decoded output under the truth's lightness."""
        return self._colorizer.colorize(canvas.lightness, self.trained.output(canvas))

    def _decoding(self, config: MethodConfig, temperature: float) -> str:
        if self.trained.bins is None:
            return "regression"
        if config.decoding == "annealed_mean":
            return f"annealed mean at temperature {temperature:g}"
        return f"mean of the top {config.top_k} bins" if config.decoding == "top_k_mean" else config.decoding


CONTROL_METHODS: dict[str, type[Grey] | type[RandomColours] | type[Truth]] = {
    "grey": Grey,
    "random": RandomColours,
    "truth": Truth,
}


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
    trained: dict[tuple[str, int | None], TrainedNetwork] = {}
    for name, method in methods.items():
        if name in CONTROLS:
            if method != MethodConfig():
                raise ValueError(f"{name!r} is the name of a control; give your method another")
            opened[name] = CONTROL_METHODS[name]()
        elif isinstance(method, MethodConfig):
            opened[name] = _open_configured(name, method, trained, device)
        elif isinstance(method, Pretrained):
            method.network.to(device)
            opened[name] = Network(TrainedNetwork(method, method.image_size), MethodConfig())
        else:
            opened[name] = (
                LiveColorizer(method) if isinstance(method, Colorizer) else LiveFunction(name, method)
            )
    return opened


def _open_configured(
    name: str,
    config: MethodConfig,
    trained: dict[tuple[str, int | None], TrainedNetwork],
    device: torch.device,
) -> Method:
    if (config.model is None) == (config.folder is None):
        raise ValueError(f"method {name!r} needs either a model or a folder, and not both")
    if config.folder is not None:
        return Folder(name, Path(config.folder))
    assert config.model is not None
    key = (config.model, config.size)
    if key not in trained:
        pretrained = load_pretrained(config.model)
        pretrained.network.to(device)
        trained[key] = TrainedNetwork(pretrained, config.size or pretrained.image_size)
    if trained[key].bins is None and config.decoding != "annealed_mean":
        raise ValueError(
            f"method {name!r}: {config.model} is a regression network, which has no distribution to decode by "
            f"{config.decoding}; leave decoding out"
        )
    return Network(trained[key], config)


def all_decodings(model: str) -> dict[str, MethodConfig]:
    """The methods that `model` stands for: every decoding of its distribution, or its regression.

    Raises as `load_pretrained`.
    """
    if load_pretrained(model).bins is None:
        return {"regression": MethodConfig(model=model)}
    annealed = MethodConfig(model=model)
    return {
        "annealed mean": annealed,
        "mean": replace(annealed, decoding="mean"),
        "mode": replace(annealed, decoding="mode"),
        "top-5 mean": replace(annealed, decoding="top_k_mean"),
    }
