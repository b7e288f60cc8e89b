"""Trainings of a few seconds."""

import os
import subprocess
import sys
from pathlib import Path

from pretext.__main__ import main

# A network and images as small as they come: what is tested is everything around them.
SMALL = {
    "data.train": "sample",
    "data.validation": "sample",
    "data.image_size": "40",
    "data.crop_size": "32",
    "data.num_workers": "0",
    "network.width": "0.125",
    "batch_size": "4",
    "optim.lr": "1e-3",
    "device": "cpu",
    "log_every": "1",
    "steps": "4",
    "validate_every": "100",
    "save_every": "2",
    "gallery_images": "2",
}

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
"""Starts the script or the module that follows in two processes."""


def small(run_dir, **changes):
    """Command line of a small training; `data__train="..."` changes data.train."""
    values = (
        SMALL | {"run_dir": str(run_dir)} | {key.replace("__", "."): str(v) for key, v in changes.items()}
    )
    return ["train", *(f"--{key}={value}" for key, value in values.items())]


def trained(run_dir, **changes) -> Path:
    """`run_dir` after a small training in this process, which takes a second; a process of its own takes five."""
    status = main(small(run_dir, **changes))
    assert status == 0, status
    return run_dir


def start(argv, *, launcher=(sys.executable, "-m", "pretext"), threads=1, folder=None):
    """A process of its own, in `folder` if one is given, its output in one pipe."""
    return subprocess.Popen(
        [*launcher, *argv],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(argv, **options):
    """Run to the end; the output. Options as for `start`."""
    with start(argv, **options) as process:
        output = process.stdout.read()
    assert process.returncode == 0, output
    return output
