"""Any module as a backbone: hooks on its submodules, and the maps and tokens that they give."""

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pretext.networks import StageSpec
from transfer.stages import TransferBackbone
from transfer.tokens import VectorSpec, token_specs, token_vectors

USUAL_SIDE = 224  # of the image on which stages are measured


class NormalisingBackbone(TransferBackbone):
    """A network on RGB that is normalised by the mean and deviation of each channel."""

    mean: Tensor
    std: Tensor

    def _set_normalisation(self, mean: Sequence[float], std: Sequence[float]) -> None:
        # Not persistent: a file of weights has none.
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def _compute_stages(self, rgb: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        outputs = {}
        for name, output in self._run_stages((rgb - self.mean) / self.std):
            if name in names:
                outputs[name] = output
            if len(outputs) == len(set(names)):
                break
        return outputs

    @abstractmethod
    def _run_stages(self, normalised: Tensor) -> Iterator[tuple[str, Tensor]]: ...


class LiveBackbone(NormalisingBackbone):
    """A module as it is in memory, such as a network in the middle of its training, as a backbone.

    The tests of `transfer` copy it first: they see its weights of that moment, and leave it as it is.

    Args:
        module: takes a batch of RGB, normalised by `mean` and `std`.
        stages: name -> submodule of `module`, or its dotted name. Its output is a map, channels first or last, or
            tokens (batch, tokens, channels), which are laid out as a map without the class and register tokens. Of the
            last of these the class token and the mean are stages too, after `module.norm` where there is one; see
            `transfer.tokens`.
        mean: of each channel of RGB in [0, 1]; left out with `std`, the module takes RGB in [0, 1].
        std: the deviation of each channel.
        image_size: side of the images, where the module takes no others.

    Raises:
        ValueError: a stage is not in `module`, or its output is neither a map nor tokens.
    """

    def __init__(
        self,
        module: nn.Module,
        stages: Mapping[str, nn.Module | str],
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        self.network = module
        self._paths = {name: _path(module, name, stage) for name, stage in stages.items()}
        self._set_normalisation(mean, std)
        side = image_size or USUAL_SIDE
        self.probe_size = (side, side)
        self.only_size = None if image_size is None else self.probe_size
        probed = copy.deepcopy(module).eval()
        with torch.no_grad():
            image = torch.full((1, 3, side, side), 0.5, device=next(probed.parameters()).device)
            outputs = self._hooked(probed, (image - self.mean.to(image)) / self.std.to(image))
        self._layouts = {
            name: find_layout(output.shape, side, getattr(module, "num_prefix_tokens", None))
            for name, output in outputs.items()
        }
        self.stages = {name: layout.spec for name, layout in self._layouts.items()}
        self.vectors = vectors_of(self._layouts)

    def _run_stages(self, normalised: Tensor) -> Iterator[tuple[str, Tensor]]:
        outputs = self._hooked(self.network, normalised)
        for name, output in outputs.items():
            yield name, self._layouts[name].as_map(output, normalised)
        yield from run_vectors(outputs, self._layouts, self._last_normalisation())

    def _last_normalisation(self) -> Callable[[Tensor], Tensor]:
        """By its name in timm, DINO, DINOv2, MAE and their heirs; an identity where a stage is that already."""
        is_stage = "norm" in self._paths.values()
        return nn.Identity() if is_stage else getattr(self.network, "norm", nn.Identity())

    def _hooked(self, module: nn.Module, normalised: Tensor) -> dict[str, Tensor]:
        """The outputs of the stages, in the order in which they are computed."""
        outputs: dict[str, Tensor] = {}
        hooks = [
            module.get_submodule(path).register_forward_hook(partial(_keep, outputs, name))
            for name, path in self._paths.items()
        ]
        try:
            module(normalised)
        finally:
            for hook in hooks:
                hook.remove()
        if unused := self._paths.keys() - outputs.keys():
            raise ValueError(f"{type(module).__name__} did not run its stage {', '.join(sorted(unused))}")
        return outputs


def _path(module: nn.Module, name: str, stage: nn.Module | str) -> str:
    for path, submodule in module.named_modules():
        if stage in (path, submodule):
            return path
    shown = repr(stage) if isinstance(stage, str) else f"this {type(stage).__name__}"
    raise ValueError(
        f"stage {name}: {shown} is not a submodule of {type(module).__name__}; its named_modules() lists them"
    )


def _keep(outputs: dict[str, Tensor], name: str, module: nn.Module, args: Any, output: Any) -> None:
    outputs[name] = output[0] if isinstance(output, tuple) else output


def vectors_of(layouts: Mapping[str, "Layout"]) -> Mapping[str, VectorSpec]:
    """What the tokens among the stages, in order of depth, say of a whole image; nothing without tokens."""
    tokens = [layout for layout in layouts.values() if layout.kind == "tokens"]
    if not tokens:
        return {}
    last = tokens[-1]
    return token_specs(last.channels, len(tokens), has_class_token=last.num_prefix_tokens > 0)


def run_vectors(
    outputs: Mapping[str, Tensor], layouts: Mapping[str, "Layout"], normalise: Callable[[Tensor], Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """The vectors of `vectors_of`; see `token_vectors`."""
    tokens = [name for name, layout in layouts.items() if layout.kind == "tokens"]
    if tokens:
        prefix = layouts[tokens[-1]].num_prefix_tokens
        yield from token_vectors([outputs[name] for name in tokens], prefix, normalise)


@dataclass(frozen=True)
class Layout:
    """How a stage lays out its features of an image of `image_side` x `image_side` pixels.

    Attributes:
        side: of the map.
        num_prefix_tokens: class and register tokens, which come first.
    """

    kind: Literal["channels_first", "channels_last", "tokens"]
    channels: int
    side: int
    image_side: int
    num_prefix_tokens: int = 0

    @property
    def spec(self) -> StageSpec:
        """Channels, and the stride; of a map the nearest power of two."""
        share = self.image_side / self.side
        return StageSpec(
            self.channels, round(share) if self.kind == "tokens" else 2 ** round(math.log2(share))
        )

    def as_map(self, output: Tensor, images: Tensor) -> Tensor:
        """The output for these images as (batch, channels, height, width)."""
        if self.kind == "tokens":
            rows, columns = (length * self.side // self.image_side for length in images.shape[-2:])
            return output[:, self.num_prefix_tokens :].transpose(1, 2).unflatten(2, (rows, columns))
        return output.movedim(-1, 1) if self.kind == "channels_last" else output


def find_layout(shape: Sequence[int], image_side: int, num_prefix_tokens: int | None = None) -> Layout:
    """The layout of an output of this shape for a square image.

    Args:
        num_prefix_tokens: class and register tokens; None takes those beyond the largest square number.

    Raises:
        ValueError: the shape is neither that of a square map nor of tokens.
    """
    if len(shape) == 3:
        side = math.isqrt(shape[1] - (num_prefix_tokens or 0))
        return Layout("tokens", shape[2], side, image_side, shape[1] - side**2)
    if len(shape) == 4 and shape[2] == shape[3]:
        return Layout("channels_first", shape[1], shape[2], image_side)
    if len(shape) == 4 and shape[1] == shape[2]:
        return Layout("channels_last", shape[3], shape[1], image_side)
    raise ValueError(
        f"a stage gives {tuple(shape)} for a square image, expected a square map (batch, channels, height, width) or "
        "tokens (batch, tokens, channels); choose a submodule before pooling"
    )
