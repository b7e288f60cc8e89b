"""A network, a function of one's own and the controls, compared on three photographs."""

from PIL import Image, ImageOps
from skimage import data

import eval_colorization
import pretext


def sepia(grey: Image.Image) -> Image.Image:
    return ImageOps.colorize(grey.convert("L"), "black", "white", mid="#a08060")


network = pretext.load_pretrained("eccv16-photographs")
photographs = [Image.fromarray(photograph()) for photograph in (data.astronaut, data.chelsea, data.coffee)]
results = eval_colorization.evaluate({"network": network, "sepia": sepia}, photographs, image_size=128)
for method in results.methods:
    print(method.name, *(f"{name} {summary.value:.2f}" for name, summary in method.summaries.items()))
eval_colorization.write_report(results, "report")
