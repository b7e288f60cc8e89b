"""A backbone with a new head, of which all or the last stages are trained."""

from jaxtyping import Float
from torch import Tensor, nn

from transfer.backbone import TransferBackbone
from transfer.partial_training import set_mode, train_only_from

HEAD_STD = 0.01  # of the new weights, as of a new layer in Krahenbuhl et al. (2016)


class Classifier(nn.Module):
    """The deepest stage, averaged over all positions, and a linear layer: one score for each class.

    For a fully convolutional AlexNet this is fc8 at each position and the mean of its answers. Everything before
    `train_from` is frozen, and stays in evaluation mode even in training.

    Args:
        train_from: `head`, the first stage that is trained, or `all`.

    Raises:
        ValueError: there is no such stage.
    """

    def __init__(self, backbone: TransferBackbone, num_classes: int, train_from: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.stage, spec = list(backbone.stages.items())[-1]
        train_only_from(backbone, train_from, self.stage)
        self.head = nn.Linear(spec.channels, num_classes)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Scores (logits) of RGB in [0, 1]."""
        return self.head(self.backbone.forward_stages(rgb, [self.stage])[self.stage].mean((2, 3)))

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode where something is trained."""
        set_mode(self, mode)
        return self
