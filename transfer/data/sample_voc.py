"""A small data set in PASCAL VOC's layout, pasted together from the bundled photographs: to try things on.

Three objects, cut out of their photographs by a polygon, on parts of other photographs. Training and test images have
no background in common, but the objects are the same ones, so a result says that a pipeline works, not more.
"""

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from pretext.images.sample import bundled_photograph
from transfer.data.voc import NUM_LABELS, voc_colour, write_annotation

WIDTH, HEIGHT = 160, 120
VOID = 255
LISTS = ("Main", "Segmentation")
# Class -> photograph and outline, x and y in turn, in pixels of it.
_OBJECTS = {
    "cup": (
        "coffee",
        "76 201 83 161 114 120 154 100 174 114 171 87 187 47 228 24 288 17 348 27 388 47 406 80 418 67 424 87 412 114 "
        "449 141 471 187 478 234 462 295 415 345 355 375 281 384 214 375 147 341 100 288",
    ),
    "flower": (
        "flower",
        "443 222 438 257 425 290 403 318 375 340 342 353 307 358 272 353 239 340 211 318 189 290 176 257 171 222 "
        "176 187 189 154 211 126 239 104 272 91 307 86 342 91 375 104 403 126 425 154 438 187",
    ),
    "pagoda": (
        "china",
        "199 30 214 30 221 57 271 100 317 117 314 136 300 143 321 164 331 179 317 193 326 236 350 250 343 271 350 321 "
        "364 336 321 393 286 407 200 371 79 343 81 293 60 271 103 236 107 200 83 179 103 157 114 129 93 107 150 86 "
        "189 57",
    ),
}
_BACKGROUNDS = {"train": ("astronaut", "motorcycle"), "val": ("chelsea", "rocket")}
CLASSES = tuple(_OBJECTS)


def write_sample_voc(folder: Path, num_train: int = 60, num_val: int = 30, seed: int = 0) -> None:
    """Write the splits train and val into `folder`, with boxes, masks, labels and classes.txt.

    Raises:
        FileExistsError: there are files in the folder.
        ValueError: an installed package does not bring its photographs.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder for the sample")
    for name in ("JPEGImages", "Annotations", "SegmentationClass", *(f"ImageSets/{kind}" for kind in LISTS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    cut_outs = {name: _cut_out(photograph, outline) for name, (photograph, outline) in _OBJECTS.items()}
    for split, count in (("train", num_train), ("val", num_val)):
        rng = random.Random(f"{seed}/{split}")
        backgrounds = [bundled_photograph(name) for name in _BACKGROUNDS[split]]
        shown: dict[str, list[str]] = {}  # image -> classes
        for number in range(count):
            name = f"{split}_{number:03d}"
            picture, mask, placed = _compose(rng, rng.choice(backgrounds), cut_outs)
            picture.save(folder / "JPEGImages" / f"{name}.jpg", quality=92)
            mask.save(folder / "SegmentationClass" / f"{name}.png")
            write_annotation(folder / "Annotations" / f"{name}.xml", picture.size, placed)
            shown[name] = [class_name for class_name, *_ in placed]
        for kind in LISTS:
            (folder / "ImageSets" / kind / f"{split}.txt").write_text("".join(f"{name}\n" for name in shown))
        for class_name in CLASSES:
            lines = [f"{name} {1 if class_name in classes else -1:2d}\n" for name, classes in shown.items()]
            (folder / "ImageSets" / "Main" / f"{class_name}_{split}.txt").write_text("".join(lines))


def _cut_out(photograph: str, outline: str) -> Image.Image:
    """The object as RGBA, cropped to it."""
    picture = bundled_photograph(photograph).convert("RGBA")
    alpha = Image.new("L", picture.size)
    ImageDraw.Draw(alpha).polygon([int(number) for number in outline.split()], fill=255)
    picture.putalpha(alpha)
    return picture.crop(alpha.getbbox())


def _compose(
    rng: random.Random, background: Image.Image, cut_outs: dict[str, Image.Image]
) -> tuple[Image.Image, Image.Image, list[tuple[str, tuple[int, int, int, int], bool]]]:
    """One or two objects of different classes, side by side, on a part of `background`: the picture, its mask, and the
    objects as `write_annotation` takes them.
    """
    scale = rng.uniform(0.3, 1)  # of the largest part that has the picture's shape
    part_width = round(scale * min(background.width, background.height * WIDTH / HEIGHT))
    part_height = round(part_width * HEIGHT / WIDTH)
    left, top = rng.randint(0, background.width - part_width), rng.randint(0, background.height - part_height)
    part = background.crop((left, top, left + part_width, top + part_height))
    picture = part.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    mask = Image.new("P", (WIDTH, HEIGHT))
    mask.putpalette([value for label in range(NUM_LABELS) for value in voc_colour(label)])
    placed = []
    names = rng.sample(CLASSES, rng.choice((1, 2)))
    for place, name in enumerate(names):
        columns = WIDTH // len(names)
        height = rng.randint(45, 75 if len(names) == 2 else 105)
        cut = cut_outs[name]
        ratio = min(height / cut.height, (columns - 2) / cut.width)
        cut = cut.resize((round(ratio * cut.width), round(ratio * cut.height)), Image.Resampling.BICUBIC)
        if rng.random() < 0.5:
            cut = ImageOps.mirror(cut)
        x = place * columns + rng.randint(0, columns - cut.width)
        y = rng.randint(0, HEIGHT - cut.height)
        alpha = cut.getchannel("A")
        picture.paste(cut.convert("RGB"), (x, y), alpha)
        inside = alpha.point([0] * 128 + [255] * 128)  # "1" would dither
        mask.paste(CLASSES.index(name) + 1, (x, y), inside)
        edge = np.array(alpha)
        border = Image.fromarray(((edge > 20) & (edge < 236)).astype(np.uint8) * 255)
        mask.paste(VOID, (x, y), border)
        box = inside.getbbox()
        assert box is not None
        placed.append((name, (x + box[0], y + box[1], x + box[2], y + box[3]), False))
    return picture, mask, placed
