"""Colorization into U and V, with a distance that looks at them blurred too: Dahl (2016)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from pretext.networks.backbone import Backbone, Output
from pretext.tasks.colorizing import ColorizingTask
from pretext.tasks.task import Losses
from pretext.uv_colorizer import UvColorizer, rgb_to_uv, uv_to_rgb

BLURS = (
    [[1]],
    [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    [[1, 4, 7, 4, 1], [4, 16, 26, 16, 4], [7, 26, 41, 26, 7], [4, 16, 26, 16, 4], [1, 4, 7, 4, 1]],
)


class UvColorization(ColorizingTask):
    """Regress U and V from luma: the mean of three squared distances, of the colours as they are, and after Gaussian
    blurs of 3 and of 5 pixels.

    The post has Euclidean distances; their squares, as in a public re-implementation, add up over images.
    """

    output: Output = "uv"
    constant_answer_name = "the best single colour"
    loss_digits = 4

    def colorizer(self, network: Backbone, size: int | None = None) -> UvColorizer:
        return UvColorizer(network, size=224 if size is None else size)

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "batch 2 height width"]]:
        """What the network sees, and U and V in [0, 1].

        Raises:
            ValueError: the network sees colours.
        """
        if network.input not in ("luma", "lightness"):
            raise ValueError(
                f"uv_colorization gives a grey image its colours, but {type(network).__name__} sees {network.input}; "
                "train dahl"
            )
        rgb = images / 255
        return network.see(rgb), rgb_to_uv(rgb)

    def losses(
        self, output: Float[Tensor, "batch 2 height width"], targets: Float[Tensor, "batch 2 height width"]
    ) -> Losses:
        """The mean squared distance in U and V for each image."""
        difference = output.float() - targets
        distances = [of.square().sum(1).mean((1, 2)) for of in _blurred(difference)]
        loss = torch.stack(distances).mean(0)
        return Losses({"loss": loss}, torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "4"]:
        """The number of positions, the sums of U and of V, and of their squares, of all three blurs (float64)."""
        colours = torch.stack(_blurred(targets)).double()
        count = colours.new_tensor([colours.numel() / 2])
        return torch.cat([count, colours.sum(dim=(0, 1, 3, 4)), colours.square().sum()[None]])

    def constant_answer(self, learned: Float[Tensor, "4"], asked: Float[Tensor, "4"]) -> dict[str, float]:
        """The loss on `asked` of answering everywhere the mean colour of `learned`, both summed statistics."""
        answer, mean, square = learned[1:3] / learned[0], asked[1:3] / asked[0], asked[3] / asked[0]
        return {"constant_answer": (square - 2 * (answer * mean).sum() + answer.square().sum()).item()}

    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Tensor, network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return uv_to_rgb(network.see(images / 255), output.float())

    def left_grey(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return network.see(images / 255).expand(-1, 3, -1, -1)


def _blurred(maps: Float[Tensor, "batch 2 height width"]) -> list[Float[Tensor, "batch 2 height width"]]:
    """As they are, and blurred; beyond the border they are mirrored, so that one colour stays one."""
    blurred = []
    for kernel in BLURS:
        weights = maps.new_tensor(kernel)
        reach = len(kernel) // 2
        padded = F.pad(maps, [reach] * 4, mode="reflect") if reach else maps
        blurred.append(F.conv2d(padded, (weights / weights.sum()).expand(2, 1, *weights.shape), groups=2))
    return blurred
