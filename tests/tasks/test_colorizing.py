"""What holds of all networks that colorize in their own way: larsson, dahl, deoldify and scene_context."""

import numpy as np
import pytest
import torch
from PIL import Image

import eval_colorization
import pretext
from pretext.__main__ import main
from pretext.config import ExportConfig
from pretext.export import export_weights
from pretext.images.sample import sample_source
from pretext.networks import build_network
from pretext.pretrained import load_pretrained
from pretext.tasks import build_task
from pretext.weights_file import read_safetensors

SYSTEMS = [
    ("hue_chroma_colorization", "larsson", 64, "logits over the bins"),
    ("uv_colorization", "dahl", 60, "U and V of Y'UV, squashed into [0, 1]"),
    ("rgb_colorization", "deoldify", 64, "RGB, in [0, 1] and a little beyond"),
    (
        "scene_context_colorization",
        "scene_context",
        60,
        "several, by name, with their channels: bins 313, ab 2",
    ),
]


@pytest.mark.parametrize(("task", "name", "nearest"), [system[:3] for system in SYSTEMS])
def test_a_picture_keeps_its_size_and_its_transparency(task, name, nearest):
    torch.manual_seed(0)
    task = build_task(task, {})
    network = build_network(name, output=task.output, width=0.125).eval()
    picture = sample_source("train").open(0).resize((70, 50))
    picture.putalpha(Image.linear_gradient("L").resize((70, 50)))
    colorizer = task.colorizer(network, 60)
    assert colorizer.size == nearest  # multiple of what the network takes
    colorized = colorizer(picture)
    assert (colorized.mode, colorized.size) == ("RGBA", (70, 50))
    assert np.array_equal(np.array(colorized)[..., 3], np.array(picture)[..., 3])
    with pytest.raises(ValueError, match="must be at least 1 pixel"):
        task.colorizer(network, 0)
    with pytest.raises(ValueError, match="takes no hints"):
        colorizer(picture, [pretext.Hint(x=1, y=1, colour="red")])


@pytest.mark.parametrize(
    ("task", "name", "answers"), [(task, name, answers) for task, name, _, answers in SYSTEMS]
)
def test_a_trained_one_exports_colorizes_and_is_reported(task, name, answers, tmp_path):
    words = [f"--task={task}", f"--network.name={name}", "--network.width=0.125", "--optim.lr=1e-3"]
    sizes = ["--data.image_size=80", "--data.crop_size=64", "--data.num_workers=0", "--batch_size=9"]
    run = tmp_path / "run"
    assert (
        main(
            ["train", "--data.train=sample", *words, *sizes, "--steps=3", "--device=cpu", f"--run_dir={run}"]
        )
        == 0
    )
    results = eval_colorization.evaluate(
        {name: load_pretrained(run)}, "sample", image_size=48, resamples=10, num_workers=0, device="cpu"
    )
    assert 5 < results.summaries[name]["psnr"].value < 60
    exported = export_weights(ExportConfig(model=str(run)))
    assert read_safetensors(exported)[1]["output"] == answers
    assert load_pretrained(exported).sha256 == load_pretrained(run).sha256
    (picture,) = pretext.colorize([sample_source("train").open(0).resize((40, 30))], run, device="cpu")
    assert picture.size == (40, 30)
