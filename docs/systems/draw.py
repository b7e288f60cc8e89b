"""Draw photographs as several systems colorize them, a column each: the picture of docs/systems.md.

python docs/systems/draw.py docs/systems/photographs.jpg photographs/heldout/intel/1.webp ...
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pretext.colorize_files import colorize
from pretext.images.image_file import open_rgb
from pretext.runtime.command_line import read_yaml

SIDE, GAP, BAND = 128, 4, 22
CONFIG = Path("configs/eval_colorization/systems.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("photographs", type=Path, nargs="+")
    options = parser.parse_args()
    truth = [ImageOps.fit(open_rgb(path), (SIDE, SIDE)) for path in options.photographs]
    columns = {"grey": [square.convert("L").convert("RGB") for square in truth]}
    for method, described in read_yaml(CONFIG)["methods"].items():
        columns[method] = list(colorize(truth, described["model"]))
    columns["truth"] = truth
    step = SIDE + GAP
    sheet = Image.new("RGB", (len(columns) * step - GAP, BAND + len(truth) * step - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (heading, pictures) in enumerate(columns.items()):
        draw.text((place * step, 3), heading, fill="#606060", font=ImageFont.load_default(13))
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (place * step, BAND + row * step))
    sheet.save(options.picture, quality=88)


if __name__ == "__main__":
    main()
