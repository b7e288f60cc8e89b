"""The one door to a trained network: shipped, run directory, checkpoint, exported weights, published weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from pretext.color.bins import AbBins
from pretext.config import NetworkConfig
from pretext.networks import NETWORKS, TIMM, Backbone, Output, build_network
from pretext.networks.eccv16 import Eccv16
from pretext.networks.timm_network import TimmNetwork
from pretext.optional import missing_package
from pretext.outside import arguments_of, name_of
from pretext.runtime.checkpoint import DamagedFileError, load_checkpoint
from pretext.runtime.run_dir import RunDir
from pretext.spelling import did_you_mean, first_few
from pretext.tasks import Task, build_task
from pretext.tasks.colorization import ColorizationTask
from pretext.tasks.colorizing import ColorizingTask
from pretext.weights_file import find_weights, flatten_tensors, is_named, read_safetensors

# Name -> file inside the package; the card of each is docs/weights.md.
SHIPPED_WEIGHTS = {"eccv16-photographs": Path(__file__).parent / "weights" / "eccv16-photographs.safetensors"}
MODEL_FILE = "model.safetensors"  # in a folder of `pretext export --format hub`
# A telling key of weights that are refused -> what they are, and how they are used.
OTHER_WEIGHTS = {
    "features.0.weight": (
        "a classifier such as VGG-16, which does not colorize: give it as --init to a training of dahl or larsson"
    ),
    "encoder.arch.downsample_layers.0.0.weight": (
        "DDColor, which is not built in: colorize by its own code, and compare the pictures as --methods.DDColor.folder"
    ),
}
ANSWER_AB = "eccv16, siggraph17, alexnet or resnet50"
ACCEPTED_MODELS = (
    "a shipped network ({}), a run directory, a checkpoint, a file of `pretext export`, or a published .pth"
).format(", ".join(SHIPPED_WEIGHTS))


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A trained network and what belongs to it.

    Attributes:
        network: in evaluation mode, on the CPU.
        task_name: of what it was trained for, in TASKS or `module:Name`.
        task_args: arguments of the task's constructor.
        task_state: what the task carries beside them: the bins of colorization.
        image_size: length in pixels of the short side of the images it was trained on; 256 as published.
        step: optimiser steps behind the weights; None where the file does not say.
        config: of the training; None where the file does not say.
        sha256: of the weights, as `state_hash` computes it.
        path: of the file.
    """

    network: Backbone
    task_name: str
    task_args: Mapping[str, Any]
    task_state: Mapping[str, Any]
    image_size: int
    step: int | None
    config: Mapping[str, Any] | None
    sha256: str
    path: Path

    @property
    def name(self) -> str:
        """Name of the network: in NETWORKS, `timm:NAME` or `module:Name`."""
        return describe_network(self.network).name

    @cached_property
    def task(self) -> Task:
        """What the network was trained for. Raises ValueError where the task's module is not there."""
        task = build_task(self.task_name, self.task_args)
        task.load_state(self.task_state)
        return task

    @property
    def colorizing(self) -> ColorizingTask:
        """The task of a network that colorizes. Raises ValueError if this one was trained for something else."""
        if not isinstance(self.task, ColorizingTask):
            raise ValueError(
                f"{self.origin} was trained for {self.task_name}, so it does not colorize; give weights of a "
                f"colorization task, such as {next(iter(SHIPPED_WEIGHTS))}"
            )
        return self.task

    @property
    def colorization(self) -> ColorizationTask:
        """The task of a network that answers ab. Raises ValueError if this one was trained for something else."""
        if not isinstance(self.colorizing, ColorizationTask):
            raise ValueError(
                f"{self.origin} was trained for {self.task_name} and answers neither ab nor bins of it; give weights "
                f"of {ANSWER_AB}"
            )
        return self.colorizing

    @property
    def bins(self) -> AbBins | None:
        """The bins over which the network answers, None for regression; raises as `colorization`."""
        return self.colorization.ab_bins

    @property
    def temperature(self) -> float:
        """Temperature of the annealed mean in the run's validations; raises as `colorization`."""
        return self.colorization.temperature

    @property
    def origin(self) -> str:
        """The name of a shipped network, whose place differs between machines; the path of any other file."""
        return next((name for name, path in SHIPPED_WEIGHTS.items() if path == self.path), str(self.path))


def load_pretrained(model: str | Path) -> Pretrained:
    """Open a trained network by the name or the place of its weights.

    Args:
        model: a name in SHIPPED_WEIGHTS (./NAME is a file of that name), a run directory, one of its checkpoints, a
            file of `pretext export` or a folder of its `--format hub`, or a published file:
            `colorization_release_v2-*.pth` (eccv16, with temperature 1), `siggraph17-*.pth` (its regression output),
            DeOldify's `Colorize*_gen.pth`, or Larsson's `autocolorize.caffemodel.h5`; see `find_weights`.

    Raises:
        FileNotFoundError: nothing there; the names and forms that are accepted are listed.
        ValueError: the file is damaged or of another kind, or its weights do not fit the network it names, or they
            have NaN or infinite values.
    """
    path = SHIPPED_WEIGHTS.get(str(model), Path(model))
    if not path.exists():
        if str(model) in SHIPPED_WEIGHTS:
            raise FileNotFoundError(
                f"this installation lacks the weights of {model}, which belong at {path}: install "
                "colorization-benchmark again, or copy pretext/weights/ from its source to that place"
            )
        suggestion = did_you_mean(str(model), SHIPPED_WEIGHTS)
        raise FileNotFoundError(f"there are no weights {str(model)!r}{suggestion}: give {ACCEPTED_MODELS}")
    if path.is_dir():
        folder = path
        path = next(filter(Path.exists, (RunDir(folder).last_checkpoint, folder / MODEL_FILE)), folder)
        if path == folder:
            raise ValueError(
                f"{folder} holds neither checkpoints/last.pt nor {MODEL_FILE}; train it first, or name a weights file"
            )
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    if path.suffix == ".h5":
        return _from_caffe(path)
    state = load_checkpoint(path)
    if not {"config", "network", "step"} <= state.keys():
        return _from_published(path, state)
    config = state["config"]
    if "task" in state:
        task = {
            "task_name": config["task"],
            "task_args": config["task_args"],
            "task_state": state["task"],
            "output": state["output"],
        }
    else:
        task = _colorization(state["bins"], config["objective"]["temperature"])
    return _assemble(
        path,
        state["network"],
        NetworkConfig(**config["network"]),
        **task,
        image_size=config["data"]["image_size"],
        step=state["step"],
        config=config,
    )


def _colorization(bins: Mapping[str, Tensor] | None, temperature: float) -> dict[str, Any]:
    """The task of weights from before there were others, with centres and prior or None for regression."""
    if bins is None:
        return {"task_name": "colorization_regression", "output": "ab"}
    return {
        "task_name": "colorization",
        "task_args": {"temperature": temperature},
        "task_state": bins,
        "output": len(bins["centres"]),
    }


def _from_safetensors(path: Path) -> Pretrained:
    weights, metadata = read_safetensors(path)
    if "network" not in metadata:
        return _from_published(path, weights)
    if "sha256" in metadata and metadata["sha256"] != content_hash(weights, metadata):
        raise DamagedFileError(
            f"{path} is damaged: its content differs from the SHA-256 that the export wrote; copy or download it again"
        )
    try:
        network: dict[str, Any] = {"name": metadata["network"], "width": float(metadata["width"])}
        task: dict[str, Any]
        if "task" in metadata:
            network["args"] = json.loads(metadata["network_args"])
            state = json.loads(metadata["task_state"])
            task = {
                "task_name": metadata["task"],
                "task_args": json.loads(metadata["task_args"]),
                "task_state": {name: torch.tensor(value) for name, value in state.items()},
                "output": json.loads(metadata["network_output"]),
            }
        else:
            bins = {name: torch.tensor(json.loads(metadata[name]) or []) for name in ("centres", "prior")}
            regresses = metadata["objective"] == "regression"
            task = _colorization(None if regresses else bins, float(metadata["temperature"]))
        training = {
            "image_size": int(metadata["image_size"]),
            "step": None if metadata["step"] == "None" else int(metadata["step"]),
            "config": json.loads(metadata.get("config", "null")),
        }
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path} has unusable metadata of `pretext export`: {error}") from error
    return _assemble(path, weights, NetworkConfig(**network), **task, **training)


def _from_published(path: Path, contents: Mapping[str, Any]) -> Pretrained:
    names = [name for name, _ in flatten_tensors(contents)]
    if any(is_named(name, "model_class.0.weight") for name in names):
        siggraph17 = NetworkConfig(name="siggraph17")
        return _assemble(path, contents, siggraph17, **_colorization(None, temperature=1.0))
    if any(is_named(name, "layers.10.layers.0.0.weight_orig") for name in names):
        return _deoldify(path, contents)
    if not any(is_named(name, "model_out.weight") for name in names):
        for key, advice in OTHER_WEIGHTS.items():
            if any(is_named(name, key) for name in names):
                raise ValueError(f"{path} holds {advice}")
        raise ValueError(
            f"{path} is neither of `pretext train` or `pretext export` nor the published weights of eccv16, "
            f"siggraph17 or DeOldify; its first keys are {', '.join(map(str, list(names or contents)[:3]))}"
        )
    bins = AbBins.published()
    eccv16 = NetworkConfig(name="eccv16")
    opened = _assemble(path, contents, eccv16, **_colorization(vars(bins), temperature=1.0))
    assert isinstance(opened.network, Eccv16)
    assert opened.network.bin_centres is not None
    if not torch.allclose(opened.network.bin_centres, bins.centres, atol=0.5):
        raise ValueError(
            f"{path} holds other bin centres in model_out than the 313 published ones, so its prior is unknown"
        )
    return opened


def _assemble(
    path: Path,
    contents: Mapping[str, Any],
    described: NetworkConfig,
    *,
    output: Output,
    task_name: str,
    task_args: Mapping[str, Any] = MappingProxyType({}),
    task_state: Mapping[str, Any] = MappingProxyType({}),
    image_size: int = 256,
    step: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> Pretrained:
    network = build_network(described.name, output=output, width=described.width, args=described.args)
    weights = find_weights(path, contents, network.state_dict(), in_words(described))
    network.load_state_dict(weights, strict=False)  # only num_batches_tracked may be missing
    return Pretrained(
        network=network.eval(),
        task_name=task_name,
        task_args=task_args,
        task_state=task_state,
        image_size=image_size,
        step=step,
        config=config,
        sha256=state_hash(network),
        path=path,
    )


def _from_caffe(path: Path) -> Pretrained:
    """Larsson's published `autocolorize.caffemodel.h5`: /data/LAYER/0 are the weights of a layer, 1 its biases.

    Raises ValueError where h5py is not installed, or the file is of something else.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ValueError(str(missing_package(f"the Caffe file {path}", error, "caffe"))) from error
    try:
        with h5py.File(path) as file:
            layers = list(file.get("data", {}))
            contents = {
                f"{layer}.{kind}": torch.from_numpy(blobs[number][()])
                for layer, blobs in file.get("data", {}).items()
                for number, kind in (("0", "weight"), ("1", "bias"))
                if number in blobs
            }
    except OSError as error:
        raise ValueError(f"{path} cannot be read as HDF5: {' '.join(str(error).split())}") from error
    if "h_fc1.weight" not in contents:
        raise ValueError(
            f"{path} does not hold the weights of larsson; its layers are {first_few(layers, 4) or 'none'}"
        )
    network = NetworkConfig(name="larsson", width=len(contents["conv1_1.weight"]) / 64)
    output = 2 * len(contents["prediction_h.weight"])
    return _assemble(
        path,
        contents,
        network,
        output=output,
        task_name="hue_chroma_colorization",
        task_args={"bins": output // 2},
        image_size=512,
    )


def _deoldify(path: Path, contents: Mapping[str, Any]) -> Pretrained:
    """DeOldify's published generators: on ResNet-34 those of `artistic`, on ResNet-101 `stable` and `video`."""
    (deepest,) = (
        tensor for name, tensor in flatten_tensors(contents) if is_named(name, "layers.1.running_mean")
    )
    variant = "artistic" if len(deepest) == 512 else "stable"
    network = NetworkConfig(name="deoldify", args={} if variant == "artistic" else {"variant": variant})
    return _assemble(path, contents, network, output="rgb", task_name="rgb_colorization", image_size=560)


def start_from(network: Backbone, init: str, task: Task) -> str:
    """Copy the weights of a trained network into a new one; what was copied and what was not, in words.

    Where their outputs mean different things, the layers whose size depends on the output stay as they are.

    Args:
        network: made for `task`.
        init: what `load_pretrained` takes; also torchvision's file of a VGG-16 for dahl and larsson, and of its ResNet
            for deoldify.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are unusable, or of another network.
    """
    path, of_classifier = Path(init), network.classifier_weights()
    if of_classifier and path.suffix == ".pth" and path.is_file():
        contents = load_checkpoint(path)
        telling = list(of_classifier)[len(of_classifier) // 2]  # from where layers have names of their own
        if any(is_named(name, telling) for name, _ in flatten_tensors(contents)):
            network.start_from_classifier(find_weights(path, contents, of_classifier, "its classifier"))
            return f"starts from the classifier of {init}"
    trained = load_pretrained(init)
    theirs, ours = describe_network(trained.network), describe_network(network)
    if theirs != ours:
        raise ValueError(
            f"init: {trained.origin} holds {in_words(theirs)}, but {in_words(ours)} is to be trained; set "
            "network.name, network.width and network.args to those of the weights"
        )
    old, new = trained.network.state_dict(), network.state_dict()
    kept = {name for name, tensor in old.items() if name in new and new[name].shape == tensor.shape}
    if isinstance(network.output, int) and not task.has_output_of(trained.task):
        with torch.device("meta"):  # shapes only
            other = type(network)(**arguments_of(network) | {"output": 1}).state_dict()
        kept = {name for name in kept if name in other and other[name].shape == new[name].shape}
    left_new = network.load_state_dict({name: old[name] for name in kept}, strict=False).missing_keys
    step = "" if trained.step is None else f" after step {trained.step}"
    remark = f"; new, for another output: {', '.join(left_new)}" if left_new else ""
    return f"starts from the weights of {trained.origin}{step}{remark}"


def describe_network(network: Backbone) -> NetworkConfig:
    """The keys of a configuration that construct such a network; raises ValueError as `arguments_of`."""
    defaults = signature(type(network)).parameters
    args = {name: value for name, value in arguments_of(network).items() if value != defaults[name].default}
    args.pop("output", None)
    is_timm = isinstance(network, TimmNetwork)
    name = TIMM + args.pop("architecture") if is_timm else name_of(type(network), NETWORKS)
    return NetworkConfig(name=name, width=args.pop("width", 1.0), args=args)


def in_words(network: NetworkConfig) -> str:
    """`eccv16 (width 0.5)`."""
    args = "".join(f", {key} {value}" for key, value in network.args.items())
    return f"{network.name} (width {network.width:g}{args})"


def state_hash(network: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and values of all parameters and buffers, in hexadecimal.

    It identifies weights wherever they are kept: a checkpoint, its export in the same precision and their copies have
    the same.
    """
    return hashlib.sha256(repr(tensor_hashes(network)).encode()).hexdigest()


def tensor_hashes(network: nn.Module) -> dict[str, str]:
    """Name -> SHA-256 over dtype, shape and values of each parameter and buffer."""
    return {
        name: _tensor_hash(tensor) for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    }


def content_hash(weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over all that an exported file holds, but for the entry `sha256` of its metadata, in hexadecimal."""
    stated = sorted((key, value) for key, value in metadata.items() if key != "sha256")
    tensors = sorted((name, _tensor_hash(tensor)) for name, tensor in weights.items())
    return hashlib.sha256(repr((stated, tensors)).encode()).hexdigest()


def _tensor_hash(tensor: Tensor) -> str:
    description = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    values = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(description + values).hexdigest()
