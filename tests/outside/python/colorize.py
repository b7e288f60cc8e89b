"""Colorize pictures with the shipped network, or with a run of one's own."""

from PIL import Image

import pretext

photograph = Image.open("photographs/chelsea.png")
(colorized,) = pretext.colorize([photograph])
colorized.save("chelsea_colorized.png")

shipped = pretext.load_pretrained("eccv16-photographs")  # or "runs/live", a checkpoint, an export
vivid, careful = (
    pretext.colorize(["photographs/chelsea.png"], shipped, decoding="annealed_mean", temperature=temperature)[
        0
    ]
    for temperature in (0.1, 1.0)
)
