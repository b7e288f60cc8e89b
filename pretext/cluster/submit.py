"""Sending a command to a cluster, through submitit: snapshot of the code, job or array, and following it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
import yaml
from submitit.core.utils import FailedJobError
from submitit.slurm import slurm

import pretext
from pretext.cluster.follow import Submitted, follow, sweep_table
from pretext.cluster.job import Job, JobFolder, run_command_line
from pretext.cluster.profile import ClusterProfile, split_launch_options
from pretext.cluster.snapshot import outside_modules, snapshot_code
from pretext.cluster.states import accounted_states, states_in_queue
from pretext.cluster.torchrun_script import torchrun_script
from pretext.outside import function_at
from pretext.runtime.command_line import Command, parse_config

# Reasons for which a cluster that does not enforce its partitions' limits keeps a job in the queue for ever.
NEVER_STARTS = ("PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a launch: its command line, its configuration and its directory."""

    name: str
    argv: list[str]
    config: Any
    run_dir: Path


def launch(prog: str, name: str, command: Command, argv: Sequence[str]) -> None:
    """Send the command line `prog name argv`, or a sweep of it, where its --cluster says.

    Args:
        prog: a console script, whose module `prog.__main__` has a function `main` of the command line.
        name: of its sub-command `command`.
        argv: what follows the name.

    Raises:
        ValueError: the profile, the command's own configuration or the sweep is wrong, or the cluster refuses the job.
        SystemExit: a job in this process, or one that --wait followed, has failed; the status is the job's.
    """
    argv, options = split_launch_options(argv)
    try:
        profile = parse_config(f"{prog} {name} --cluster", ClusterProfile, options.profile)
    except ValueError as error:
        raise ValueError(f"--cluster: {error}") from error
    if command.folder is None:
        raise ValueError("this command is quick and runs on this machine only; leave out --cluster")
    if profile.cluster == "torchrun":
        if not options.dry_run or options.sweep or options.wait or options.after:
            raise ValueError(
                "cluster: torchrun sends nothing, it prints a script for one command: give --dry-run, and none of "
                "--sweep, --wait and --after"
            )
        command.parse(argv)  # complains of what is wrong before a node does
        print(torchrun_script(profile, prog, [name, *argv]))
        return
    runs = plan_runs(command, argv, options.combinations())
    launched = JobFolder(Path(getattr(command.parse(argv), command.folder)))
    parameters = slurm_parameters(profile, f"{prog} {name}", launched.code, options.after)
    if options.dry_run:
        _print_plan(runs, profile, parameters, launched)
        return
    if profile.cluster == "debug":
        for run in runs:
            status = run_command_line(prog, [name, *run.argv])
            if status:
                sys.exit(status)
        return
    folders = [launched, *(JobFolder(run.run_dir) for run in runs)]
    _check(profile, folders, options.after)
    outside = outside_modules(name, *(run.config for run in runs))
    jobs = [
        Job(prog, (name, str(_frozen_config(run))), run.run_dir.absolute(), command.saved) for run in runs
    ]
    try:
        submissions = _submit(profile, parameters, launched, jobs, outside)
    except ValueError:
        for left in folders:
            if not left.last_id.exists():
                shutil.rmtree(left.path, ignore_errors=True)
        raise
    submitted = [
        Submitted(name=run.name, run_dir=run.run_dir, job=job)
        for run, job in zip(runs, submissions, strict=True)
    ]
    for one in submitted:
        JobFolder(one.run_dir).last_id.write_text(one.id)
    launched.last_id.write_text(submitted[0].id.partition("_")[0])
    _print_submitted(submitted, profile)
    if options.wait:
        status = follow(submitted, on_slurm=profile.cluster == "slurm")
        if len(runs) > 1:
            print(sweep_table(submitted))
        if status:
            sys.exit(status)


def plan_runs(command: Command, argv: Sequence[str], combinations: Sequence[Mapping[str, str]]) -> list[Run]:
    """The run of `argv`, or its parts, or those of a sweep, each in a directory of its own below that of `argv`.

    Args:
        combinations: of each run of the sweep, key -> value; a single empty one where there is no sweep.
    """
    assert command.folder
    config = command.parse(argv)
    run_dir = Path(getattr(config, command.folder))
    if any(combinations):
        of_runs = {
            ",".join(f"{key}={value}" for key, value in values.items()).replace("/", "_"): dict(values)
            for values in combinations
        }
        of_runs = {name: values | {command.folder: str(run_dir / name)} for name, values in of_runs.items()}
    elif command.parts:
        of_runs = function_at(command.parts)(config)
    else:
        return [Run(name=str(run_dir), argv=list(argv), config=config, run_dir=run_dir)]
    runs = []
    for name, values in of_runs.items():
        run_argv = [*argv, *(word for key, value in values.items() for word in (f"--{key}", value))]
        runs.append(Run(name=name, argv=run_argv, config=command.parse(run_argv), run_dir=run_dir / name))
    return runs


def as_yaml(config: Any) -> str:
    """A configuration as a file from which the command reads it again."""
    return yaml.safe_dump(asdict(config), sort_keys=False)


def slurm_parameters(profile: ClusterProfile, job_name: str, code: Path, after: str | None) -> dict[str, Any]:
    """The profile as submitit's parameters of a Slurm job, of which it leaves out those that are None."""
    memory = profile.memory_gb
    container = [] if profile.container is None else [f"--container-image={profile.container}"]
    return {
        "job_name": job_name,
        "time": profile.time_limit_minutes,
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "nodes": profile.nodes,
        "gpus_per_node": profile.gpus_per_node or None,
        "ntasks_per_node": profile.processes_per_node,
        "cpus_per_task": profile.cpus_per_task,
        "mem": None if memory is None else f"{round(memory * 1024)}MB",
        "signal_delay_s": profile.signal_delay_seconds,
        "array_parallelism": profile.array_parallelism or sys.maxsize,
        "dependency": after and f"afterok:{after}",
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True} | ({"kill-on-invalid-dep": "yes"} if after else {}),
        # If one task fails the others wait for it in vain. From Slurm 22.05 on srun does not take over sbatch's CPUs.
        "srun_args": ["--kill-on-bad-exit=1", f"--cpus-per-task={profile.cpus_per_task}", *container],
        "setup": [
            *profile.environment,
            f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{profile.cpus_per_task}}}",
            # The packages come from the snapshot, not from where the job starts.
            f"export PYTHONPATH={shlex.quote(str(code.absolute()))}${{PYTHONPATH:+:$PYTHONPATH}}",
            "export PYTHONSAFEPATH=1",
        ],
    }


def refusal(message: str) -> str:
    """sbatch's own words in a failed submission."""
    lines = [line.split("error:", 1)[1].strip() for line in message.splitlines() if "error:" in line]
    return "; ".join(dict.fromkeys(lines)) or " ".join(message.split())


def _frozen_config(run: Run) -> Path:
    """The configuration in the job's folder: like the code, the user's file may change while the job waits."""
    path = JobFolder(run.run_dir).path.absolute() / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_yaml(run.config))
    return path


def _submit(
    profile: ClusterProfile,
    parameters: dict[str, Any],
    folder: JobFolder,
    jobs: Sequence[Job],
    outside: Mapping[Path, Path],
) -> list[submitit.Job[None]]:
    folder.submitit.mkdir(parents=True, exist_ok=True)
    snapshot_code(Path(pretext.__file__).parents[1], folder.code, outside)
    executor: submitit.SlurmExecutor | submitit.LocalExecutor
    if profile.cluster == "local":
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder.code.absolute()), before)))
        os.environ["PYTHONSAFEPATH"] = "1"
        os.environ.setdefault("OMP_NUM_THREADS", str(profile.cpus_per_task))
        executor = submitit.LocalExecutor(folder.submitit, max_num_timeout=profile.max_timeouts)
        executor.update_parameters(
            timeout_min=profile.time_limit_minutes,
            tasks_per_node=parameters["ntasks_per_node"],
            gpus_per_node=profile.gpus_per_node,
            signal_delay_s=profile.signal_delay_seconds,
            stderr_to_stdout=True,
        )
        # Ctrl-C ends the following of the jobs, not the jobs, whose parents are in the terminal's process group.
        previous_handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return [executor.submit(job) for job in jobs]
        finally:
            signal.signal(signal.SIGINT, previous_handler)
    executor = submitit.SlurmExecutor(folder.submitit, max_num_timeout=profile.max_timeouts)
    executor.update_parameters(**parameters)
    try:
        with redirect_stderr(StringIO()), executor.batch():  # submitit shows there what it raises as well
            submissions = [executor.submit(job) for job in jobs]
    except FailedJobError as error:
        raise ValueError(f"the cluster refused the job: {refusal(str(error))}") from error
    first = submissions[0].job_id.partition("_")[0]  # known once the batch is over
    for state in (states_in_queue([first]) or {}).values():
        if any(reason in state for reason in NEVER_STARTS):
            subprocess.run(["scancel", first], check=True)
            raise ValueError(f"the cluster would never start the job, it is cancelled: {state}")
    return submissions


def _check(profile: ClusterProfile, folders: Sequence[JobFolder], after: str | None) -> None:
    """Raises ValueError if the profile asks for what is not here, or another job writes one of the directories."""
    if profile.cluster == "local":
        if profile.nodes > 1 or after:
            what = f"--after {after} is given" if after else f"nodes is {profile.nodes}"
            raise ValueError(
                f"cluster: local is this machine and has no queue, but {what}; use cluster: slurm"
            )
        return
    if shutil.which("srun") is None:
        raise ValueError(
            "there is no Slurm on this machine (no srun); log in where there is, or set cluster: local"
        )
    if after is not None and not _may_end_well(after):
        raise ValueError(f"--after {after}: Slurm knows of no job {after} that has ended well or still may")
    for folder in folders:
        last = folder.last_id.read_text() if folder.last_id.exists() else None
        if last and states_in_queue([last]):
            raise ValueError(
                f"{folder.path.parent} is being written by job {last}; follow it, cancel it (scancel {last}), or give "
                "another directory"
            )


def _may_end_well(job: str) -> bool:
    """Whether a job is to be waited for. Slurm takes a dependency on one that it has forgotten for fulfilled."""
    if states_in_queue([job]):
        return True
    states = accounted_states(job)
    return bool(states) and set(states) == {"COMPLETED"}


def _print_plan(
    runs: Sequence[Run], profile: ClusterProfile, parameters: dict[str, Any], folder: JobFolder
) -> None:
    if profile.cluster == "slurm":
        logs = folder.submitit.absolute()
        command = shlex.join([sys.executable, "-u", "-m", "submitit.core._submit", str(logs)])
        map_count = len(runs) if len(runs) > 1 else None
        print(slurm._make_sbatch_string(command=command, folder=logs, map_count=map_count, **parameters))
    for run in runs:
        print(f"# {run.run_dir}\n{as_yaml(run.config)}")


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
