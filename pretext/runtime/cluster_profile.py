"""What is asked of a cluster: one YAML file each, under `slurm/`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ClusterProfile:
    """Where and with what a job runs. Nothing is guessed from the machine.

    Args:
        cluster: slurm submits a job; local runs it in the background of this machine, debug in this process.
        partition: of Slurm; null takes the cluster's default, here and below.
        account: that pays.
        qos: quality of service.
        constraint: features that the nodes must have.
        container: image in which each task starts (srun --container-image, of the pyxis plugin).
        nodes: machines.
        gpus_per_node: GPUs of each.
        tasks_per_node: processes on each; null starts one a GPU, or one.
        cpus_per_task: CPU cores of each process; also its number of threads.
        memory_gb: of each node.
        time_limit_minutes: after which the job is requeued and goes on.
        signal_delay_seconds: before the limit, or a preemption, at which the job is told; it must hold a step, a
            validation and a checkpoint.
        max_timeouts: how often a job may reach its time limit.
        array_parallelism: runs of a sweep that run at one time; null sets no limit.
        environment: lines of shell before a job of Slurm, such as module load.
    """

    cluster: Literal["slurm", "local", "debug"]
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
