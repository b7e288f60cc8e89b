"""What the benchmarks share: interleaved medians, peak memory, the machine's name, and the results file."""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from pretext.runtime.versions import package_version

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS") or Path(__file__).parent / "results")
GIB = 2**30
NUM_THREADS = torch.get_num_threads()  # before a benchmark keeps some cores for something else


@dataclass(frozen=True)
class Target:
    """One figure of a benchmark and the limit it is held to."""

    name: str
    measured: float
    limit: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def interleaved_medians(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 11,
    synchronize: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Median seconds of each candidate; every round runs all of them, so that noise falls on all alike.

    An untimed call goes before each timed one: it leaves caches and allocator as in a loop over that candidate.
    `synchronize` waits for the device, see `synchronizer`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            call()
            synchronize()
            start = time.perf_counter()
            call()
            synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def synchronizer(device: str) -> Callable[[], object]:
    """What waits until `device` has computed all it was given."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def peak_tensor_memory(call: Callable[[], object]) -> int:
    """The most bytes that tensors allocated during `call` hold at one time, from the profiler's memory events.

    Exact and repeatable, which the process's resident memory is not. Counts all devices together.
    """
    with torch.profiler.profile(profile_memory=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]")
    return max(accumulate(size for _, size in changes), default=0)


def run_measured(command: Sequence[object]) -> tuple[float, int]:
    """Seconds and bytes of a command: the largest resident set of its process and of its readers, each by itself."""
    start = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - start, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def hardware_name(device: str = "cpu") -> str:
    """The processor with its vector instructions and torch's default number of threads, or the GPU."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    name = model.group(1).strip() if model else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, {NUM_THREADS} threads"


def report(
    benchmark: str,
    what: str,
    seconds: Mapping[str, float],
    targets: Sequence[Target],
    packages: Sequence[str] = (),
    device: str = "cpu",
    details: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Print the table and write it to results/<hardware>/<benchmark>.json, whose path is returned.

    The environment's BENCHMARK_RESULTS is another folder for results; `details` stand in the file alone.
    """
    hardware = hardware_name(device)
    print(f"{what}\n{hardware}\n")
    for name, value in seconds.items():
        print(f"  {name:<52}{value * 1e3:10.2f} ms")
    print()
    for target in targets:
        relation = "at least" if target.at_least else "at most"
        verdict = "met" if target.met else "MISSED"
        measured = f"{target.measured:.2f}" if abs(target.measured) >= 0.1 else f"{target.measured:.2g}"
        print(f"  {target.name:<52}{measured:>10}    {relation} {target.limit:g}: {verdict}")

    record = {
        "benchmark": benchmark,
        "what": what,
        "hardware": hardware,
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version()}
        | {name: package_version(name) for name in ("torch", *packages)},
        "median_seconds": dict(seconds),
        "targets": [asdict(target) | {"met": target.met} for target in targets],
        **details,
    }
    path = RESULTS / re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-") / f"{benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"\nwritten to {path}")
    return path
