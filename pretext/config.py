"""Every key of a `pretext train` configuration, with its default.

A YAML file under `configs/pretext/` holds only what differs from these defaults. This module imports neither
torch nor anything of the package, so that `--help` and a misspelt key answer at once.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

Decoding = Literal["annealed_mean", "mean", "mode", "top_k_mean"]
DEFAULT_WEIGHTS = "eccv16-photographs"  # the shipped network that colorizes where none is named


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from and how they are cut.

    Args:
        train: `sample` (bundled photographs), a folder, WebDataset shards (path, glob, `{000..146}` range or URL of
            .tar files), `torchvision:NAME`, or `module:Name` and `module:Name:ARGUMENT` for a data source of your own.
        validation: the same for the validation images; null holds out `validation_images` of the training images.
        validation_images: how many validation images are used at most.
        gallery: more images to show in the gallery, of which no number is made; an address as for train.
        torchvision_root: folder of the torchvision data sets.
        download: let torchvision download the data set.
        image_size: length in pixels to which an image's short side is resized; validation uses its central square.
        crop_size: side in pixels of the random training crop.
        num_workers: processes that read images, for each training process.
        cache: `memory` holds the training images decoded, so that from the second epoch on they are only cut. Each
            training process holds those that it has seen, 3 bytes a pixel; all of a machine take at most half of the
            memory that is free. null decodes them each time. It is for Linux.
        max_broken_share: share of unreadable images above which the run stops; up to five never stop it, unless the
            share is 0.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("num_workers", "cache", "max_broken_share", "download")

    train: str
    validation: str | None = None
    validation_images: int = 1000
    gallery: str | None = None
    torchvision_root: str = "data"
    download: bool = False
    image_size: int = 256
    crop_size: int = 176
    num_workers: int = 4
    cache: Literal["memory"] | None = None
    max_broken_share: float = 0.01


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What is trained.

    Args:
        name: eccv16, siggraph17, alexnet, resnet50, split_brain, deoldify, dahl or larsson; `timm:NAME` for a network
            of timm, as timm initialises it; or `module:Name` for one of your own.
        width: factor on every hidden channel count; 1 is the published network.
        args: further arguments of the network's constructor, such as what it sees: input lightness, luma, intensity,
            ab, lab or rgb.
    """

    name: str = "eccv16"
    width: float = 1.0
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimiser and its learning rate.

    Args:
        optimizer: adam, or sgd.
        lr: base learning rate.
        betas: Adam's decay rates.
        momentum: SGD's.
        weight_decay: L2 penalty, added to the gradient of the mean loss over positions.
        schedule: `step` follows lr_steps, `cosine` falls to zero at the last step.
        lr_steps: learning rate from a step on, for the step schedule: {200000: 1.0e-5, 375000: 3.0e-6}.
        warmup_steps: steps of linear warm-up from zero.
        clip_norm: largest norm of the whole gradient; null does not clip.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = 3e-5
    betas: tuple[float, float] = (0.9, 0.99)
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["step", "cosine"] = "step"
    lr_steps: dict[int, float] = field(default_factory=dict)
    warmup_steps: int = 0
    clip_norm: float | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Something that is measured of the network while it trains; the weights are the same, bit for bit, without it.

    Args:
        name: under which it is logged: NAME_NUMBER.
        every: steps between two measurements; one is made after the last step.
        probe: transfer:FeatureProbe, which tests the features on labelled images, or `module:Name` of your own.
        args: of its constructor; for transfer:FeatureProbe train, test, stages, k, linear_epochs and others.
    """

    name: str
    every: int
    probe: str = "transfer:FeatureProbe"
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run.

    Args:
        task: what is learned: colorization (the paper's rebalanced classification), colorization_regression (L2 on ab),
            hinted_colorization (with a user's hints, of siggraph17), rgb_colorization (L1 on RGB, of deoldify),
            adversarial_colorization (the same against a critic),
            uv_colorization (L2 on blurred U and V, of dahl),
            hue_chroma_colorization (distributions over hue and chroma, of larsson),
            scene_context_colorization (with masks and a classifier's scenes, of scene_context),
            lightness_prediction, split_brain, autoencoder, inpainting, rotation, relative_position, jigsaw, simclr,
            vicreg, or `module:Name` for a task of your own.
        task_args: arguments of the task's constructor: for colorization bins, neighbours, sigma, uniform_share and
            temperature.
        run_dir: folder of the run; the same command on the same folder resumes it.
        init: trained network whose weights the run starts from: a shipped network, a run directory, a checkpoint, a
            file of `pretext export` or a published .pth; for dahl, larsson and deoldify also torchvision's VGG-16 or
            ResNet; null starts from random weights.
        steps: optimiser steps in all; a run with the step schedule can be given more when it is resumed.
        batch_size: images of one step, over all processes.
        accumulation_steps: parts in which each process computes its share of a batch, to save memory.
        seed: decides the initial weights, the order of the images and their crops.
        precision: of the network's arithmetic; bfloat16 autocasts, auto does so where the hardware has the
            instructions for it (GPUs; CPUs with AMX or AVX-512 BF16).
        compile: compile with torch.compile the network, and what makes its inputs and targets of a batch, for the steps
            of training; validation runs them as they are.
        device: auto takes a GPU where there is one.
        log_every: steps between two lines of metrics.
        validate_every: steps between two validations.
        save_every: steps between two checkpoints.
        keep_every: steps between two checkpoints that are kept for good; null keeps the last one only.
        gallery_images: validation images shown in the gallery, the first ones.
        probes: what is measured of the network while it trains.
        trackers: wandb, mlflow: where the numbers and galleries go beside TensorBoard, as those packages' environment
            variables say; a run that resumes is the same run there.
        keep_best: a number of a validation or a probe, such as validation_loss or photos_conv5_knn_top1: the checkpoint
            in which it is highest (a loss: lowest) is kept as best.pt.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (
        "run_dir",
        "device",
        "compile",
        "accumulation_steps",
        "log_every",
        "save_every",
        "keep_every",
        "validate_every",
        "gallery_images",
        "trackers",
        "probes",
        "keep_best",
    )

    data: DataConfig
    run_dir: str
    init: str | None = None
    task: str = "colorization"
    task_args: dict[str, Any] = field(default_factory=dict)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    steps: int
    batch_size: int = 40
    accumulation_steps: int = 1
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    log_every: int = 50
    validate_every: int = 1000
    save_every: int = 1000
    keep_every: int | None = None
    gallery_images: int = 12
    trackers: list[Literal["wandb", "mlflow"]] = field(default_factory=list)
    probes: list[ProbeConfig] = field(default_factory=list)
    keep_best: str | None = None


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Measure the colours of a data set: ab bins, their prior, and a picture of it.

    Args:
        data: as data.train of `pretext train`: a folder, shards, sample, ...
        out: the file to write, for task_args.bins; .json.
        kmeans: how many bins to fit to the data's colours; null takes the 313 published ones.
        neighbours: bins that share a pixel.
        sigma: of the Gaussian that smooths, in ab units.
        image_size: side in pixels of the central squares that are read.
        num_workers: processes that read images.
        seed: of the k-means.
    """

    data: str
    out: Path
    kmeans: int | None = None
    neighbours: int = 5
    sigma: float = 5.0
    image_size: int = 256
    num_workers: int = 4
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ColorizeConfig:
    """Colorize images and films at full resolution, their lightness kept.

    Args:
        images: files or folders; files may be films.
        out: folder for the colorized images.
        weights: shipped network, run directory, checkpoint, .safetensors or published .pth.
        decoding: of a distribution into a colour; null takes annealed_mean, of larsson the mean hue and median chroma,
            for which there are also mean and mode.
        temperature: of the annealed mean; null takes the run's, else 0.38.
        top_k: bins of top_k_mean; null takes 5.
        size: pixels at which colours are predicted; null takes the image_size of the training, else 256.
        smoothing: share of the colours of the frame before that a frame of a film keeps where its lightness is the
            same, against flicker; 0 is off.
        hints: YAML file of colours at places of the images, for a network that takes hints (siggraph17):
            `beach.jpg: [{x: 120, y: 40, colour: "#3a6ea5", size: 9}]`, in pixels.
        frames: the images are numbered frames of a film, to be smoothed in the order of their names.
        device: auto takes a GPU where there is one.
    """

    images: list[Path]
    out: Path
    weights: str = DEFAULT_WEIGHTS
    decoding: Decoding | None = None
    temperature: float | None = None
    top_k: int | None = None
    size: int | None = None
    smoothing: float = 0.8
    hints: Path | None = None
    frames: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a trained network for others to use: its weights, or a graph that needs no code of this project.

    Args:
        model: run directory, checkpoint, shipped network, or any other file of weights.
        format: `safetensors`, the weights with task, bins, prior and normalisation; `hub`, a folder as timm and the
            Hugging Face Hub have it, with a model card; `onnx`; or `torch_export`, a .pt2 file. The graphs of the last
            two take RGB in [0, 1].
        out: what to write; null takes weights.safetensors, hub, network.onnx or network.pt2, in the run directory.
        precision: of the numbers of safetensors and hub; float16 halves the file.
        outputs: of the graphs of onnx and torch_export: stages by name, `output` (what the network answers) and `ab`
            (colours in ab units at the size of the images); null takes all stages.
        size: height and width in pixels of the images of these graphs; null takes images of any size.
        card: YAML file of what else the metadata shall say: title, data, licence, measured figures, ... Values other
            than strings become JSON.
    """

    model: str
    format: Literal["safetensors", "hub", "onnx", "torch_export"] = "safetensors"
    out: Path | None = None
    precision: Literal["float32", "float16"] = "float32"
    outputs: list[str] | None = None
    size: int | None = None
    card: Path | None = None


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """List the trained networks that are shipped and the published files that open, or say what is in some.

    Args:
        models: shipped networks, run directories, checkpoints, .safetensors or published files to describe.
    """

    models: list[str] = field(default_factory=list)
