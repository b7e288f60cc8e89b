"""The networks as timm models, so that what takes a backbone of timm takes these: import this module first.

    import pretext.timm_models
    import timm

    backbone = timm.create_model("local-dir:hub", pretrained=True, features_only=True)

where `hub` was made by `pretext export RUN --format hub`; from the Hugging Face Hub it is `hf-hub:USER/NAME`. They take
RGB in [0, 1], that is a mean of 0 and a deviation of 1, and turn it into lightness inside. Of a network that has an
encoder and a decoder timm sees the encoder: it wants stages whose strides never fall.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

from pretext.networks import Backbone, Output, StageSpec, build_network

Indices = int | list[int] | tuple[int, ...] | None


class ColorizationBackbone(nn.Module):
    """A network behind RGB, with timm's methods.

    Args:
        network, width, network_args: see `pretext.build_network`.
        network_output: what its output layer answers, which is not used here, so that the names of its weights and its
            stages are those of its training.
        num_classes: of a linear classifier on the encoder's last stage, pooled; 0 gives the pooled features.
        global_pool: how it pools, a name of timm.
        drop_rate: of the dropout before the classifier.
        in_chans: 3.

    Raises:
        ValueError: another number of channels.
    """

    def __init__(
        self,
        network: str = "eccv16",
        width: float = 1.0,
        network_args: Mapping[str, Any] | None = None,
        network_output: Output = None,
        num_classes: int = 0,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        if in_chans != 3:
            raise ValueError(f"the networks of pretext.timm_models take RGB, not {in_chans} channels")
        self.network = build_network(network, output=network_output, width=width, args=network_args)
        self.feature_info = [
            {"num_chs": spec.channels, "reduction": spec.stride, "module": name}
            for name, spec in encoder_stages(self.network).items()
        ]
        self._stages = [str(info["module"]) for info in self.feature_info]
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = self.network.stages[self._stages[-1]].channels
        self.head = ClassifierHead(self.num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate)

    def forward_features(self, x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch _ _ _"]:
        """The encoder's last stage of RGB in [0, 1]."""
        deepest = self._stages[-1]
        return self.network.forward_stages(self.network.see(x), [deepest])[deepest]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooling and classifier, or with `pre_logits` the pooling alone."""
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Logits of the classes, or the pooled features of RGB in [0, 1]."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Float[Tensor, "batch 3 height width"],
        indices: Indices = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Stages of RGB in [0, 1], and before them the encoder's last one unless `intermediates_only`.

        Args:
            x: the images.
            indices: which, in order of depth; a number takes that many of the deepest, None all.
            norm, stop_early: have no effect: no layer follows the stages, and none beyond the deepest asked for is run.
            output_fmt: NCHW.
            intermediates_only: leave the last stage out.

        Raises:
            ValueError: another format.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"the networks of pretext.timm_models give maps in NCHW, not {output_fmt}")
        chosen = [self._stages[index] for index in self.prune_intermediate_layers(indices)]
        wanted = chosen if intermediates_only else [*chosen, self._stages[-1]]
        maps = self.network.forward_stages(self.network.see(x), wanted)
        intermediates = [maps[name] for name in chosen]
        return intermediates if intermediates_only else (maps[self._stages[-1]], intermediates)

    def prune_intermediate_layers(
        self, indices: Indices = None, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Which stages `indices` means, counted from 0. No weights are removed: those of a file keep their places."""
        places = range(len(self._stages))
        if indices is None:
            return list(places)
        return list(places[-indices:] if isinstance(indices, int) else [places[index] for index in indices])

    def get_classifier(self) -> nn.Module:
        """The linear classifier, or an identity."""
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier of so many classes; 0 takes it away."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)


def encoder_stages(network: Backbone) -> dict[str, StageSpec]:
    """The first stages, up to where their strides fall."""
    pairs = pairwise([*network.stages.values(), StageSpec(0, 0)])
    rises = [after.stride >= before.stride for before, after in pairs]
    return dict(list(network.stages.items())[: rises.index(False) + 1])


def with_our_names(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A file's weights, which have the network's own names, under those of a `ColorizationBackbone`."""
    return {f"network.{name}": tensor for name, tensor in weights.items()}


@register_model
def colorization_backbone(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Any network of pretext; see `ColorizationBackbone` for the arguments."""
    return build_model_with_cfg(
        ColorizationBackbone,
        "colorization_backbone",
        pretrained,
        pretrained_filter_fn=with_our_names,
        feature_cfg={"feature_cls": "getter", "out_indices": None},
        **kwargs,
    )
