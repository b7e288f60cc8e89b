"""Colorize pictures with the shipped network, or with a run of your own."""

from pathlib import Path

import pretext

photographs = sorted(Path("photographs").glob("*.png"))
for photograph, colorized in zip(photographs, pretext.colorize(photographs), strict=True):
    colorized.save(f"{photograph.stem}_colorized.png")

network = pretext.load_pretrained("eccv16-photographs")  # or "runs/live", a checkpoint, an export
vivid = pretext.colorize(photographs, network, temperature=0.1)
careful = pretext.colorize(photographs, network, temperature=1.0)
print(f"{len(vivid)} + {len(careful)} pictures by {network.name}, weights {network.sha256[:8]}")
