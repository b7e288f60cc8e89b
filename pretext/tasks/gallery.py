"""The gallery of a run: labelled rows of pictures on a sheet."""

import textwrap
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, BAND = 192, 6, 22  # pixels: of a picture, between pictures, of a line of text
INK, FAINT = "#202020", "#707070"


def draw_gallery(
    columns: Mapping[str, Sequence[Image.Image]], names: Sequence[str], title: str
) -> Image.Image:
    """A sheet with a row for each name, two rows abreast, and `title` above.

    Args:
        columns: heading -> one picture per name, of any size.
    """
    abreast = 2 if len(names) > 3 else 1
    cell_width, cell_height = len(columns) * (SIDE + GAP), SIDE + BAND + GAP
    rows = -(-len(names) // abreast)
    sheet = Image.new(
        "RGB", (abreast * (cell_width + 3 * GAP) - 2 * GAP, 2 * BAND + GAP + rows * cell_height), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((GAP, GAP), title, fill=INK, font=ImageFont.load_default(15))
    for index, name in enumerate(names):
        left = GAP + index % abreast * (cell_width + 3 * GAP)
        top = 2 * BAND + GAP + index // abreast * cell_height
        for position, (heading, pictures) in enumerate(columns.items()):
            x = left + position * (SIDE + GAP)
            if index < abreast:
                draw.text((x, top - BAND + 4), heading, fill=FAINT, font=font)
            sheet.paste(pictures[index].resize((SIDE, SIDE), Image.Resampling.BICUBIC), (x, top))
        draw.text((left, top + SIDE + 2), textwrap.shorten(name, 80), fill=INK, font=font)
    return sheet
