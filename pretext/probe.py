"""What is measured of a network while it trains."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch

from pretext.config import ProbeConfig
from pretext.networks.backbone import Backbone
from pretext.outside import construct, import_outside


class Probe(ABC):
    """Something that is measured of a network while it trains, such as what its features are worth.

    A probe of your own defines `measure`. Its constructor refuses what cannot be measured, before anything trains.

    Attributes:
        ylabel: what its numbers are, with their unit, for the curves.
    """

    ylabel: str = ""

    @abstractmethod
    def measure(self, network: Backbone) -> Mapping[str, float]:
        """Numbers by name. The network must stay as it is; its mode may change.

        Of several processes the first one measures, while the others wait.
        """


class OpenedProbe(NamedTuple):
    """A probe and when it measures."""

    config: ProbeConfig
    probe: Probe

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether it measures after so many steps of all."""
        return step % self.config.every == 0 or step == num_steps

    def measure(self, network: Backbone, device: torch.device) -> dict[str, float]:
        """What it measures and how many seconds that takes, each after the probe's name.

        The training's random numbers stay where they are.
        """
        start = time.perf_counter()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            numbers = self.probe.measure(network)
        name = self.config.name
        return {f"{name}_{key}": value for key, value in numbers.items()} | {
            f"{name}_seconds": time.perf_counter() - start
        }

    def describe(self, row: Mapping[str, float]) -> str:
        """The numbers of a measurement in a line."""
        return ", ".join(
            f"{name.removeprefix(f'{self.config.name}_')} {value:.1f}" for name, value in row.items()
        )


def open_probes(configs: Iterable[ProbeConfig]) -> list[OpenedProbe]:
    """The probes that a configuration names.

    Raises:
        ValueError: there is no such probe, it does not take its arguments, or two have one name.
    """
    opened: dict[str, OpenedProbe] = {}
    for config in configs:
        if config.every < 1:
            raise ValueError(f"every of the probe {config.name} is {config.every}, expected at least 1")
        if config.name in opened:
            raise ValueError(f"there are two probes of the name {config.name}; give each a name of its own")
        try:
            probe = construct("probe", config.probe, import_outside(config.probe, "probe"), config.args)
        except ValueError as error:
            raise ValueError(f"probe {config.name}: {error}") from error
        opened[config.name] = OpenedProbe(config, probe)
    return list(opened.values())
