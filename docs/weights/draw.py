"""Draw photographs grey, colorized and true side by side, two abreast: the picture of README.md and docs/weights.md.

pretext colorize originals/ --out colorized/
python docs/weights/draw.py originals/ colorized/ docs/weights/photographs.jpg
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

WIDTH, HEIGHT, GAP, BAND = 236, 168, 4, 22
COLUMNS = ("grey", "colorized", "true colours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("originals", type=Path)
    parser.add_argument("colorized", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    names = sorted(path.name for path in options.colorized.iterdir())
    group, row = 3 * (WIDTH + GAP) + 3 * GAP, HEIGHT + GAP
    sheet = Image.new("RGB", (2 * group - 4 * GAP, BAND + -(-len(names) // 2) * row - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, column in enumerate(2 * COLUMNS):
        left = place // 3 * group + place % 3 * (WIDTH + GAP)
        draw.text((left, 3), column, fill="#606060", font=ImageFont.load_default(14))
    for index, name in enumerate(names):
        truth, colorized = (
            Image.open(folder / name).convert("RGB") for folder in (options.originals, options.colorized)
        )
        for place, image in enumerate((truth.convert("L").convert("RGB"), colorized, truth)):
            left, top = index % 2 * group + place * (WIDTH + GAP), BAND + index // 2 * row
            sheet.paste(ImageOps.fit(image, (WIDTH, HEIGHT), Image.Resampling.LANCZOS), (left, top))
    sheet.save(options.picture, quality=88)


if __name__ == "__main__":
    main()
