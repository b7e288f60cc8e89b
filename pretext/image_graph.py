"""Networks as graphs that run without this project: ONNX, and PyTorch's own exported programs."""

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretext.colorizer import Colorizer
from pretext.networks.backbone import Backbone
from pretext.optional import missing_package
from pretext.pretrained import Pretrained
from pretext.runtime.whole_file import whole_file
from pretext.spelling import unknown_name
from pretext.tasks.colorization import ColorizationTask

# Of the images with which a graph for any size is recorded; unlike, so that neither side is fixed to the other.
EXAMPLE_SIZE = (224, 256)


class ImageGraph(nn.Module):
    """A network with what it does to RGB first: the module that is exported.

    Args:
        network: in evaluation mode.
        outputs: stages, `output` for what the network answers, and `ab`.
        colorizer: which decodes the answers for `ab`.
    """

    def __init__(self, network: Backbone, outputs: Sequence[str], colorizer: Colorizer | None = None) -> None:
        super().__init__()
        self.network = network
        self._stages = [name for name in outputs if name in network.stages]
        self._answers = [name for name in outputs if name not in network.stages]
        self._colorizer = colorizer

    def forward(self, rgb: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """Each of the outputs by its name; several heads have their own names.

        Args:
            rgb: in [0, 1].
        """
        seen = self.network.see(rgb)
        results: dict[str, Tensor] = {}
        if self._stages:
            results |= self.network.forward_stages(seen, self._stages)
        # The exporter to ONNX merges what the answers have in common with the stages; a program computes it again.
        for name in self._answers:
            if name == "ab":
                assert self._colorizer is not None
                results["ab"] = self._colorizer.predict_ab(seen)
            else:
                answer = self.network(seen)
                results |= answer if isinstance(answer, dict) else {name: answer}
        return results


def export_graph(
    pretrained: Pretrained,
    format: Literal["onnx", "torch_export"],
    outputs: Sequence[str] | None,
    size: int | None,
    metadata: Mapping[str, str],
    out: Path,
) -> None:
    """Record a network as a graph from RGB to `outputs`, and write it.

    Args:
        pretrained: the network.
        format: onnx, or torch_export for an exported program of PyTorch.
        outputs: stages, `output` and `ab`; None takes all stages.
        size: height and width of the images in pixels; None takes images of any size.
        metadata: to be kept in the file.
        out: the file.

    Raises:
        ValueError: there is no such output, the network does not take images of such a size, or ONNX's packages are
            missing.
    """
    network = pretrained.network
    outputs = list(network.stages) if outputs is None else outputs
    possible = [*network.stages]
    if network.output is not None:
        possible.append("output")
    colorizer = None
    if isinstance(pretrained.task, ColorizationTask):
        possible.append("ab")
        colorizer = pretrained.task.colorizer(network)
    for name in outputs:
        if name not in possible:
            raise ValueError(unknown_name("output", name, possible))
    graph = ImageGraph(network, outputs, colorizer).eval()
    multiple = network.input_multiple
    sides = [-(-side // multiple) * multiple for side in EXAMPLE_SIZE] if size is None else [size, size]
    example = torch.rand(2, 3, *sides)
    with torch.no_grad():
        names = list(graph(example))
    if size is None:
        print("recording a graph for images of any size; --size N makes one for N x N pixels alone")
    metadata = {
        **metadata,
        "sha256": pretrained.sha256,  # of the weights, not of the file
        "input": "RGB in [0, 1], shape (batch, 3, height, width), sRGB",
        "outputs": json.dumps(names),
    }
    if format == "onnx":
        _write_onnx(graph, example, size is None, names, metadata, out)
    else:
        _write_program(graph, example, size is None, metadata, out)


def _write_program(
    graph: ImageGraph, example: Tensor, any_size: bool, metadata: Mapping[str, str], out: Path
) -> None:
    free = torch.export.Dim.DYNAMIC
    sides = {0: free, 2: free, 3: free} if any_size else {0: free}
    program = torch.export.export(graph, (example,), dynamic_shapes=(sides,))
    with whole_file(out) as temporary, temporary.open("wb") as file:
        torch.export.save(program, file, extra_files={"metadata.json": json.dumps(metadata)})


def _write_onnx(
    graph: ImageGraph,
    example: Tensor,
    any_size: bool,
    names: list[str],
    metadata: Mapping[str, str],
    out: Path,
) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(str(missing_package("an export to ONNX", error, "onnx"))) from error
    sides = {0: "batch", 2: "height", 3: "width"} if any_size else {0: "batch"}
    with contextlib.redirect_stdout(io.StringIO()):  # what the exporter says of its steps
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            input_names=["rgb"],
            output_names=names,
            dynamic_shapes=(sides,),
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    with whole_file(out) as temporary:
        program.save(temporary)
