"""Every key of a `transfer` configuration, with its default.

This module imports neither torch nor anything that does, so that `--help` and a misspelt key answer at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

LinearProtocolName = Literal["zhang16", "goyal19", "deepcluster18", "rotnet18"]
FinetuneProtocolName = Literal["voc07", "semi_supervised", "folder"]


@dataclass(frozen=True, kw_only=True)
class DownstreamTest:
    """A test of what a backbone's features are worth, and the command of `transfer` that runs it.

    Args:
        config: dataclass of what can be configured, read from a YAML file and flags. It has a key `out`, the folder of
            the results, and its module imports no torch.
        run: the function that takes a `config` and returns the records, or `module:function`, imported when it runs.
        help: one line that says what the test does.
        title: heading of its tables of results.
        headline: metrics by which backbones are compared, the preferred one first.
        saved: pattern of the files in `out` that change when a run saves its progress.
        framework: key in FRAMEWORKS of what must be installed for it.
    """

    config: type[Any]
    run: Callable[[Any], Any] | str
    help: str
    title: str
    headline: tuple[str, ...]
    saved: str = "results.jsonl"
    framework: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The network whose features are tested.

    Args:
        model: the shipped network eccv16-photographs, a pretext run, checkpoint, .safetensors or published .pth;
            torchvision:NAME or timm:NAME; or random:NAME (random:eccv16, random:torchvision:resnet18,
            random:timm:resnet18), freshly initialised by `seed`.
        weights: for torchvision:NAME and timm:NAME a weights file, .pth or .safetensors, also nested and
            prefixed as MoCo and DINO save them; null takes the pretrained ones of the library.
        width: for random:NAME of a network of this project, its width.
        name: what the results table calls it; null makes one of `model`.
        absorb_batch_norm: fold each BatchNorm that follows a convolution into it; the function stays the same.
        rescale: scale the layers of an alexnet so that each has unit variance on the training images, after Krahenbuhl
            et al. (2016); the function stays the same. Needs absorb_batch_norm.
    """

    model: str
    weights: str | None = None
    width: float = 1.0
    name: str | None = None
    absorb_batch_norm: bool = False
    rescale: bool = False


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Labelled images.

    Args:
        train: `sample` (bundled photographs, a class each), a folder with a folder for each class (as ImageNet's),
            `voc:FOLDER:SPLIT` (PASCAL VOC's layout, such as voc:VOCdevkit/VOC2007:trainval), WebDataset shards with
            .cls members, or `torchvision:NAME`.
        test: the same for the images that are tested on.
        train_labels: a CSV file of image,class instead of the folders' names.
        test_labels: the same for the test images.
        name: what the results table calls the data set; null makes one of `test`.
        image_size: length in pixels to which an image's short side is resized; null takes the protocol's.
        crop_size: side in pixels of the square that the network sees; null takes the protocol's.
        num_workers: processes that read images, for each process.
        max_broken_share: share of unreadable images above which the command stops; up to five never stop it, unless
            the share is 0.
        torchvision_root: folder of the torchvision data sets.
        download: let torchvision download the data set.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("num_workers", "max_broken_share", "download")

    train: str
    test: str
    train_labels: str | None = None
    test_labels: str | None = None
    name: str | None = None
    image_size: int | None = None
    crop_size: int | None = None
    num_workers: int = 2
    max_broken_share: float = 0.01
    torchvision_root: str = "data"
    download: bool = False


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """Train a linear classifier on each stage of a frozen backbone, all of them in one pass over the images.

    Args:
        out: folder of the results; the same command on the same folder goes on where it stopped.
        protocol: zhang16, goyal19, deepcluster18 or rotnet18; results of two are not comparable.
        stages: which ones; null takes all.
        learning_rates: trained side by side; null takes the protocol's one.
        epochs: passes over the training images; null takes the protocol's. The decays of the learning rate keep their
            share of it.
        batch_size: images of one step, over all processes; null takes the protocol's.
        seed: of the heads, of the order and crops of the images, and of a random backbone.
        evaluate_every: epochs between two tests; the last epoch is always tested.
        precision: of the backbone's arithmetic; bfloat16 autocasts.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "evaluate_every")

    backbone: BackboneConfig
    data: DataConfig
    out: str
    protocol: LinearProtocolName = "zhang16"
    stages: list[str] | None = None
    learning_rates: list[float] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    evaluate_every: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """How features are extracted for kNN and SVM: once, then kept on disk.

    Args:
        cache: folder where they are kept, shared by all commands; what lies there of other images, weights or
            protocols is not used.
        protocol: whose crop, pooling and feature dimensions are taken; see `transfer linear`.
        stages: which ones; null takes all.
        batch_size: images in one forward pass of a process.
        precision: of the backbone's arithmetic; bfloat16 autocasts.
    """

    cache: str = "features"
    protocol: LinearProtocolName = "zhang16"
    stages: list[str] | None = None
    batch_size: int = 64
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True, kw_only=True)
class KnnConfig:
    """Classify each test image by its nearest training images: cosine similarity, votes weighted by exp(s / T).

    Args:
        out: folder of the results.
        k: numbers of neighbours, each gives a result.
        temperature: T of the votes.
        memory: MiB that features and similarities may take at one time.
        seed: of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device")

    backbone: BackboneConfig
    data: DataConfig
    out: str
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    k: list[int] = field(default_factory=lambda: [10, 20, 100, 200])
    temperature: float = 0.07
    memory: int = 1024
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class SvmConfig:
    """Train a linear SVM for each class and stage, after Goyal et al. (2019): cost by cross-validation, VOC's AP.

    Args:
        out: folder of the results.
        costs: to choose among by cross-validation, which one cost alone does not need; null takes
            0.5^4 ... 0.5^19 and the decades 1e-7 ... 1e2.
        folds: of the cross-validation, at most as many as a class has images.
        shots: positive images a class for low-shot SVMs ([1, 2, 4, 8, 16, 32, 64, 96] in the paper); null trains on all
            images.
        samples: independent draws of the low-shot images.
        num_jobs: processes that train SVMs, a class each at one time.
        seed: of the folds, of the low-shot draws and of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device")

    backbone: BackboneConfig
    data: DataConfig
    out: str
    features: FeaturesConfig = field(default_factory=lambda: FeaturesConfig(protocol="goyal19"))
    costs: list[float] | None = None
    folds: int = 3
    shots: list[int] | None = None
    samples: int = 5
    num_jobs: int = 1
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Train a backbone, or its last layers, with labels.

    Args:
        out: folder of the results; the same command on the same folder goes on where it stopped.
        protocol: voc07 (Zhang et al. 2016: scale jitter 0.5-2, 10-crop test), semi_supervised (20 epochs on a share
            of the labels), or folder (a plain recipe for any image folder).
        train_from: the first stage that is trained: `head` (fc8), a stage (fc6 for fc6-8), or `all`.
        label_share: share of each class's training images that is used: 0.01 and 0.1 for semi_supervised.
        steps: optimiser steps in all; null takes the protocol's. The decays of the learning rate keep their share.
        batch_size: images of one step, over all processes; null takes the protocol's.
        lr: null takes the protocol's.
        head_lr_factor: learning rate of the new head, as a multiple of lr; null takes the protocol's: 1 for
            voc07, else 10.
        colour_input: let a network of this project see ab too, by weights that begin at zero (the paper's "colour").
        seed: of the head, of the order and crops of the images, of the label share, and of a random backbone.
        save_every: steps between two checkpoints.
        evaluate_every: steps between two tests; the last step is always tested.
        precision: of the network's arithmetic; bfloat16 autocasts.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "save_every", "evaluate_every")

    backbone: BackboneConfig
    data: DataConfig
    out: str
    protocol: FinetuneProtocolName = "voc07"
    train_from: str = "all"
    label_share: float = 1.0
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    head_lr_factor: float | None = None
    colour_input: bool = False
    seed: int = 0
    save_every: int = 1000
    evaluate_every: int = 5000
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """One table of all results, beside the published numbers: Markdown, LaTeX and a page with plots by stage.

    Args:
        results: --out folders of transfer commands, or above them.
        out: folder for the tables.
    """

    results: list[Path]
    out: Path


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Whether Detectron2 (detect) and mmsegmentation (segment) can be used here, and what to type where they cannot."""


@dataclass(frozen=True, kw_only=True)
class SampleVocConfig:
    """Write a small data set in PASCAL VOC's layout, splits train and val, made of the bundled photographs.

    Args:
        folder: a new folder.
    """

    folder: Path


LINEAR = DownstreamTest(
    config=LinearConfig,
    run="transfer.classification.linear:linear",
    help="linear probes on every stage of a frozen backbone",
    title="Linear classifiers",
    headline=("top1", "mAP"),
    saved="checkpoints/last.pt",
)
KNN = DownstreamTest(
    config=KnnConfig,
    run="transfer.classification.knn:knn",
    help="nearest neighbors in the features of every stage",
    title="Nearest neighbours",
    headline=("top1",),
)
SVM = DownstreamTest(
    config=SvmConfig,
    run="transfer.classification.svm:svm",
    help="linear SVMs on every stage, on all images or on a few",
    title="Linear SVMs",
    headline=("mAP",),
)
FINETUNE = DownstreamTest(
    config=FinetuneConfig,
    run="transfer.classification.finetune:finetune",
    help="train the backbone or its last layers with labels",
    title="Fine-tuning",
    headline=("mAP", "mAP_11_point", "top1"),
    saved="checkpoints/last.pt",
)
