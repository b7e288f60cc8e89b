"""`pretext weights`: which trained networks there are, and what is in a file of one."""

from pretext.config import WeightsConfig
from pretext.networks.backbone import Output
from pretext.pretrained import SHIPPED_WEIGHTS, Pretrained, describe_network, in_words, load_pretrained
from pretext.runtime.aligned import aligned
from pretext.weights_file import read_safetensors

# Published files that `load_pretrained` opens -> whose network is in them.
PUBLISHED_WEIGHTS = {
    "colorization_release_v2-9b330a0b.pth": "eccv16 of Zhang, Isola, Efros 2016",
    "siggraph17-df00044c.pth": "siggraph17 of Zhang et al. 2017, with hints",
    "ColorizeArtistic_gen.pth": "DeOldify on ResNet-34",
    "ColorizeStable_gen.pth": "DeOldify on ResNet-101",
    "ColorizeVideo_gen.pth": "DeOldify on ResNet-101, for films",
    "autocolorize.caffemodel.h5": "larsson of Larsson, Maire, Shakhnarovich 2016",
}

_OUTPUTS: dict[str | None, str] = {
    None: "the deepest stage",
    "ab": "ab / 110",
    "rgb": "RGB, in [0, 1] and a little beyond",
    "uv": "U and V of Y'UV, squashed into [0, 1]",
}


def describe_weights(config: WeightsConfig) -> None:
    """Print what is in each of `config.models`, or without any which networks are shipped and which files open.

    Raises:
        FileNotFoundError, ValueError: see `load_pretrained`.
    """
    if config.models:
        print(
            "\n\n".join(
                aligned(list(_description(load_pretrained(model)).items()), 2) for model in config.models
            )
        )
        return
    shipped = [(f"  {name}", read_safetensors(path)[1]["title"]) for name, path in SHIPPED_WEIGHTS.items()]
    published = [(f"  {name}", words) for name, words in PUBLISHED_WEIGHTS.items()]
    print(f"shipped:\n{aligned(shipped, 2)}\n\npublished files that open here:\n{aligned(published, 2)}")
    print(
        "\nand run directories, checkpoints and files of `pretext export`: 'pretext weights FILE' says what is inside"
    )


def facts_of(of: Pretrained) -> dict[str, str]:
    """What a trained network is, its training, and what goes in and out."""
    network = of.network
    parameters = sum(parameter.numel() for parameter in network.parameters())
    task_args = "".join(f", {key} {value}" for key, value in of.task_args.items())
    return {
        "network": f"{in_words(describe_network(network))}, {parameters / 1e6:.1f} M parameters",
        "task": of.task_name + task_args,
        "steps": "unknown" if of.step is None else f"{of.step:,}",
        "image size": f"{of.image_size} px",
        "input": f"{network.input}, seen as {network.normalisation}",
        "output": f"{output_in_words(network.output)}, at stride {network.output_stride}",
        "SHA-256": of.sha256,
    }


def output_in_words(output: Output) -> str:
    """What the numbers are that a network answers with."""
    if isinstance(output, dict):
        return f"several, by name, with their channels: {', '.join(f'{name} {of}' for name, of in output.items())}"
    return "logits over the bins" if isinstance(output, int) else _OUTPUTS[output]


def _description(of: Pretrained) -> dict[str, str]:
    stages = of.network.stages.items()
    listed = ", ".join(f"{name} {channels} / {stride}" for name, (channels, stride) in stages)
    return {"file": str(of.path), **facts_of(of), "channels / stride": listed}
