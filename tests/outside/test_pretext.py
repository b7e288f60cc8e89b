"""Networks, tasks and images of a user's own, through every command that meets them."""

import json
import sys
from pathlib import Path

import pytest
import torch

import pretext
from pretext.__main__ import main
from transfer.__main__ import main as transfer

TRAIN = [
    "train",
    "--task=mytasks:Rotation",
    "--network.name=mynets:Tiny",
    "--network.args.depth=2",
    "--network.width=0.5",
    "--data.train=mydata:Photos:photos.txt",
    "--data.validation=sample",
    "--data.image_size=40",
    "--data.crop_size=32",
    "--data.num_workers=0",
    "--device=cpu",
    "--batch_size=2",
    "--save_every=1",
    "--log_every=1",
    "--run_dir=run",
]


def rows(run_dir):
    return [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]


def test_a_network_a_task_and_images_of_ones_own_train_resume_export_and_transfer(project, capsys):
    assert main([*TRAIN, "--steps=2"]) == 0, capsys.readouterr().err
    assert main([*TRAIN, "--steps=4"]) == 0
    assert "resumes after step 2 of 4" in capsys.readouterr().out
    assert [row["step"] for row in rows("run") if "loss" in row] == [1, 2, 3, 4]
    assert {"validation_loss", "validation_accuracy"} <= rows("run")[-1].keys()
    assert main(["export", "run", "--out", "tiny.safetensors"]) == 0
    opened = [pretext.load_pretrained(path) for path in ("run", "tiny.safetensors")]
    assert opened[0].sha256 == opened[1].sha256
    for one in opened:
        assert (one.name, one.network.width, one.network.depth) == ("mynets:Tiny", 0.5, 2)
        assert (one.task_name, one.task.turns) == ("mytasks:Rotation", 4)
    data = ["--data.train=sample", "--data.test=sample", "--data.image_size=40", "--data.crop_size=32"]
    few = ["--data.num_workers=0", "--device=cpu", "--epochs=1", "--batch_size=5"]
    # The task's module is not needed for that, the network's is.
    (project / "mytasks.py").unlink()
    sys.modules.pop("mytasks")
    capsys.readouterr()
    assert transfer(["linear", "--backbone.model=run", *data, *few, "--out=linear"]) == 0, capsys.readouterr()
    (project / "mynets.py").unlink()
    sys.modules.pop("mynets")
    assert transfer(["linear", "--backbone.model=run", *data, *few, "--out=other"]) == 2
    error = capsys.readouterr().err
    assert "network mynets:Tiny: there is no module mynets in" in error
    assert len(error.strip().splitlines()) == 1


def test_a_run_started_from_python_resumes_and_loads_as_one_of_the_command(project, capsys):
    from mynets import Tiny
    from mytasks import Rotation

    keys = {
        "run_dir": "run",
        "batch_size": 2,
        "image_size": 40,
        "crop_size": 32,
        "num_workers": 0,
        "device": "cpu",
    }
    for steps in (1, 2):
        torch.manual_seed(0)
        trained = pretext.train(
            Rotation(), Tiny(depth=2), "photographs", steps=steps, validation="sample", **keys
        )
        assert (trained.name, trained.network.depth, trained.step) == ("mynets:Tiny", 2, steps)
    assert "resumes after step 1 of 2" in capsys.readouterr().out
    assert pretext.load_pretrained("run").sha256 == trained.sha256
    with pytest.raises(ValueError, match="there is no key of a training 'lrr'"):
        pretext.train(Rotation(), Tiny(), "photographs", run_dir="other", steps=1, lrr=1)
    with pytest.raises(ValueError, match="the network's output is 'ab', but the task asks for None"):
        pretext.train(Rotation(), Tiny(output="ab"), "photographs", run_dir="other", steps=1)


class Pairs:
    """A data set as torchvision makes them."""

    def __init__(self, folder):
        self.files = sorted(Path(folder).iterdir())

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return pretext.open_rgb(self.files[index]), 0


@pytest.mark.parametrize("network", ["eccv16", "siggraph17", "alexnet", "resnet50"])
def test_a_task_of_ones_own_trains_every_built_in_network_on_any_data_set(project, network):
    from mytasks import Rotation

    built = pretext.build_network(network, output=None, width=0.125)
    keys = {"image_size": 40, "crop_size": 32, "num_workers": 0, "device": "cpu", "batch_size": 2}
    before = [parameter.clone() for parameter in built.parameters()]
    pretext.train(
        Rotation(), built, Pairs("photographs"), run_dir="run", steps=1, validation="sample", **keys
    )
    assert any(not torch.equal(old, new) for old, new in zip(before, built.parameters(), strict=True))


def test_a_network_of_ones_own_learns_to_colorize_and_colorizes(project):
    from mynets import Tiny

    task = pretext.ColorizationRegression()
    keys = {"image_size": 40, "crop_size": 32, "num_workers": 0, "device": "cpu", "batch_size": 2}
    trained = pretext.train(
        task, Tiny(output=task.output), "photographs", run_dir="run", steps=1, validation="sample", **keys
    )
    (colorized,) = pretext.colorize(["photographs/chelsea.png"], trained)
    assert colorized.size == pretext.open_rgb(Path("photographs/chelsea.png")).size


def test_weights_of_a_task_that_does_not_colorize_are_refused_by_colorize(project, capsys):
    assert main([*TRAIN, "--steps=1"]) == 0
    assert main(["colorize", "photographs", "--weights=run", "--out=colorized"]) == 2
    assert "was trained for mytasks:Rotation, so it does not colorize" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--network.name=mynet:Tiny", "network mynet:Tiny: there is no module mynet in"),
        ("--network.name=mynets:Tinny", "has no Tinny (did you mean 'Tiny'?)"),
        ("--network.args.dept=2", "network mynets:Tiny takes no argument 'dept' (did you mean 'depth'?)"),
        ("--network.args.depth=many", 'network mynets:Tiny: Parser key "depth"'),
        ("--task_args.turn=3", "task mytasks:Rotation takes no argument 'turn' (did you mean 'turns'?)"),
        ("--data.train=mydata:Photo:photos.txt", "has no Photo (did you mean 'Photos'?)"),
    ],
)
def test_a_mistake_in_naming_ones_own_is_one_line_that_says_what_to_do(project, capsys, change, message):
    assert main([*TRAIN, "--steps=1", change]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not Path("run").exists()


def test_a_probe_of_ones_own_is_logged_and_leaves_the_weights_as_they_are(project, capsys):
    probe = '--probes=[{name: health, every: 1, probe: "myprobes:DeadChannels", args: {size: 32}}]'
    assert main([*TRAIN, "--steps=2", probe]) == 0, capsys.readouterr().err
    assert [row["step"] for row in rows("run") if "health_seconds" in row] == [1, 2]
    assert all(0 <= row["health_conv1"] <= 100 for row in rows("run") if "health_seconds" in row)
    assert main([*TRAIN, "--steps=2", "--run_dir=plain"]) == 0
    probed, plain = (pretext.load_pretrained(folder) for folder in ("run", "plain"))
    assert probed.sha256 == plain.sha256
