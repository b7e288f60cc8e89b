"""The launcher up to the moment when it submits, on a machine without Slurm, and without submitting at all."""

import dataclasses
import sys
from pathlib import Path

import pytest
import yaml

from pretext.__main__ import COMMANDS, main
from pretext.cluster.snapshot import outside_modules, snapshot_code
from pretext.cluster.submit import refusal
from pretext.runtime.metrics_log import read_metrics
from tests.end_to_end.small_run import finish, small, start

GOLDEN = Path(__file__).parent / "golden" / "train.sh"
PROFILE = {
    "cluster": "slurm",
    "partition": "gpu",
    "account": "vision",
    "qos": "long",
    "constraint": "a100",
    "container": "image.sqsh",
    "nodes": 2,
    "gpus_per_node": 8,
    "cpus_per_task": 6,
    "memory_gb": 200.5,
    "time_limit_minutes": 240,
    "array_parallelism": 1,
    "environment": ["module load cuda"],
}


@pytest.fixture
def profile(tmp_path):
    """Writes a profile; the way to it."""

    def write(**values):
        path = tmp_path / "profile.yaml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    return write


@pytest.fixture
def pretext(monkeypatch, capsys, tmp_path):
    """Runs a command line here, where no program of Slurm is found; returns status, output and complaint."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def run(*argv):
        status = main([*map(str, argv)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_a_dry_run_prints_the_golden_script_and_configurations_that_the_command_reads_and_leaves_nothing(
    pretext, profile, tmp_path
):
    """Every key of the profile is in it; tests/slurm gives scripts made so to a real sbatch."""
    argv = small(tmp_path / "runs")
    status, printed, _ = pretext(
        *argv, "--cluster", profile(**PROFILE), "--dry-run", "--after", 42, "--sweep", "optim.lr=1e-3,1e-4"
    )
    assert status == 0
    script, *configs = printed.replace(sys.executable, "PYTHON").split(f"\n# {tmp_path}/runs/")
    assert script.replace(str(tmp_path), "/home") == GOLDEN.read_text()
    for text, lr in zip(configs, ("1e-3", "1e-4"), strict=True):
        name, _, config = text.partition("\n")
        assert name == f"optim.lr={lr}"
        path = tmp_path / "config.yaml"
        path.write_text(config)
        asked = COMMANDS["train"].parse(
            [*argv[1:], "--optim.lr", lr, "--run_dir", str(tmp_path / "runs" / name)]
        )
        assert COMMANDS["train"].parse([str(path)]) == asked
        assert dataclasses.asdict(asked)["optim"]["lr"] == float(lr)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("command", "values", "flags", "message"),
    [
        (
            ["prior", "sample"],
            {"cluster": "slurm"},
            [],
            "this command is quick and runs on this machine only",
        ),
        (None, {"cluster": "slurm"}, [], "there is no Slurm on this machine"),
        (
            None,
            {"cluster": "slurm", "nodez": 2},
            [],
            "unknown configuration key 'nodez' (did you mean 'nodes'?)",
        ),
        (None, {"cluster": "slurm"}, ["--sweep", "sed=1,2"], "unknown configuration key 'sed'"),
        (None, {"cluster": "local", "nodes": 2}, [], "nodes is 2; use cluster: slurm"),
        (None, {"cluster": "local"}, ["--after", "7"], "--after 7 is given; use cluster: slurm"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_one_line_and_leaves_nothing(
    pretext, profile, tmp_path, command, values, flags, message
):
    argv = command or small(tmp_path / "run")
    status, _, complaint = pretext(*argv, "--cluster", profile(**values), *flags)
    assert status == 2
    assert message in complaint
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_help_beside_a_profile_explains_the_profiles_keys(pretext, profile, capsys):
    with pytest.raises(SystemExit, match="0"):
        pretext("train", "--cluster", profile(cluster="slurm"), "--help")
    assert "--signal_delay_seconds" in capsys.readouterr().out


def test_sbatchs_own_words_are_on_one_line_and_once():
    message = (
        "subprocess.CalledProcessError: Command '['sbatch', 'x.sh']' returned non-zero exit status 1.\n"
        "sbatch: error: invalid partition specified: nope\nsbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    )
    assert refusal(message) == (
        "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
    )
    assert refusal("Connection\nrefused") == "Connection refused"


def test_the_snapshot_is_all_of_the_packages_but_byte_code_and_nothing_of_the_previous_job(tmp_path):
    code = tmp_path / "code"
    for file in ("pretext/color/lab.py", "pretext/color/bins.npy", "pretext/color/__pycache__/lab.pyc"):
        (tmp_path / "root" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / file).touch()
    for package in ("eval_colorization", "transfer", "tests"):
        (tmp_path / "root" / package).mkdir()
    (code / "pretext").mkdir(parents=True)
    (code / "pretext" / "old.py").touch()
    snapshot_code(tmp_path / "root", code, {})
    assert sorted(file.name for file in code.rglob("*.*")) == ["bins.npy", "lab.py"]
    assert not (code / "tests").exists()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory of a user with modules."""
    folder = tmp_path / "here"
    (folder / "own_parts").mkdir(parents=True)
    for name in ("own_photos.py", "own_parts/__init__.py", "own_parts/layers.py", "unused.py"):
        (folder / name).write_text("class Thing: pass\n")
    (folder / "own_network.py").write_text("from own_parts.layers import Thing\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def test_the_snapshot_takes_along_the_users_modules_that_a_configuration_names_and_what_they_import(
    here, tmp_path
):
    @dataclasses.dataclass
    class Config:
        network: dict
        data: list
        title: str

    config = Config(
        network={"name": "own_network:Thing", "args": {"depth": 3}},
        data=["own_photos:Thing:some/folder", "voc:VOC2007:test"],
        title="Colours:good",
    )
    files = outside_modules("train", config)
    assert sorted(map(str, files)) == [
        "own_network.py",
        "own_parts/__init__.py",
        "own_parts/layers.py",
        "own_photos.py",
    ]
    snapshot_code(Path(__file__).parents[2], tmp_path / "code", files)
    assert (tmp_path / "code" / "own_network.py").read_text() == "from own_parts.layers import Thing\n"


def test_debug_runs_in_this_process(pretext, profile, tmp_path):
    status, printed, _ = pretext(*small(tmp_path / "run", steps=1), "--cluster", profile(cluster="debug"))
    assert status == 0
    assert f"checkpoint  {tmp_path}/run/checkpoints/last.pt" in printed
    assert not (tmp_path / "run" / "job").exists()


@pytest.mark.slow
def test_debug_and_local_end_with_the_commands_own_status(profile, tmp_path):
    for cluster in ("debug", "local"):
        argv = small(tmp_path / cluster, data__train="/nowhere")
        with start([*argv, "--cluster", profile(cluster=cluster), "--wait"]) as process:
            output = process.stdout.read()
        assert process.returncode == 2, output
        assert "/nowhere is not a folder" in output


@pytest.mark.slow
def test_a_local_job_runs_in_two_processes_in_the_background_and_wait_follows_it(profile, tmp_path):
    flags = ["--cluster", profile(cluster="local", tasks_per_node=2), "--wait"]
    printed = finish([*small(tmp_path / "run", steps=2), *flags])
    assert "on cpu x 2" in printed
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 2
