"""How a command is sent to a cluster: the cluster's profile, a YAML file under `slurm/`, and the launcher's flags."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

LAUNCH_HELP = """on a cluster:
  --cluster PROFILE       send this command to the cluster that a file of slurm/ describes
  --cluster.KEY VALUE     another value than the profile's, such as --cluster.nodes 2;
                          --cluster PROFILE --help explains each
  --dry-run               print the job script and the configuration, send nothing
  --wait                  follow the log to the end; the exit status is the job's
  --after JOB             start when that job has ended well
  --sweep KEY=VALUES ...  one run for each combination: optim.lr=1e-5,3e-5 seed=0..4"""
# Flag -> whether it has a value.
LAUNCH_FLAGS = {"--cluster": True, "--dry-run": False, "--wait": False, "--after": True, "--sweep": True}
_FLAG = re.compile(rf"--({'|'.join(LAUNCH_FLAGS).replace('--', '')})(?:\.(\w+))?(?:=(.*))?$", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class ClusterProfile:
    """Where and with what a job runs. Nothing is guessed from the machine.

    Args:
        cluster: slurm submits a job; local runs it in the background of this machine, debug in this process; torchrun
            prints with --dry-run a script that other systems (PBS, SGE, ssh) run on each node.
        partition: of Slurm; null takes the cluster's default, here and below.
        account: that pays.
        qos: quality of service.
        constraint: features that the nodes must have.
        container: image in which each task starts (srun --container-image, of the pyxis plugin).
        nodes: machines.
        gpus_per_node: GPUs of each.
        tasks_per_node: processes on each; null starts one per GPU, or one.
        cpus_per_task: CPU cores of each process; also its number of threads.
        memory_gb: of each node.
        time_limit_minutes: after which the job is requeued and resumes.
        signal_delay_seconds: before the limit, or a preemption, at which the job gets a signal; it must hold a step, a
            validation and a checkpoint.
        max_timeouts: how often a job may reach its time limit.
        array_parallelism: runs of a sweep that run at one time; null sets no limit.
        environment: lines of shell before a job of Slurm, such as module load.
    """

    cluster: Literal["slurm", "local", "debug", "torchrun"]
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    container: str | None = None
    nodes: int = 1
    gpus_per_node: int = 0
    tasks_per_node: int | None = None
    cpus_per_task: int = 1
    memory_gb: float | None = None
    time_limit_minutes: int = 60
    signal_delay_seconds: int = 120
    max_timeouts: int = 1000
    array_parallelism: int | None = None
    environment: list[str] = field(default_factory=list)

    @property
    def processes_per_node(self) -> int:
        """How many processes start on each node: as asked, or one per GPU, or one."""
        return self.tasks_per_node or max(1, self.gpus_per_node)

    def __post_init__(self) -> None:
        for key in ("nodes", "tasks_per_node", "cpus_per_task", "array_parallelism", "time_limit_minutes"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} must be at least 1, not {value}")
        if self.signal_delay_seconds >= 60 * self.time_limit_minutes:
            raise ValueError(
                f"signal_delay_seconds, {self.signal_delay_seconds}, must be less than the time limit, "
                f"{self.time_limit_minutes} minutes"
            )


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """How to send a command.

    Attributes:
        profile: command line of the profile, for `parse_config`.
        sweep: key -> values, as typed.
        dry_run: print what would be sent.
        wait: follow the job to its end.
        after: the job that must end well before this one starts.
    """

    profile: list[str]
    sweep: dict[str, list[str]]
    dry_run: bool = False
    wait: bool = False
    after: str | None = None

    def combinations(self) -> list[dict[str, str]]:
        """key -> value of each run of the sweep."""
        return [
            dict(zip(self.sweep, values, strict=True)) for values in itertools.product(*self.sweep.values())
        ]


def wants_cluster(argv: Sequence[str]) -> bool:
    """Whether a command line has any of the launcher's flags."""
    return any(map(_FLAG.match, argv))


def split_launch_options(argv: Sequence[str]) -> tuple[list[str], LaunchOptions]:
    """The command line without the launcher's flags, and these.

    Raises:
        ValueError: a flag without its value, or a sweep that is not valid.
    """
    command: list[str] = []
    values: dict[str, Any] = {}
    overrides: list[str] = []
    sweep: dict[str, list[str]] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        flag = _FLAG.match(word)
        if flag is None:
            command.append(word)
            continue
        name, key, value = flag.groups()
        if not LAUNCH_FLAGS[f"--{name}"]:
            values[name.replace("-", "_")] = True
            continue
        if value is None:
            if not words or words[0].startswith("--"):
                raise ValueError(f"{word} needs a value")
            value = words.pop(0)
        if name == "sweep":
            texts = [value]
            while words and "=" in words[0] and not words[0].startswith("-"):
                texts.append(words.pop(0))
            for swept, swept_values in map(parse_sweep, texts):
                if swept in sweep:
                    raise ValueError(
                        f"--sweep has {swept} twice; give all its values at once: {swept}=VALUE,VALUE,..."
                    )
                sweep[swept] = swept_values
        elif key:
            overrides += [f"--{key}", value]
        else:
            values[name] = value
    if "cluster" not in values:
        raise ValueError(
            "--cluster.KEY, --dry-run, --wait, --after and --sweep need --cluster PROFILE beside them"
        )
    profile = [values.pop("cluster"), *overrides, *(["--help"] if "--help" in command else [])]
    return command, LaunchOptions(profile=profile, sweep=sweep, **values)


def parse_sweep(text: str) -> tuple[str, list[str]]:
    """`optim.lr=1e-5,3e-5` or `seed=0..4` as key and values.

    Raises:
        ValueError: neither.
    """
    key, equals, listed = text.partition("=")
    span = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", listed)
    values = [str(n) for n in range(int(span[1]), int(span[2]) + 1)] if span else listed.split(",")
    if not (key and equals and values and all(values)):
        raise ValueError(f"a sweep is KEY=VALUE,VALUE,... or KEY=FIRST..LAST, not {text!r}")
    if len(set(values)) < len(values):
        raise ValueError(f"a sweep has one run per value, but one of {text!r} comes twice")
    return key, values
