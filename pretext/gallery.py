"""The gallery of a run: grey | colorized | truth, a labelled row an image."""

import textwrap
from collections.abc import Sequence

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.images.loader import validation_batches
from pretext.images.sources import ImageSource

COLUMNS = ("grey", "colorized", "truth")
SIDE, GAP, BAND = 192, 6, 22  # pixels: of a picture, between pictures, of a line of text
INK, FAINT = "#202020", "#707070"


class Gallery:
    """The first `num_images` images of each source, read once as central squares of `size` pixels."""

    def __init__(self, sources: Sequence[ImageSource], size: int, num_images: int) -> None:
        squares, self._labels = [], []
        for source in sources:
            batch = next(validation_batches(source, size=size, batch_size=num_images))
            squares.append(batch.rgb[~batch.broken])
            self._labels += [source.name(int(index)) for index in batch.indices[~batch.broken]]
        self._lab = rgb_to_lab(torch.cat(squares) / 255)

    @torch.inference_mode()
    def paint(self, colorizer: Colorizer, title: str) -> Image.Image:
        """The sheet: two images abreast, each in three columns, with `title` above."""
        device = next(colorizer.network.parameters()).device
        lightness = self._lab[:, :1]
        painted = torch.cat([colorizer.predict_ab(part.to(device)).cpu() for part in lightness.split(8)])
        grey = torch.zeros_like(painted)
        columns = [self._pictures(ab) for ab in (grey, painted, self._lab[:, 1:])]
        abreast = 2 if len(self._labels) > 3 else 1
        cell_width, cell_height = 3 * (SIDE + GAP), SIDE + BAND + GAP
        rows = -(-len(self._labels) // abreast)
        sheet = Image.new(
            "RGB", (abreast * (cell_width + 3 * GAP) - 2 * GAP, 2 * BAND + GAP + rows * cell_height), "white"
        )
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
        draw.text((GAP, GAP), title, fill=INK, font=ImageFont.load_default(15))
        for index, pictures in enumerate(zip(*columns, strict=True)):
            left = GAP + index % abreast * (cell_width + 3 * GAP)
            top = 2 * BAND + GAP + index // abreast * cell_height
            for position, (name, picture) in enumerate(zip(COLUMNS, pictures, strict=True)):
                x = left + position * (SIDE + GAP)
                if index < abreast:
                    draw.text((x, top - BAND + 4), name, fill=FAINT, font=font)
                sheet.paste(picture, (x, top))
            draw.text((left, top + SIDE + 2), textwrap.shorten(self._labels[index], 80), fill=INK, font=font)
        return sheet

    def _pictures(self, ab: Float[Tensor, "batch 2 height width"]) -> list[Image.Image]:
        rgb = lab_to_rgb(fit_chroma_to_gamut(torch.cat([self._lab[:, :1], ab], dim=1)))
        pixels = (rgb * 255).round().byte().permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for image in pixels]
