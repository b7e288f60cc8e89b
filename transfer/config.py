"""What the configurations of all downstream tests share, and what describes a test.

This module imports neither torch nor anything that does, so that `--help` and a misspelt key answer at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

LinearProtocolName = Literal["zhang16", "goyal19", "deepcluster18", "rotnet18", "dino21", "dinov2", "mae22"]


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
        trains_backbone: whether it trains the backbone, from the stage on that its records name; the table sets such
            tests side by side by their preferred metric.
    """

    config: type[Any]
    run: Callable[[Any], Any] | str
    help: str
    title: str
    headline: tuple[str, ...]
    saved: str = "results.jsonl"
    trains_backbone: bool = False


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
        initialisation: for random:NAME of a network of this project, its weights: kaiming, as a training starts;
            gaussian (deviation 0.01); or kmeans, clusters of patches of the training images, after Krahenbuhl et al.
            (2016).
        name: what the results table calls it; null makes one of `model`.
        absorb_batch_norm: fold each BatchNorm that follows a convolution into it; the function stays the same.
        rescale: scale the layers of an alexnet so that each has unit variance on the training images, after Krahenbuhl
            et al. (2016); the function stays the same. Needs absorb_batch_norm.
    """

    model: str
    weights: str | None = None
    width: float = 1.0
    initialisation: Literal["kaiming", "gaussian", "kmeans"] = "kaiming"
    name: str | None = None
    absorb_batch_norm: bool = False
    rescale: bool = False


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Labelled images.

    Args:
        train: `sample` (bundled photographs, a class each), a folder with a folder for each class (as ImageNet's),
            `voc:FOLDER:SPLIT` (PASCAL VOC's layout, such as voc:VOCdevkit/VOC2007:trainval), WebDataset shards with
            .cls members, or `torchvision:NAME`; for knn and svm also `features:FOLDER`, which `transfer features` made.
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
class SelectionDataConfig(DataConfig):
    """Labelled images, and those on which what the protocol leaves open is chosen.

    Args:
        validation: the share of each class's training images that is held out, drawn by the seed; a set of their own,
            as `train`; or `test`, which chooses on the test images: such a result is optimistic, and every table says
            so. null takes a tenth where something is left open, and none where nothing is.
        validation_labels: a CSV file of image,class for a set of their own.
    """

    validation: float | str | None = None
    validation_labels: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig:
    """What all tests of classification share.

    Args:
        out: folder of the results; the same command on the same folder resumes.
        precision: of the network's arithmetic; bfloat16 autocasts.
        seed: of all that is drawn at random, and of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device")

    data: DataConfig
    out: str
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class FeatureConfig(ClassificationConfig):
    """What tests share that keep the features of a frozen backbone.

    Args:
        cache: folder where features are kept, shared by all commands; what lies there of other images, weights or
            protocols is not used. null keeps none.
        protocol: whose crop, pooling and feature dimensions are taken; see `transfer linear`.
        stages: which ones; null takes all.
        batch_size: images in one forward pass of a process.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (*ClassificationConfig.FREE_KEYS, "cache")

    backbone: BackboneConfig | None = None
    cache: str | None = "features"
    protocol: LinearProtocolName
    stages: list[str] | None = None
    batch_size: int = 64


@dataclass(frozen=True, kw_only=True)
class FrameworkConfig:
    """What detection and segmentation share, which a framework trains.

    Args:
        out: folder of the results; the same command on the same folder resumes.
        stage: that the head looks at; null takes the deepest of stride 8 or more.
        train_from: the first stage that is trained: `head` (what stands on the backbone alone), a stage, or `all`.
        batch_norm: of the backbone, `train`, with statistics over all processes, or `frozen`; null takes the
            protocol's.
        colour_input: let a network of this project see ab too, by weights that start at zero (the paper's "colour").
        steps: optimiser steps in all; null takes the protocol's, times its batch over yours.
        batch_size: images of one step, over all processes; null takes the protocol's.
        lr: null takes the protocol's, times your batch over its own.
        seed: of the head, of the order and augmentation of the images, of what a step draws, of a random backbone.
        save_every: steps between two checkpoints.
        evaluate_every: steps between two tests, for the log; the one after the last step is the result.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "save_every", "evaluate_every")

    backbone: BackboneConfig
    out: str
    stage: str | None = None
    train_from: str = "all"
    batch_norm: Literal["train", "frozen"] | None = None
    colour_input: bool = False
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    save_every: int = 1000
    evaluate_every: int = 5000
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """One table of all results, beside the published numbers: Markdown, LaTeX and a page with plots by stage.

    Args:
        results: --out folders of transfer commands, folders above them, or files of records.
        out: folder for the tables.
    """

    results: list[Path]
    out: Path


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Whether Detectron2 (detect) and mmsegmentation (segment) can be used here, and what to type where they cannot."""


@dataclass(frozen=True, kw_only=True)
class ProtocolsConfig:
    """List the published protocols: whose they are, how they train, and where they differ from their source.

    Args:
        tests: linear, finetune, detect or segment; none lists all.
    """

    tests: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SampleVocConfig:
    """Write a small data set in PASCAL VOC's layout, splits train and val, made of the bundled photographs.

    Args:
        folder: a new folder.
    """

    folder: Path
