"""Colorization that learns objects and scenes beside the colours: Nguyen-Quynh, Kim and Do (2020)."""

import copy
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.color.bins import AbBins
from pretext.images.crops import central_square, random_crop_and_mirror
from pretext.images.image_file import BrokenImageError
from pretext.images.image_source import ImageSource
from pretext.images.loader import Cut, RandomCut
from pretext.images.masks import VOID, MaskedImages
from pretext.networks.backbone import Backbone, Output, imagenet_normalised
from pretext.runtime.checkpoint import load_checkpoint
from pretext.tasks.colorization import Colorization, ColorizationRegression, ColorizationTask, is_coloured
from pretext.tasks.task import Losses
from pretext.weights_file import find_weights, flatten_tensors

LIKELIEST_SCENES = 5
MASKS_LOOKED_AT = 100  # before training


class SceneContextTargets(NamedTuple):
    """What the four heads shall answer.

    Attributes:
        ab: in ab units.
        segments: the class of each pixel, VOID where it has none.
        scenes: the probabilities of the classes of the image; None without a teacher.
    """

    ab: Float[Tensor, "batch 2 height width"]
    segments: Int[Tensor, "batch height width"]
    scenes: Float[Tensor, "batch scenes"] | None


class SceneContextColorization(ColorizationTask):
    """Classify the ab of each pixel into bins and regress it too; where there are masks and a teacher, name the objects
    and the scene.

    After the code of the first author, not the paper, whose text was not at hand: the loss is a weighted sum of the
    rebalanced cross-entropy of `colorization`, the squared distance of `colorization_regression`, the cross-entropy of
    the pixels that a mask labels, and that of the teacher's five likeliest classes, renormalised. The weights of the
    authors are unknown; so is whether they have cross-entropy or Dice for the masks. Bins give the colours.

    Args:
        masks: folders of masks as in PASCAL VOC's layout, see `MaskedImages`; without any there is no such head.
        segments: classes in the masks: 0 to one less, beside 255, which is void.
        teacher: checkpoint of a classifier on RGB that says what is in an image, with `arch`, a network of torchvision,
            and `state_dict`, such as `resnet18_places365.pth.tar`; without one there is no such head.
        scenes: classes of the teacher.
        bins_weight, ab_weight, segments_weight, scenes_weight: of the losses in their sum.
        bins, neighbours, sigma, uniform_share, temperature: as of `colorization`.
    """

    def __init__(
        self,
        masks: Sequence[str] = (),
        segments: int = 183,
        teacher: str | None = None,
        scenes: int = 365,
        bins_weight: float = 1.0,
        ab_weight: float = 1.0,
        segments_weight: float = 1.0,
        scenes_weight: float = 1.0,
        bins: str = "imagenet",
        neighbours: int = 5,
        sigma: float = 5.0,
        uniform_share: float | None = 0.5,
        temperature: float = 0.38,
    ) -> None:
        super().__init__()
        self.bins, self.neighbours, self.sigma = bins, neighbours, sigma
        self.uniform_share, self.temperature = uniform_share, temperature
        self.masks, self.segments, self.teacher, self.scenes = list(masks), segments, teacher, scenes
        self.bins_weight, self.ab_weight = bins_weight, ab_weight
        self.segments_weight, self.scenes_weight = segments_weight, scenes_weight
        self._classification = Colorization(bins, neighbours, sigma, uniform_share, temperature)
        self._regression = ColorizationRegression()
        self._classifier: nn.Module | None = None

    @property
    def output(self) -> Output:  # type: ignore[override]
        """The heads, with their channels."""
        num_bins = self._classification.output
        assert isinstance(num_bins, int)
        heads = {"bins": num_bins, "ab": 2}
        heads |= {"segments": self.segments} if self.masks else {}
        return heads | ({"scenes": self.scenes} if self.teacher else {})

    @property
    def ab_bins(self) -> AbBins:
        """The bins and their prior, as of `colorization`."""
        return self._classification.ab_bins

    @property
    def loss_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The sum, and the loss of each head."""
        assert isinstance(self.output, dict)
        return ("loss", *(f"loss_{head}" for head in self.output))

    def prepare(
        self, images: ImageSource, *, name: str, image_size: int, num_workers: int, visible: bool
    ) -> None:
        """Fit the bins, as `Colorization.prepare` does.

        Raises:
            ValueError: also if the teacher is unusable, no image has a mask, or one of a hundred masks is.
        """
        self._classification.prepare(
            images, name=name, image_size=image_size, num_workers=num_workers, visible=visible
        )
        if self.teacher:
            self._classifier = _open_teacher(Path(self.teacher).expanduser(), self.scenes)
        if not self.masks:
            return
        masked = self._masked(images)
        if not any(map(masked.has_mask, range(len(masked)))):
            raise ValueError(
                f"none of {len(images)} images of {name} has a mask in {', '.join(self.masks)}: that of "
                f"{images.name(0)} must have its name, with .png in place of its extension"
            )
        for place in np.linspace(0, len(images) - 1, min(len(images), MASKS_LOOKED_AT)).round().astype(int):
            try:
                masked.labels(int(place))
            except BrokenImageError as error:
                raise ValueError(
                    f"{images.name(int(place))} of {name}: {error}; correct it, or set task_args.segments"
                ) from error

    # ----------------------------------------------------------------------------------- images to loss

    def annotate(self, images: ImageSource) -> ImageSource:
        """The images with their masks, where there are any."""
        return self._masked(images) if self.masks else images

    def _masked(self, images: ImageSource) -> MaskedImages:
        return MaskedImages(images, [Path(folder).expanduser() for folder in self.masks], self.segments)

    def cut(self, image_size: int, crop_size: int) -> RandomCut:
        """A random square of picture and mask; raises ValueError as of any task."""
        super().cut(image_size, crop_size)
        return partial(_cut, image_size=image_size, crop_size=crop_size)

    def cut_in_order(self, image_size: int) -> Cut:
        """The central square of both."""
        return partial(_cut_in_order, image_size=image_size)

    def split(  # type: ignore[override]  # further targets
        self, images: UInt8[Tensor, "batch 4 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch 1 height width"], SceneContextTargets]:
        """The lightness, and what is to be said of the images; raises ValueError as of `colorization`."""
        pictures = images[:, :3]
        lightness, ab = super().split(pictures, network)
        scenes = None if self.teacher is None else self._say_scenes(pictures / 255)
        return lightness, SceneContextTargets(ab, images[:, 3].long(), scenes)

    @torch.no_grad()
    def _say_scenes(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch scenes"]:
        """The teacher's five likeliest classes, renormalised."""
        if self._classifier is None:
            assert self.teacher is not None
            self._classifier = _open_teacher(Path(self.teacher).expanduser(), self.scenes).to(rgb.device)
        probability = self._classifier(imagenet_normalised(rgb)).softmax(dim=1)
        likeliest, index = probability.topk(min(LIKELIEST_SCENES, self.scenes), dim=1)
        return torch.zeros_like(probability).scatter(1, index, likeliest / likeliest.sum(dim=1, keepdim=True))

    def losses(self, output: dict[str, Tensor], targets: SceneContextTargets) -> Losses:
        """The losses of the answers of all heads; see the class."""
        rebalanced, counted = self._classification.losses(output["bins"], targets.ab)
        by_head = {
            "bins": rebalanced["loss"],
            "ab": self._regression.losses(output["ab"], targets.ab).optimised,
        }
        if "segments" in output:
            logits, classes = output["segments"].float(), targets.segments
            per_pixel = F.cross_entropy(logits, classes, ignore_index=VOID, reduction="none")
            labelled = (classes != VOID).sum(dim=(1, 2))
            by_head["segments"] = per_pixel.sum(dim=(1, 2)) / labelled.clamp_min(1) * counted
        if targets.scenes is not None:
            logits = output["scenes"].float()
            by_head["scenes"] = F.cross_entropy(logits, targets.scenes, reduction="none") * counted
        return Losses(
            {"loss": self._sum(by_head), **{f"loss_{head}": of for head, of in by_head.items()}}, counted
        )

    def _sum(self, by_head: dict[str, Tensor]) -> Tensor:
        weighted = [getattr(self, f"{head}_weight") * loss for head, loss in by_head.items()]
        return torch.stack(weighted).sum(dim=0)

    def statistics(self, targets: SceneContextTargets) -> Float[Tensor, " sums"]:
        """Over the coloured images: their number, both rows of `colorization`, those of `colorization_regression`, the
        share of each class in the labelled pixels, and the probabilities of scenes.
        """
        coloured = is_coloured(targets.ab).double()
        classes = targets.segments.flatten(1)
        pixels = coloured.new_zeros(len(classes), VOID + 1).scatter_add_(
            1, classes, torch.ones_like(classes).double()
        )
        pixels[:, VOID] = 0
        shares = pixels / pixels.sum(dim=1, keepdim=True).clamp_min(1)
        scenes = coloured.new_zeros(len(coloured), 0) if targets.scenes is None else targets.scenes.double()
        of_context = torch.cat([shares, scenes], dim=1)
        return torch.cat(
            [
                coloured.sum()[None],
                self._classification.statistics(targets.ab).flatten(),
                self._regression.statistics(targets.ab),
                (of_context * coloured[:, None]).sum(dim=0),
            ]
        )

    def constant_answer(
        self, learned: Float[Tensor, " sums"], asked: Float[Tensor, " sums"]
    ) -> dict[str, float]:
        """The losses on `asked` of answering always what is best for `learned`, of each head and in their sum."""
        num_bins, num_scenes = len(self.ab_bins.centres), self.scenes if self.teacher else 0
        sizes = [1, 2 * num_bins, 4, VOID + 1, num_scenes]
        (_, *known), (num_images, *wanted) = (sums.split(sizes) for sums in (learned, asked))
        of_bins = self._classification.constant_answer(known[0].view(2, -1), wanted[0].view(2, -1))
        of_ab = self._regression.constant_answer(known[1], wanted[1])
        losses = {"bins": of_bins["constant_answer"], "ab": of_ab["constant_answer"]}
        for head, before, now in zip(("segments", "scenes"), known[2:], wanted[2:], strict=True):
            if f"loss_{head}" in self.loss_names:
                answer = (before / before.sum().clamp_min(1e-6)).clamp_min(1e-6).log()
                losses[head] = (-(now * answer).sum() / num_images).item()
        total = self._sum({head: torch.tensor([loss]) for head, loss in losses.items()}).item()
        return {
            "constant_answer": total,
            **{f"constant_answer_{head}": loss for head, loss in losses.items()},
        }

    def state(self) -> dict[str, Any]:
        """The bins' centres and their prior."""
        return self._classification.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._classification.load_state(state)

    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: dict[str, Tensor], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return super().as_rgb(images, output["bins"], network)


def _cut(
    image: Image.Image, rng: random.Random, image_size: int, crop_size: int
) -> UInt8[Tensor, "4 {crop_size} {crop_size}"]:
    """A random square of an RGB picture, or of an RGBA one, of which the fourth channel is a mask."""
    same_chance = copy.copy(rng)
    picture = random_crop_and_mirror(image.convert("RGB"), rng, image_size, crop_size)
    mask = random_crop_and_mirror(
        _mask_of(image), same_chance, image_size, crop_size, resample=Image.Resampling.NEAREST
    )
    return torch.cat([picture, mask[:1]])


def _cut_in_order(image: Image.Image, image_size: int) -> UInt8[Tensor, "4 {image_size} {image_size}"]:
    picture = central_square(image.convert("RGB"), image_size)
    mask = central_square(_mask_of(image), image_size, resample=Image.Resampling.NEAREST)
    return torch.cat([picture, mask[:1]])


def _mask_of(image: Image.Image) -> Image.Image:
    mask = image.getchannel("A") if image.mode == "RGBA" else Image.new("L", image.size, VOID)
    return Image.merge("RGB", [mask] * 3)


def _open_teacher(path: Path, num_classes: int) -> nn.Module:
    """The classifier in a checkpoint with `arch` and `state_dict`, as PyTorch's ImageNet example and Places365 have it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, of another kind, or has another number of classes.
    """
    from torchvision import models  # for which other tasks need not wait

    contents = load_checkpoint(path)
    arch, state = contents.get("arch"), contents.get("state_dict")
    if not isinstance(arch, str) or not isinstance(state, dict) or arch not in models.list_models():
        raise ValueError(
            f"the teacher {path} is no checkpoint with `arch`, a network of torchvision, and `state_dict`: save "
            "{'arch': 'resnet18', 'state_dict': network.state_dict()} by torch.save, or take Places365's "
            "resnet18_places365.pth.tar"
        )
    # Of AlexNet and VGG only the features are wrapped for several GPUs.
    weights = {name.replace("module.", ""): tensor for name, tensor in flatten_tensors(state)}
    found = len(list(weights.values())[-1])
    if found != num_classes:
        raise ValueError(f"the teacher {path} has {found} classes; set task_args.scenes to {found}")
    network = models.get_model(arch, num_classes=num_classes)
    network.load_state_dict(find_weights(path, weights, network.state_dict(), arch), strict=False)
    return network.eval().requires_grad_(False)
