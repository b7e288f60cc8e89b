"""The keys of `transfer svm`."""

from dataclasses import dataclass
from typing import ClassVar

from transfer.config import DownstreamTest, FeatureConfig, LinearProtocolName


@dataclass(frozen=True, kw_only=True)
class SvmConfig(FeatureConfig):
    """Train a linear SVM for each class and stage, after Goyal et al. (2019): cost by cross-validation, VOC's AP.

    Args:
        costs: to choose among by cross-validation, which one cost alone does not need; null takes
            0.5^4 ... 0.5^19 and the decades 1e-7 ... 1e2.
        folds: of the cross-validation, at most the number of images of a class.
        shots: positive images per class for low-shot SVMs ([1, 2, 4, 8, 16, 32, 64, 96] in the paper); null trains on
            all images.
        samples: independent draws of the low-shot images.
        num_jobs: processes that train SVMs, one class each at a time.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (*FeatureConfig.FREE_KEYS, "num_jobs")

    protocol: LinearProtocolName = "goyal19"
    costs: list[float] | None = None
    folds: int = 3
    shots: list[int] | None = None
    samples: int = 5
    num_jobs: int = 1


SVM = DownstreamTest(
    config=SvmConfig,
    run="transfer.linear_svms.run:run",
    help="linear SVMs on every stage, on all images or on a few",
    title="Linear SVMs",
    headline=("mAP",),
)
