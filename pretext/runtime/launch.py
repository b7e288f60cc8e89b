"""Sending a command to a cluster, through submitit: snapshot of the code, job or array, and following it."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import submitit
import yaml
from submitit.core.utils import FailedJobError
from submitit.slurm import slurm

import pretext
from pretext.runtime.cluster_profile import ClusterProfile
from pretext.runtime.command_line import Command, parse_config, run_command
from pretext.runtime.follow import Submitted, follow, states_in_queue, sweep_table
from pretext.runtime.job import Job, JobFolder
from pretext.runtime.launch_options import LaunchOptions, split_launch_options


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a launch: its command line, its configuration and its directory."""

    name: str
    argv: list[str]
    config: Any
    run_dir: Path


def launch(prog: str, name: str, commands: Mapping[str, Command], argv: Sequence[str]) -> None:
    """Send the command line `prog name argv`, or a sweep of it, where its --cluster says.

    Raises:
        ValueError: the profile, the command's own configuration or the sweep is wrong, or the cluster refuses the job.
        RunFailedError: with --wait, the job failed; its exit status is the job's.
    """
    argv, options = split_launch_options(argv)
    profile = parse_config(f"{prog} {name} --cluster", ClusterProfile, options.profile, "PROFILE")
    runs = plan_runs(commands[name], argv, options)
    base = runs[0].run_dir if not options.sweep else runs[0].run_dir.parent
    folder = JobFolder(base)
    parameters = slurm_parameters(profile, f"{prog} {name}", folder.code, options.after)
    if options.dry_run:
        _print_plan(runs, profile, parameters, folder)
        return
    if profile.cluster == "debug":
        for run in runs:
            status = run_command(prog, commands, [name, *run.argv])
            if status:
                sys.exit(status)
        return
    _refuse_second_job(profile, folder)
    folder.submitit.mkdir(parents=True, exist_ok=True)
    snapshot_code(folder.code)
    for run in runs:
        JobFolder(run.run_dir).path.mkdir(parents=True, exist_ok=True)
    launchable = commands[name].launchable
    assert launchable is not None
    jobs = [
        Job(prog=prog, argv=(name, *run.argv), run_dir=run.run_dir.absolute(), progress=launchable.progress)
        for run in runs
    ]
    found = _submit(profile, parameters, folder, jobs)
    submitted = [
        Submitted(name=run.name, run_dir=run.run_dir, id=job.job_id, log=job.paths.stdout, job=job)
        for run, job in zip(runs, found, strict=True)
    ]
    folder.last_id.write_text(submitted[0].id.partition("_")[0])
    _print_submitted(submitted, profile)
    if options.wait:
        status = follow(submitted, on_slurm=profile.cluster == "slurm")
        if options.sweep:
            print(sweep_table(submitted))
        if status:
            sys.exit(status)


def plan_runs(command: Command, argv: Sequence[str], options: LaunchOptions) -> list[Run]:
    """The run of `argv`, or those of the sweep, each in a directory of its own below that of `argv`."""
    launchable = command.launchable
    if launchable is None:
        raise ValueError("this command is quick and runs on this machine only; leave out --cluster")
    config = launchable.parse(argv)
    run_dir = Path(getattr(config, launchable.folder))
    if not options.sweep:
        return [Run(name=str(run_dir), argv=list(argv), config=config, run_dir=run_dir)]
    runs = []
    for values in options.combinations():
        name = ",".join(f"{key}={value}" for key, value in values.items()).replace("/", "_")
        own = [word for key, value in values.items() for word in (f"--{key}", value)]
        run_argv = [*argv, *own, f"--{launchable.folder}", str(run_dir / name)]
        runs.append(Run(name=name, argv=run_argv, config=launchable.parse(run_argv), run_dir=run_dir / name))
    return runs


def slurm_parameters(profile: ClusterProfile, job_name: str, code: Path, after: str | None) -> dict[str, Any]:
    """The profile as submitit's parameters of a Slurm job."""
    tasks = profile.tasks_per_node or max(1, profile.gpus_per_node)
    parameters: dict[str, Any] = {
        "job_name": job_name,
        "time": profile.time_limit_minutes,
        "nodes": profile.nodes,
        "ntasks_per_node": tasks,
        "cpus_per_task": profile.cpus_per_task,
        "signal_delay_s": profile.signal_delay_seconds,
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True},
        # If one task fails the others wait for it in vain.
        "srun_args": ["--kill-on-bad-exit=1"],
        "setup": [
            *profile.environment,
            f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{profile.cpus_per_task}}}",
            *use_code(code),
        ],
    }
    for key in ("partition", "account", "qos", "constraint", "array_parallelism"):
        if getattr(profile, key) is not None:
            parameters[key] = getattr(profile, key)
    if profile.gpus_per_node:
        parameters["gpus_per_node"] = profile.gpus_per_node
    if profile.memory_gb is not None:
        parameters["mem"] = f"{round(profile.memory_gb * 1024)}MB"
    if profile.container is not None:
        parameters["srun_args"].append(f"--container-image={profile.container}")
    if after is not None:
        parameters["dependency"] = f"afterok:{after}"
        parameters["additional_parameters"]["kill-on-invalid-dep"] = "yes"
    return parameters


def use_code(code: Path) -> list[str]:
    """Lines of shell after which Python takes this project's packages from `code`, not from where the job starts."""
    return [
        f"export PYTHONPATH={shlex.quote(str(code.absolute()))}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export PYTHONSAFEPATH=1",
    ]


def snapshot_code(code: Path) -> None:
    """Copy this project's packages into `code`, so that no later edit reaches an attempt of the job.

    From a git checkout all that git tracks or does not ignore is taken, local changes included; an installed
    package is copied as it is.
    """
    shutil.rmtree(code, ignore_errors=True)
    root = Path(pretext.__file__).parents[1]
    packages = ("pretext", "eval_colorization", "transfer")
    if (root / ".git").exists():
        command = [
            "git",
            "-C",
            str(root),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            *packages,
        ]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        files = [Path(name) for name in listed.split("\0") if name]
    else:
        files = [file.relative_to(root) for package in packages for file in (root / package).rglob("*.*")]
    for file in files:
        if (root / file).is_file():
            (code / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / file, code / file)


def _submit(
    profile: ClusterProfile, parameters: dict[str, Any], folder: JobFolder, jobs: Sequence[Job]
) -> list[submitit.Job[None]]:
    executor: submitit.SlurmExecutor | submitit.LocalExecutor
    if profile.cluster == "local":
        if profile.nodes > 1:
            raise ValueError(f"cluster: local is this machine alone, but nodes is {profile.nodes}")
        for line in use_code(folder.code):
            key, _, value = line.removeprefix("export ").partition("=")
            os.environ[key] = str(folder.code.absolute()) if key == "PYTHONPATH" else value
        executor = submitit.LocalExecutor(folder.submitit)
        executor.update_parameters(
            timeout_min=profile.time_limit_minutes,
            tasks_per_node=parameters["ntasks_per_node"],
            gpus_per_node=profile.gpus_per_node,
            signal_delay_s=profile.signal_delay_seconds,
            stderr_to_stdout=True,
        )
        return [executor.submit(job) for job in jobs]
    if shutil.which("srun") is None:
        raise ValueError(
            "there is no Slurm on this machine (no srun); log in where there is, or set cluster: local"
        )
    executor = submitit.SlurmExecutor(folder.submitit, max_num_timeout=profile.max_timeouts)
    executor.update_parameters(**parameters)
    try:
        if len(jobs) == 1:
            return [executor.submit(jobs[0])]
        with executor.batch():
            found = [executor.submit(job) for job in jobs]
    except FailedJobError as error:
        raise ValueError(f"the cluster refused the job: {refusal(str(error))}") from error
    return found  # whose ids are known once the batch is over


def refusal(message: str) -> str:
    """sbatch's own words in a failed submission."""
    lines = [line.split("error:", 1)[1].strip() for line in message.splitlines() if "error:" in line]
    return "; ".join(dict.fromkeys(lines)) or " ".join(message.split())


def _refuse_second_job(profile: ClusterProfile, folder: JobFolder) -> None:
    """Two jobs must not write one run directory."""
    if profile.cluster == "slurm" and folder.last_id.exists():
        last = folder.last_id.read_text()
        if states_in_queue([last]):
            raise ValueError(
                f"{folder.path.parent} is being written by job {last}; follow it, cancel it (scancel {last}), or give "
                "another directory"
            )


def _print_plan(
    runs: Sequence[Run], profile: ClusterProfile, parameters: dict[str, Any], folder: JobFolder
) -> None:
    if profile.cluster == "slurm":
        logs = folder.submitit.absolute()
        command = shlex.join([sys.executable, "-u", "-m", "submitit.core._submit", str(logs)])
        map_count = len(runs) if len(runs) > 1 else None
        print(slurm._make_sbatch_string(command=command, folder=logs, map_count=map_count, **parameters))
    for run in runs:
        print(f"# {run.run_dir}\n{yaml.safe_dump(asdict(run.config), sort_keys=False)}")


def _print_submitted(submitted: Sequence[Submitted], profile: ClusterProfile) -> None:
    first = submitted[0].id.partition("_")[0]
    what = f"job {first}" if len(submitted) == 1 else f"job {first}, an array of {len(submitted)} runs"
    print(what)
    for run in submitted:
        print(f"  run directory  {run.run_dir}\n  log            {run.log}")
    print(f"  follow         tail -F {shlex.quote(str(submitted[0].log))}")
    if profile.cluster == "slurm":
        print(f"  state          squeue -j {first}\n  cancel         scancel {first}", flush=True)
    else:
        print(f"  cancel         kill {first}", flush=True)
