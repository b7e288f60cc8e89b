import pytest
import torch
from colorizers import ECCVGenerator, SIGGRAPHGenerator
from skimage.color import rgb2lab
from skimage.data import astronaut
from sklearn.datasets import load_sample_image
from torch import Tensor, nn


@pytest.fixture(scope="session")
def lab() -> Tensor:
    """Two photographs in Lab, (2, 3, 64, 96), by scikit-image."""
    photographs = [astronaut()[0:192:3, 100:388:3], load_sample_image("china.jpg")[100:292:3, 100:388:3]]
    return torch.stack([torch.from_numpy(rgb2lab(rgb)).float().permute(2, 0, 1) for rgb in photographs])


@pytest.fixture(scope="session")
def lightness(lab: Tensor) -> Tensor:
    return lab[:, :1]


@pytest.fixture(scope="session")
def published_eccv16() -> nn.Module:
    return _with_lived_in_batchnorm(ECCVGenerator())


@pytest.fixture(scope="session")
def published_siggraph17() -> nn.Module:
    return _with_lived_in_batchnorm(SIGGRAPHGenerator())


def _with_lived_in_batchnorm(network: nn.Module) -> nn.Module:
    """Move every BatchNorm's statistics and affine map off the identity, so that parity tests see them."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval().requires_grad_(False)
