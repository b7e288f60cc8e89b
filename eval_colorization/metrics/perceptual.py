"""The networks behind LPIPS and the Fréchet inception distance, from torchmetrics and torch-fidelity.

Both packages are optional and imported only here. Their weights are used when they are on this machine and never
downloaded: an evaluation on a cluster would wait for the network, or fail in the middle.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pretext.library_weights import downloaded_weights, named_when_damaged
from pretext.optional import missing_package


class Lpips:
    """Learned perceptual distance of Zhang, Isola, Efros, Shechtman, Wang (2018): AlexNet, version 0.1.

    Raises:
        NotAvailableError: torchmetrics or the AlexNet weights of torchvision are not on this machine.
        ValueError: the weights file is damaged.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        except ModuleNotFoundError as error:
            raise missing_package("LPIPS", error, "perceptual") from error
        from torchvision.models import AlexNet_Weights

        with named_when_damaged(downloaded_weights("LPIPS (AlexNet)", AlexNet_Weights.DEFAULT.url)):
            self._network = LearnedPerceptualImagePatchSimilarity(net_type="alex").net.to(device)

    @torch.inference_mode()
    def __call__(
        self,
        colorized_rgb: Float[Tensor, "batch 3 height width"],
        truth_rgb: Float[Tensor, "batch 3 height width"],
    ) -> Float[Tensor, "batch"]:
        """The distance of each pair: RGB in [0, 1], sides of at least 32 pixels. 0 for identical images."""
        return self._network(colorized_rgb, truth_rgb, normalize=True).flatten()


class InceptionFeatures:
    """The 2048 pooled features of the Inception network of 2015 whose statistics the FID compares.

    Images are brought to 299 x 299 as torchmetrics does it: bilinearly, with antialiasing when they shrink.

    Raises:
        NotAvailableError: torchmetrics, torch-fidelity or the weights are not on this machine.
        ValueError: the weights file is damaged.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
            from torchmetrics.image.fid import NoTrainInceptionV3
        except ModuleNotFoundError as error:
            raise missing_package("FID", error, "perceptual") from error

        path = downloaded_weights("FID (Inception)", URL_INCEPTION_V3)
        with named_when_damaged(path):
            network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))
        self._network = network.to(device)

    @torch.inference_mode()
    def __call__(self, rgb: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 2048"]:
        """The features of 8-bit RGB images of any size."""
        return self._network(rgb)
