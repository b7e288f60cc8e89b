"""The keys of `transfer svm`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, DataConfig, DownstreamTest, LinearProtocolName


@dataclass(frozen=True, kw_only=True)
class SvmConfig:
    """Train a linear SVM for each class and stage, after Goyal et al. (2019): cost by cross-validation, VOC's AP.

    Args:
        out: folder of the results; the same command on the same folder resumes.
        cache: folder where features are kept, shared by all commands; what lies there of other images, weights or
            protocols is not used. null keeps none.
        protocol: whose crop, pooling and feature dimensions are taken; see `transfer linear`.
        stages: which ones; null takes all.
        batch_size: images in one forward pass of a process.
        precision: of the backbone's arithmetic; bfloat16 autocasts.
        costs: to choose among by cross-validation, which one cost alone does not need; null takes
            0.5^4 ... 0.5^19 and the decades 1e-7 ... 1e2.
        folds: of the cross-validation, at most the number of images of a class.
        shots: positive images per class for low-shot SVMs ([1, 2, 4, 8, 16, 32, 64, 96] in the paper); null trains on
            all images.
        samples: independent draws of the low-shot images.
        num_jobs: processes that train SVMs, one class each at a time.
        seed: of the folds, of the low-shot draws and of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "cache", "num_jobs")

    backbone: BackboneConfig
    data: DataConfig
    out: str
    cache: str | None = "features"
    protocol: LinearProtocolName = "goyal19"
    stages: list[str] | None = None
    batch_size: int = 64
    precision: Literal["float32", "bfloat16"] = "float32"
    costs: list[float] | None = None
    folds: int = 3
    shots: list[int] | None = None
    samples: int = 5
    num_jobs: int = 1
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


SVM = DownstreamTest(
    config=SvmConfig,
    run="transfer.linear_svms.run:run",
    help="linear SVMs on every stage, on all images or on a few",
    title="Linear SVMs",
    headline=("mAP",),
)
