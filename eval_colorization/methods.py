"""What is compared: trained networks, folders that other systems painted, and the controls."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from eval_colorization.config import MethodConfig
from eval_colorization.images import ImageBatch
from eval_colorization.results import CONTROLS, Kind
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.colorizer import Colorizer, to_8_bits
from pretext.pretrained import Pretrained, load_pretrained
from pretext.tasks.colorization import GREY_LIMIT


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A batch on the device where it is painted and measured.

    Attributes:
        lab: of the truth.
        outputs: what networks have answered for it, so that each looks at it once however many methods decode it.
    """

    batch: ImageBatch
    truth: UInt8[Tensor, "batch 3 size size"]
    lab: Float[Tensor, "batch 3 size size"]
    outputs: dict["TrainedNetwork", Tensor] = field(default_factory=dict)


def on_device(batch: ImageBatch, device: torch.device) -> Canvas:
    """The batch's canvas on `device`."""
    truth = batch.truth.to(device)
    return Canvas(batch=batch, truth=truth, lab=rgb_to_lab(truth / 255))


def is_grey(canvas: Canvas) -> Bool[Tensor, "batch"]:
    """Which true images are grey: no pixel has |a| or |b| above 5, the limit below which training masks them too."""
    return canvas.lab[:, 1:].abs().amax(dim=(1, 2, 3)) <= GREY_LIMIT


@runtime_checkable
class Method(Protocol):
    """Something that gives colours to the lightness of images."""

    kind: Kind
    description: str

    def paint(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 size size"]:
        """The painted images, RGB in 0..255."""
        ...


class Truth:
    """The true images."""

    kind: Kind = "truth"
    description = "the true images"

    def paint(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 size size"]:
        return canvas.truth


class Grey:
    """No colour: the lightness alone."""

    kind: Kind = "grey"
    description = "the lightness alone"

    def paint(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 size size"]:
        lightness = canvas.lab[:, :1]
        rgb = lab_to_rgb(torch.cat([lightness, torch.zeros_like(canvas.lab[:, 1:])], dim=1))
        # The channels agree to 1e-5, but next to a half they would be rounded to different levels.
        return to_8_bits(rgb)[:, 1:2].expand(-1, 3, -1, -1)


class RandomColours:
    """The colours of another image of the set, in the paper's words: "random"."""

    kind: Kind = "random"
    description = "the ab channels of another image of the set"

    def paint(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 size size"]:
        lenders = canvas.batch.lenders
        assert lenders is not None
        ab = rgb_to_lab(lenders.to(canvas.lab.device) / 255)[:, 1:]
        return to_8_bits(lab_to_rgb(fit_chroma_to_gamut(torch.cat([canvas.lab[:, :1], ab], dim=1))))


class Folder:
    """Images that another system has painted."""

    kind: Kind = "folder"

    def __init__(self, name: str, root: Path) -> None:
        self.description = f"folder {root}"
        self._name = name

    def paint(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 size size"]:
        return canvas.batch.painted[self._name].to(canvas.truth.device)


class TrainedNetwork:
    """A network that several methods decode."""

    def __init__(self, pretrained: Pretrained, size: int) -> None:
        self.pretrained, self.size = pretrained, size
        self.colorizer = Colorizer(pretrained.network, pretrained.bins, size=size)

    def output(self, canvas: Canvas) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """Its output for the lightness of `canvas`."""
        if self not in canvas.outputs:
            canvas.outputs[self] = self.colorizer.network_output(canvas.lab[:, :1])
        return canvas.outputs[self]


class Network:
    """A trained network with one way of decoding its output."""

    kind: Kind = "network"

    def __init__(self, trained: TrainedNetwork, config: MethodConfig) -> None:
        self.trained = trained
        pretrained = trained.pretrained
        temperature = pretrained.temperature if config.temperature is None else config.temperature
        self._colorizer = Colorizer(
            pretrained.network,
            pretrained.bins,
            size=trained.size,
            decoding=config.decoding,
            temperature=temperature,
            top_k=config.top_k,
        )
        step = "" if pretrained.step is None else f" at step {pretrained.step}"
        self.description = (
            f"{pretrained.name} of {config.model}{step}, {self._decoding(config, temperature)}, "
            f"predicted at {trained.size} px"
        )

    def paint(self, canvas: Canvas) -> UInt8[Tensor, "batch 3 size size"]:
        return self._colorizer.paint(canvas.lab[:, :1], self.trained.output(canvas))

    def _decoding(self, config: MethodConfig, temperature: float) -> str:
        if self.trained.pretrained.bins is None:
            return "regression"
        if config.decoding == "annealed_mean":
            return f"annealed mean at temperature {temperature:g}"
        return f"mean of the top {config.top_k} bins" if config.decoding == "top_k_mean" else config.decoding


CONTROL_METHODS: dict[str, type[Grey] | type[RandomColours] | type[Truth]] = {
    "grey": Grey,
    "random": RandomColours,
    "truth": Truth,
}


def open_methods(methods: Mapping[str, MethodConfig], device: torch.device) -> dict[str, Method]:
    """Each named method, its network on `device`; a network that several decode is opened once.

    Raises:
        ValueError: a method that is neither model nor folder nor a control, or both; a decoding of a distribution
            asked of a regression network; a model that cannot be opened.
        FileNotFoundError: no such model.
    """
    opened: dict[str, Method] = {}
    trained: dict[tuple[str, int | None], TrainedNetwork] = {}
    for name, config in methods.items():
        if (config.model is None) == (config.folder is None):
            if name in CONTROLS and config.model is None:
                opened[name] = CONTROL_METHODS[name]()
                continue
            raise ValueError(f"method {name!r} needs either a model or a folder, and not both")
        if name in CONTROLS:
            raise ValueError(f"{name!r} is the name of a control; give your method another")
        if config.folder is not None:
            opened[name] = Folder(name, Path(config.folder))
            continue
        assert config.model is not None
        key = (config.model, config.size)
        if key not in trained:
            pretrained = load_pretrained(config.model)
            pretrained.network.to(device)
            trained[key] = TrainedNetwork(pretrained, config.size or pretrained.image_size)
        if trained[key].pretrained.bins is None and config.decoding != "annealed_mean":
            raise ValueError(
                f"method {name!r}: {config.model} is a regression network, which has no distribution to decode by "
                f"{config.decoding}; leave decoding out"
            )
        opened[name] = Network(trained[key], config)
    return opened


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
