"""The contract of every pretext task: what is learned from images without labels."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.images.crops import central_square, random_crop_and_mirror
from pretext.images.image_source import ImageSource
from pretext.images.loader import Cut, RandomCut
from pretext.networks.backbone import Backbone, Output, StageSpec


class Losses(NamedTuple):
    """The losses of some images.

    Attributes:
        by_name: one number per image; `loss` is the one that is optimised.
        counted: whether an image counts in the means. The losses of one that does not are 0.
    """

    by_name: Mapping[str, Float[Tensor, "batch"]]
    counted: Bool[Tensor, "batch"]

    @property
    def optimised(self) -> Float[Tensor, "batch"]:
        """The loss whose sum over the images is differentiated."""
        return self.by_name["loss"]

    def without(self, images: Bool[Tensor, "batch"]) -> "Losses":
        """These losses with the given images left out."""
        kept = {name: values.where(~images, 0.0) for name, values in self.by_name.items()}
        return Losses(kept, self.counted & ~images)


class Panel(NamedTuple):
    """What stands beside the losses in the figure of a run's curves: the axis, and metric -> its label."""

    ylabel: str
    metrics: Mapping[str, str]


class Task(nn.Module, ABC):
    """What is learned from images without labels.

    A task of your own defines `split` and `losses`, and `head` unless the network's own output is what it needs. It
    keeps its constructor's arguments as attributes of their names, so that a checkpoint can say how it is constructed.
    It is an `nn.Module` so that its tensors move to the device of the training.

    Attributes:
        output: what it asks of a network: the number of ab bins to classify into, "ab", or None for the stages alone.
        loss_names: the losses that the log and validation report, first `loss`, which is optimised.
        uncounted: name of the number of images that do not count in the losses, where there can be some.
        constant_answer_name: what an answer that ignores the input is here, for the legend of the curves.
        panel: what the curves show beside the losses.
    """

    output: Output = None
    loss_names: tuple[str, ...] = ("loss",)
    uncounted: str | None = None
    constant_answer_name: str = "a constant answer"
    panel: Panel | None = None

    # ---------------------------------------------------------------------------------- before training

    def prepare(
        self, images: ImageSource, *, name: str, image_size: int, num_workers: int, visible: bool
    ) -> None:
        """Look at the training images once, before a new run trains on them; a resumed run does not.

        Args:
            name: of the images, for messages.
            image_size: length in pixels to which the short sides are resized.
            num_workers: processes that may read images.
            visible: whether progress is shown.

        Raises:
            ValueError: the task cannot be learned from these images.
        """

    def prepare_network(self, network: Backbone) -> None:
        """Store in a network what its weights carry for this task."""

    def head(self, stage: StageSpec) -> nn.Module | None:
        """What learns beside the network, for a deepest stage of this shape, and stays out of its exports.

        By default it turns the network's output into the answer; None for nothing.
        """
        return None

    def join(self, network: Backbone, head: nn.Module) -> nn.Module:
        """Network and head as one module, from what `split` shows to the answer."""
        return nn.Sequential(network, head)

    def has_output_of(self, other: "Task") -> bool:
        """Whether the output layer of a network trained for `other` means the same here, so that it is a start."""
        return type(self) is type(other)

    # ----------------------------------------------------------------------------------- images to loss

    def annotate(self, images: ImageSource) -> ImageSource:
        """The images with what the task needs beside them for its cuts, such as masks; by default as they are.

        Raises:
            ValueError: there is nothing of that kind.
        """
        return images

    def cut(self, image_size: int, crop_size: int) -> RandomCut:
        """What training cuts out of a picture: by default a random square, mirrored in half of the cases.

        Args:
            image_size: length in pixels to which the short side is resized.
            crop_size: side in pixels of the crop.

        Raises:
            ValueError: the crop is larger than the image.
        """
        if not 0 < crop_size <= image_size:
            raise ValueError(f"crop_size {crop_size} must be at least 1 and at most image_size, {image_size}")
        return partial(random_crop_and_mirror, image_size=image_size, crop_size=crop_size)

    def cut_in_order(self, image_size: int) -> Cut:
        """What validation and the gallery cut out of a picture: by default its central square, in `image_size`."""
        return partial(central_square, size=image_size)

    @abstractmethod
    def split(self, images: UInt8[Tensor, "batch *sample"], network: Backbone) -> tuple[Tensor, Any]:
        """What the network sees of a batch of samples in 0..255, and the targets that `losses` compares with.

        `network.see` gives a network of any kind what it takes. One image may become several inputs. With `compile` it
        is compiled too.
        """

    @abstractmethod
    def losses(self, output: Any, targets: Any) -> Losses:
        """The losses of each image, for the answer of the network and of the head behind it: a tensor, or those of
        several heads by name.
        """

    def statistics(self, targets: Any) -> Tensor:
        """What `constant_answer` must know of some images, on their device; it is summed over batches and processes."""
        return torch.zeros(())  # without dimensions it adds to what lies on any device

    def constant_answer(self, learned: Tensor, asked: Tensor) -> dict[str, float]:
        """The losses on the images of one sum of `statistics` of the answer that is best for those of another.

        It is what an answer that ignores its input can reach. The names are `constant_answer`, and this with what
        follows `loss` in the names of the losses.
        """
        return {}

    # ---------------------------------------------------------------------------------------- validation

    def measure(
        self, images: UInt8[Tensor, "batch *sample"], output: Any, network: Backbone
    ) -> dict[str, Float[Tensor, "batch"]]:
        """What validation measures beside the losses, one number per image by name."""
        return {}

    def describe(self, row: Mapping[str, float]) -> str:
        """The line of text about a validation, from its metrics by name (all begin with validation_)."""
        return ", ".join(
            f"{name.removeprefix('validation_').replace('_', ' ')} {value:.3f}" for name, value in row.items()
        )

    def draw(
        self,
        images: UInt8[Tensor, "batch *sample"],
        names: Sequence[str],
        title: str,
        network: Backbone,
        head: nn.Module | None,
    ) -> Image.Image | None:
        """The gallery: a picture of what the network makes of the first validation images; None for no gallery."""
        return None

    # ------------------------------------------------------------------------------------------ storage

    def state(self) -> dict[str, Any]:
        """What a checkpoint and an export must carry beside the constructor's arguments: tensors by name."""
        return self.state_dict()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it contradicts what this task has been prepared with.
        """
        self.load_state_dict(state)
