"""Tasks on patches of an image: where one lies beside another, and in which order nine of them belong.

What would give the answer away without a look at what is shown is kept from the network: patches do not touch and lie
at random within their cells, so that no line runs from one into the next; colours and contrast can be changed.
"""

import random
from functools import cache, partial
from itertools import permutations
from math import ceil

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.images.crops import central_square, own_rng
from pretext.images.loader import Cut, RandomCut
from pretext.networks.backbone import Backbone, StageSpec
from pretext.tasks.classification import ClassificationTask

SIDE = 3  # patches on a side of the grid
NUM_PATCHES = SIDE**2
CENTRE = NUM_PATCHES // 2
MULTIPLE = 8  # of which a patch's side is one: the networks here take no others
# What each kind of input is brought to where a patch's own mean and deviation are taken from it.
USUAL_LEVELS = {"lightness": (50.0, 25.0), "ab": (0.0, 15.0), "rgb": (0.45, 0.25)}


class PatchTask(ClassificationTask):
    """Questions about nine patches of an image, one from each cell of a grid.

    Args:
        gap: pixels between two patches, as a share of their side, on average.
        jitter: how far a patch may lie from the middle of its cell, as a share of its side.
        project_colours: take from each pixel what it has of green against magenta, so that chromatic aberration, which
            tells where in a photograph a patch was, is not there to see (Doersch et al. 2015, section 3.1). A network
            that sees the lightness alone has nothing of this.
        normalise: bring each patch to the same mean and deviation (Noroozi and Favaro 2016, section 3.3).
        hidden: features of each patch in the head.
    """

    def __init__(
        self, *, gap: float, jitter: float, project_colours: bool, normalise: bool, hidden: int
    ) -> None:
        super().__init__()
        if not (gap >= 0 and 0 <= jitter <= gap / 2 and hidden > 0):
            raise ValueError(
                f"gap is {gap}, jitter {jitter} and hidden {hidden}: expected a gap of at least 0, a jitter of at most "
                "half of that, and at least 1 feature"
            )
        self.gap, self.jitter = gap, jitter
        self.project_colours, self.normalise, self.hidden = project_colours, normalise, hidden

    # ----------------------------------------------------------------------------------- images to patches

    def cut(self, image_size: int, crop_size: int) -> RandomCut:
        """Nine patches of a random square of `crop_size`, mirrored in half of the cases, and what `draw_number` adds.

        Raises:
            ValueError: the crop is larger than the image, or too small for patches of 8 pixels.
        """
        square = super().cut(image_size, crop_size)
        side = self._patch_side(crop_size)
        return partial(self._cut, square, side)

    def cut_in_order(self, image_size: int) -> Cut:
        """Patches of the central square in `image_size`, drawn from the image itself instead of by chance."""
        return partial(
            self._cut_in_order, partial(central_square, size=image_size), self._patch_side(image_size)
        )

    def _patch_side(self, crop_size: int) -> int:
        side = int(crop_size / (SIDE * (1 + self.gap))) // MULTIPLE * MULTIPLE
        if side < MULTIPLE:
            raise ValueError(
                f"crop_size {crop_size} has no room for {SIDE} x {SIDE} patches of {MULTIPLE} px with gaps of "
                f"{self.gap:g} of that; give at least {ceil(SIDE * (1 + self.gap) * MULTIPLE)}"
            )
        return side

    def _cut(
        self, square: RandomCut, side: int, image: Image.Image, rng: random.Random
    ) -> UInt8[Tensor, " sample"]:
        return self._sample(square(image, rng), side, rng)

    def _cut_in_order(self, square: Cut, side: int, image: Image.Image) -> UInt8[Tensor, " sample"]:
        crop = square(image)
        return self._sample(crop, side, own_rng(crop))

    def _sample(self, crop: Tensor, side: int, rng: random.Random) -> UInt8[Tensor, " sample"]:
        """The pixels of the patches, row by row of the grid, and two bytes of the number that `draw_number` gives."""
        cell, reach = crop.shape[-1] / SIDE, self.jitter * side
        patches = []
        for row in range(SIDE):
            for column in range(SIDE):
                top, left = (
                    round((place + 0.5) * cell - side / 2 + rng.uniform(-reach, reach))
                    for place in (row, column)
                )
                patches.append(crop[:, top : top + side, left : left + side])
        number = self.draw_number(rng)
        pixels = torch.stack(patches).flatten()
        return torch.cat([pixels, torch.tensor([number // 256, number % 256], dtype=torch.uint8)])

    def draw_number(self, rng: random.Random) -> int:
        """A number below 65,536 that a sample carries beside its patches; by default 0."""
        return 0

    def see_patches(
        self, images: UInt8[Tensor, "batch sample"], network: Backbone
    ) -> Float[Tensor, "batch 9 channels side side"]:
        """What the network sees of the patches, in the order of the grid."""
        side = round(((images.shape[1] - 2) / (3 * NUM_PATCHES)) ** 0.5)
        rgb = images[:, :-2].unflatten(1, (NUM_PATCHES, 3, side, side)).flatten(0, 1) / 255
        if self.project_colours and network.input != "lightness":
            green = torch.tensor([-1.0, 2.0, -1.0], device=rgb.device)
            share = torch.einsum("bchw,c->bhw", rgb, green) / green.square().sum()
            rgb = (rgb - share[:, None] * green[:, None, None]).clamp(0, 1)
        seen = network.see(rgb)
        if self.normalise:
            mean, std = USUAL_LEVELS[network.input]
            deviation, own = torch.std_mean(seen, dim=(2, 3), keepdim=True)
            seen = (seen - own) / deviation.clamp_min(std / 100) * std + mean
        return seen.unflatten(0, (-1, NUM_PATCHES))

    def drawn(self, images: UInt8[Tensor, "batch sample"]) -> Int64[Tensor, " batch"]:
        """The numbers that `draw_number` gave."""
        return images[:, -2].long() * 256 + images[:, -1].long()


class RelativePosition(PatchTask):
    """Tell where a patch lies around the central one: Doersch, Gupta and Efros (2015).

    Of each grid of nine the eight pairs are asked about together. The paper's patches have 96 px, gaps of 48 and a
    jitter of 7 (section 4.1).

    Args:
        gap, jitter, project_colours, hidden: see `PatchTask`.
    """

    num_answers = NUM_PATCHES - 1

    def __init__(
        self, gap: float = 0.5, jitter: float = 7 / 96, project_colours: bool = True, hidden: int = 512
    ) -> None:
        super().__init__(
            gap=gap, jitter=jitter, project_colours=project_colours, normalise=False, hidden=hidden
        )

    def head(self, stage: StageSpec) -> nn.Module:
        """Features of each patch, those of the central one beside each other one's, and two layers on both."""
        return nn.Sequential(
            _PatchFeatures(stage.channels, self.hidden),
            _CentreAndOthers(),
            nn.Linear(2 * self.hidden, self.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(self.hidden, self.num_answers),
        )

    def split(
        self, images: UInt8[Tensor, "batch sample"], network: Backbone
    ) -> tuple[Float[Tensor, "patches channels side side"], Int64[Tensor, "batch 8"]]:
        """All patches, and the number of each pair's place."""
        return self.see_patches(images, network).flatten(0, 1), self.answers(images)

    def answers(self, images: UInt8[Tensor, "batch *sample"]) -> Int64[Tensor, "batch 8"]:
        return torch.arange(self.num_answers, device=images.device).expand(len(images), -1)


class Jigsaw(PatchTask):
    """Tell in which of some orders nine patches are shown: Noroozi and Favaro (2016).

    The paper's cells have 75 px and patches of 64 at random places in them (section 3.3); the head is that of its
    figure 3, on averaged features: a layer for each patch, then two on all nine.

    Args:
        num_permutations: how many orders there are, far apart from each other; see `permutation_set`.
        gap, jitter, normalise, project_colours, hidden: see `PatchTask`.
    """

    permutations: Int64[Tensor, "orders 9"]

    def __init__(
        self,
        num_permutations: int = 1000,
        gap: float = 11 / 64,
        jitter: float = 5.5 / 64,
        normalise: bool = True,
        project_colours: bool = False,
        hidden: int = 512,
    ) -> None:
        super().__init__(
            gap=gap, jitter=jitter, project_colours=project_colours, normalise=normalise, hidden=hidden
        )
        self.num_permutations = self.num_answers = num_permutations
        self.register_buffer("permutations", torch.from_numpy(permutation_set(num_permutations)))

    def head(self, stage: StageSpec) -> nn.Module:
        return nn.Sequential(
            _PatchFeatures(stage.channels, self.hidden),
            nn.Flatten(),
            nn.Linear(NUM_PATCHES * self.hidden, self.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(self.hidden, self.num_answers),
        )

    def draw_number(self, rng: random.Random) -> int:
        """The number of a permutation."""
        return rng.randrange(self.num_permutations)

    def split(
        self, images: UInt8[Tensor, "batch sample"], network: Backbone
    ) -> tuple[Float[Tensor, "patches channels side side"], Int64[Tensor, "batch 1"]]:
        """The patches in the order of each image's permutation, and its number."""
        answers = self.answers(images)
        order = self.permutations[answers[:, 0]]
        seen = self.see_patches(images, network)
        return seen.take_along_dim(order[:, :, None, None, None], dim=1).flatten(0, 1), answers

    def answers(self, images: UInt8[Tensor, "batch *sample"]) -> Int64[Tensor, "batch 1"]:
        return self.drawn(images)[:, None]


@cache
def permutation_set(count: int, seed: int = 0) -> Int64[np.ndarray, "count 9"]:
    """Permutations of nine things that differ from each other in many places: algorithm 1 of Noroozi and Favaro (2016).

    The first is drawn; each next one is that with the largest sum of Hamming distances to those before.

    Raises:
        ValueError: there are no so many, or fewer than two.
    """
    every = np.array(list(permutations(range(NUM_PATCHES))), np.uint8)
    if not 2 <= count <= min(len(every), 2**16):
        raise ValueError(f"num_permutations is {count}, expected 2 to {2**16}")
    places = np.ascontiguousarray(every.T)
    chosen = [random.Random(seed).randrange(len(every))]
    agreements = np.zeros(len(every), np.int32)  # with all chosen ones: nine less the distance for each
    for _ in range(count - 1):
        for things, thing in zip(places, every[chosen[-1]], strict=True):
            agreements += things == thing
        agreements[chosen[-1]] = np.iinfo(np.int32).max // 2
        chosen.append(int(agreements.argmin()))
    return every[chosen].astype(np.int64)


class _PatchFeatures(nn.Module):
    """Averaged features of each patch, and a layer on them: (images x 9, ...) -> (images, 9, features)."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, features)

    def forward(self, maps: Float[Tensor, "patches _ _ _"]) -> Float[Tensor, "images 9 _"]:
        return self.layer(maps.mean((2, 3))).relu().unflatten(0, (-1, NUM_PATCHES))


class _CentreAndOthers(nn.Module):
    """The central patch's features beside those of each other patch: (images x 8, 2 x features)."""

    def forward(self, features: Float[Tensor, "images 9 features"]) -> Float[Tensor, "pairs _"]:
        others = torch.cat([features[:, :CENTRE], features[:, CENTRE + 1 :]], dim=1)
        centre = features[:, CENTRE : CENTRE + 1].expand_as(others)
        return torch.cat([centre, others], dim=2).flatten(0, 1)
