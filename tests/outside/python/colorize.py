"""Colorize pictures with the shipped network, or with a run of one's own."""

from PIL import Image

import pretext

(colorized,) = pretext.colorize([Image.open("photographs/chelsea.png")])
colorized.save("chelsea_colorized.png")

network = pretext.load_pretrained("eccv16-photographs")  # or "runs/live", a checkpoint, an export
for temperature in (0.1, 1.0):  # from vivid to careful
    (colorized,) = pretext.colorize(["photographs/chelsea.png"], network, temperature=temperature)
    colorized.save(f"chelsea_{temperature}.png")
print(f"{network.name}, weights {network.sha256[:8]}: {colorized.width} x {colorized.height} pixels")
