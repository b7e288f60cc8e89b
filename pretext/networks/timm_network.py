"""Networks of timm: any that it gives features of. timm is optional, and imported only when one is asked for."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from pretext.networks.backbone import Backbone, Input, Output, StageSpec, output_layer
from pretext.networks.initialisation import initialise
from pretext.optional import NotAvailableError, missing_package
from pretext.spelling import did_you_mean


class TimmNetwork(Backbone):
    """A network of timm in its `features_only` form, with the weights that timm draws.

    Stages have the names of timm's modules; all are computed. The output layer is a convolution on the deepest stage,
    whose answer is interpolated to stride 8.

    Args:
        architecture: as `timm.list_models()` lists them.
        output, input: see `build_network`.

    Raises:
        ValueError: timm is not installed, or gives no features of such a network.
    """

    lightness_scale = 50.0
    output_stride = 8

    def __init__(self, architecture: str, output: Output = 313, input: Input = "lightness") -> None:
        super().__init__()
        self.architecture, self.output = architecture, output
        channels = self.set_input(input)
        try:
            timm, _ = timm_and_config(architecture, "network")
        except NotAvailableError as error:
            raise ValueError(str(error)) from error
        options = {"features_only": True, "in_chans": channels}
        try:
            try:  # a transformer that takes images of any size
                self.network = timm.create_model(architecture, **options, dynamic_img_size=True)
            except TypeError:
                self.network = timm.create_model(architecture, **options)
        except RuntimeError as error:
            raise ValueError(f"timm gives no features of {architecture} ({error}); choose another") from error
        self.stages = timm_stages(self.network)
        strides = {spec.stride for spec in self.stages.values()}
        if len(strides) == 1:  # a transformer, which cuts its input into patches
            (self.input_multiple,) = strides
        self.output_layer = output_layer(self.deepest.channels, output)
        initialise(self.output_layer, self.output_layer)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        try:
            outputs = timm_maps(self.network, self.normalise(x))
        except AssertionError as error:
            raise ValueError(
                f"timm:{self.architecture} takes no images of {' x '.join(map(str, x.shape[-2:]))} px: {error}"
            ) from error
        yield from zip(self.stages, outputs, strict=True)


def timm_and_config(architecture: str, kind: str) -> tuple[Any, Any]:
    """The library, and what it knows of the pretrained network.

    Args:
        kind: what the network is used as, for messages.

    Raises:
        NotAvailableError: it is not installed.
        ValueError: it has no such network.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise missing_package(f"the {kind} timm:{architecture}", error, "timm") from error

    config = timm.models.get_pretrained_cfg(architecture)
    if config is None:
        raise ValueError(
            f"timm has no network {architecture!r}{did_you_mean(architecture, timm.list_models())}; "
            "timm.list_models() lists them"
        )
    return timm, config


def timm_stages(network: Any) -> dict[str, StageSpec]:
    """The stages of a network that timm made with `features_only`.

    A repeated name (coat's scales, crossvit's branches) has its number.
    """
    info = network.feature_info
    names = info.module_name()
    unique = [
        f"{name}#{names[: i + 1].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
    return dict(zip(unique, map(StageSpec, info.channels(), info.reduction()), strict=True))


def timm_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """The maps of these stages, channels first."""
    channels_last = getattr(network, "output_fmt", None) == "NHWC"
    return [output.movedim(-1, 1) if channels_last else output for output in network(images)]
