"""A backbone behind RGB: named stages, which of them were asked for, and which parameters make one."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretext.networks import StageSpec
from pretext.spelling import unknown_name
from transfer.tokens import TOKENS, VectorSpec


class TransferBackbone(nn.Module, ABC):
    """A network that turns RGB into named stages, whatever it makes of the colours inside.

    Attributes:
        stages: name of a map -> channels and stride, in order of depth.
        vectors: name of a stage without positions -> how many numbers; see `transfer.tokens`.
        only_size: height and width of the images, where the network takes no others.
        probe_size: height and width of an image that the network takes.
    """

    stages: dict[str, StageSpec]
    vectors: Mapping[str, VectorSpec] = MappingProxyType({})
    only_size: tuple[int, int] | None = None
    probe_size: tuple[int, int] = (64, 64)

    @abstractmethod
    def _compute_stages(self, rgb: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """The outputs of at least these stages, all of which exist."""

    def forward_stages(
        self, rgb: Float[Tensor, "batch 3 height width"], names: Collection[str]
    ) -> dict[str, Float[Tensor, "batch _ _ _"]]:
        """The outputs of the stages asked for, in order of depth, of RGB in [0, 1]; a vector is a map of one position.

        Raises:
            ValueError: if a name is not one of `stages`, or the images do not have the size that the network takes.
        """
        self.require_stages(names)
        if self.only_size not in (None, size := tuple(rgb.shape[-2:])):
            expected, got = (f"{height} x {width} px" for height, width in (self.only_size, size))
            raise ValueError(f"the backbone takes images of {expected} only, got {got}; set data.crop_size")
        outputs = self._compute_stages(rgb, names)
        return {name: outputs[name] for name in self.specs if name in names}

    @property
    def specs(self) -> dict[str, StageSpec | VectorSpec]:
        """All stages: maps, then vectors."""
        return {**self.stages, **self.vectors}

    def require_stages(self, names: Collection[str]) -> None:
        """Raises ValueError if a name is not one of `specs`."""
        for name in names:
            if name in TOKENS and name not in self.vectors:
                raise ValueError(
                    f"stage {name} is made of the tokens of a vision transformer, and the backbone has no class token "
                    f"or too few blocks; its stages are {', '.join(self.specs)}"
                )
            if name not in self.specs:
                raise ValueError(unknown_name("stage", name, self.specs))

    def require_map(self, stage: str) -> None:
        """Raises ValueError if it is not one of `stages`."""
        self.require_stages([stage])
        if stage in self.vectors:
            raise ValueError(
                f"stage {stage} is a vector, but positions are needed here; choose one of {', '.join(self.stages)}"
            )


def choose_stages(network: TransferBackbone, asked: Sequence[str] | None) -> list[str]:
    """The stages asked for, in order of depth; None is all of them.

    Raises:
        ValueError: there is no stage of a name, or none was asked for.
    """
    if asked is None:
        return list(network.specs)
    if not asked:
        raise ValueError(f"stages is an empty list; leave it out for all of {', '.join(network.specs)}")
    network.require_stages(asked)
    return [name for name in network.specs if name in asked]


def choose_stage(network: TransferBackbone, asked: str | None, *, fully_connected: bool) -> str:
    """The stage whose map a detector or a segmentation network looks at: the deepest of stride 8 or more, or `asked`.

    Args:
        fully_connected: whether that may be fc6 or fc7 of an AlexNet; asked for, it may.

    Raises:
        ValueError: there is no such stage.
    """
    if asked is None:
        deep = [name for name, spec in network.stages.items() if spec.stride >= 8]
        return [name for name in deep if fully_connected or not name.startswith("fc")][-1]
    network.require_map(asked)
    return asked


def parameters_up_to(network: TransferBackbone, stage: str) -> set[str]:
    """Names of the trainable parameters on which the output of `stage` depends, as autograd finds them.

    The network is in evaluation mode, so that the random image leaves its BatchNorm statistics alone.
    """
    assert not network.training
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    device = next(iter(named.values())).device
    rgb = torch.full((1, 3, *(network.only_size or network.probe_size)), 0.5, device=device)
    output = network.forward_stages(rgb, [stage])[stage]
    gradients = torch.autograd.grad(output.sum(), list(named.values()), allow_unused=True)
    return {name for name, gradient in zip(named, gradients, strict=True) if gradient is not None}
