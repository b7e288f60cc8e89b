"""DeOldify's own code (PyPI's deoldify) with random weights; a process of its own, as it shadows fastai.

    python deoldify_oracle.py artistic|stable FILE

writes the state of the generator, a grey square, what it makes of it, a photograph and what the filter makes of it.
"""

import sys

import numpy as np
import torch
from deoldify.filters import ColorizerFilter
from deoldify.unet import DynamicUnetDeep, DynamicUnetWide
from fastai.layers import NormType
from fastai.vision.learner import create_body
from PIL import Image
from skimage.data import chelsea
from torchvision import models

MEAN, STD = (torch.tensor(of).view(3, 1, 1) for of in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


class Learner:
    """What the filter asks of fastai's: the answer, and nothing undone."""

    def __init__(self, model):
        self.model = model

    def pred_batch(self, ds_type, batch, reconstruct):
        with torch.no_grad():
            answer = self.model(batch[0])[0]
        return [type("Answer", (), {"px": answer})]


class Filter(ColorizerFilter):
    """ColorizerFilter, but for the device and the normalisation, which its constructor takes from fastai."""

    def __init__(self, model):
        self.learn, self.device, self.render_base = Learner(model), torch.device("cpu"), 16
        self.norm = lambda both, do_x: tuple((of - MEAN) / STD for of in both)
        self.denorm = lambda x, do_x: (x * STD + MEAN).clamp(0, 1)


variant, path = sys.argv[1:]
torch.manual_seed(0)
kind, encoder, factor = {
    "artistic": (DynamicUnetDeep, models.resnet34, 1.5),
    "stable": (DynamicUnetWide, models.resnet101, 2),
}[variant]
model = kind(
    create_body(encoder, False),
    n_classes=3,
    blur=True,
    self_attention=True,
    y_range=(-3.0, 3.0),
    norm_type=NormType.Spectral,
    nf_factor=factor,
)
model.train()
with torch.no_grad():
    model.layers[5].conv2[3].gamma.fill_(0.5) if variant == "artistic" else model.layers[5].conv[
        3
    ].gamma.fill_(0.5)
    for _ in range(3):  # statistics and singular vectors that are like those of a trained one
        model(torch.randn(2, 3, 64, 64))
model.eval()
grey = torch.rand(1, 1, 80, 112)
with torch.no_grad():
    answer = model((grey - MEAN) / STD)
photograph = Image.fromarray(chelsea()).resize((90, 70))
filtered = Filter(model).filter(photograph, photograph, render_factor=5)
torch.save(
    {
        "state": model.state_dict(),
        "grey": grey,
        "answer": answer * STD + MEAN,
        "photograph": torch.from_numpy(np.array(photograph)),
        "filtered": torch.from_numpy(np.array(filtered)),
    },
    path,
)
