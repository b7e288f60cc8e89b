"""Dockerfile, Apptainer definition and workflow: what can be seen of them without a builder. The workflow builds."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEFINITION = (ROOT / "slurm" / "container.def").read_text()


def test_the_dockerfile_has_instructions_and_targets_that_there_are():
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} == {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "CMD"}
    (target,) = re.findall(r"make (\w+)$", DOCKERFILE, re.MULTILINE)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_both_images_are_made_in_the_same_way_of_a_python_that_is_supported():
    (base,) = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"\nFrom: {base}\n" in DEFINITION
    assert re.search(r"python:3\.1[123]-", base)
    for command in re.findall(r"^RUN (.+)$", DOCKERFILE, re.MULTILINE):
        assert f"\n    {command}\n" in DEFINITION
    (path,) = re.findall(r"^ENV (PATH=.+)$", DOCKERFILE, re.MULTILINE)
    assert f"\n    export {path}\n" in DEFINITION


def test_the_workflow_runs_everything_and_each_supported_python():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    steps = [step.get("run") for job in jobs.values() for step in job["steps"]]
    assert {".ci/run", "make test", "docker build --tag colorization-benchmark ."} <= set(steps)
    assert jobs["python"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
