"""Schedules of detectors and segmentation networks, and how they scale with the batch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from transfer.config import FrameworkConfig


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast SGD trains.

    Attributes:
        steps: of the optimiser.
        batch_size: images of one step, over all processes.
        lr: learning rate after the warm-up.
        warmup_steps: over which the learning rate grows linearly.
    """

    steps: int
    batch_size: int
    lr: float
    warmup_steps: int = 0

    def scaled(self, steps: int | None, batch_size: int | None, lr: float | None) -> "Schedule":
        """This schedule with the user's values, None where there is none.

        With another batch the learning rate follows it and the number of images stays, as far as the user gave
        neither (Goyal et al. 2017, "Accurate, Large Minibatch SGD"); the warm-up keeps its share of the steps.

        Raises:
            ValueError: a value is not positive.
        """
        for key, value in (("steps", steps), ("batch_size", batch_size), ("lr", lr)):
            if value is not None and value <= 0:
                raise ValueError(f"{key} is {value:g}, expected a positive number")
        batch_size = batch_size or self.batch_size
        steps = steps or -(-self.steps * self.batch_size // batch_size)
        return Schedule(
            steps=steps,
            batch_size=batch_size,
            lr=lr or self.lr * batch_size / self.batch_size,
            warmup_steps=round(self.warmup_steps * steps / self.steps),
        )

    def changes_from(self, published: "Schedule") -> dict[str, int | float]:
        """What differs from the published schedule, but for what follows from another."""
        return {
            key: value
            for key in ("steps", "batch_size", "lr")
            if (value := getattr(self, key)) != getattr(published, key)
        }

    def in_words(self, optimizer: str) -> str:
        """Length and speed in one line."""
        warmup = f", {self.warmup_steps:,} of them warm-up" if self.warmup_steps else ""
        return f"{self.steps:,} steps of {self.batch_size} images{warmup}; {optimizer}, learning rate {self.lr:g}"

    def described(self, published: "Schedule") -> str:
        """One line, with the published value where this one differs."""

        def value_of(key: str, form: str) -> str:
            value, before = (format(getattr(schedule, key), form) for schedule in (self, published))
            return value if value == before else f"{value} (published: {before})"

        steps, batch_size, lr = value_of("steps", ","), value_of("batch_size", ","), value_of("lr", "g")
        return f"{steps} steps of {batch_size} images, learning rate {lr}"


@dataclass(frozen=True, kw_only=True)
class FrameworkProtocol(ABC):
    """What recipes of detectors and segmentation networks share.

    Attributes:
        source: whose recipe it is.
        differs: from the source.
        schedule: of the published batch.
        batch_norm: of the backbone: `train`, with statistics over all processes, or `frozen`.
    """

    source: str
    differs: str = ""
    schedule: Schedule
    batch_norm: Literal["train", "frozen"] = "train"

    @abstractmethod
    def recipe(self) -> str:
        """Training and inputs in one line."""

    def changes_from(self, published: "FrameworkProtocol") -> dict[str, int | float | str]:
        """The user's overrides of the published recipe, which a result names, but for sizes of images."""
        changes: dict[str, int | float | str] = dict(self.schedule.changes_from(published.schedule))
        if self.batch_norm != published.batch_norm:
            changes["batch_norm"] = self.batch_norm
        return changes


SomeProtocol = TypeVar("SomeProtocol", bound=FrameworkProtocol)


def overridden(
    published: SomeProtocol, config: FrameworkConfig, **sizes: int | Sequence[int] | None
) -> SomeProtocol:
    """A published recipe with the user's BatchNorm and sizes, and its schedule for the user's batch.

    Args:
        sizes: lengths in pixels by the name of their attribute, the key of `config.data`; None where the user has none.

    Raises:
        ValueError: a number is not positive.
    """
    lengths = ((f"data.{key}", length) for key, size in sizes.items() for length in _numbers(size))
    for key, value in (
        ("save_every", config.save_every),
        ("evaluate_every", config.evaluate_every),
        *lengths,
    ):
        if value < 1:
            raise ValueError(f"{key} is {value}, expected at least 1")
    given: dict[str, Any] = {
        key: size if isinstance(size, int) else tuple(size) for key, size in sizes.items() if size is not None
    }
    return replace(
        published,
        schedule=published.schedule.scaled(config.steps, config.batch_size, config.lr),
        batch_norm=config.batch_norm or published.batch_norm,
        **given,
    )


def _numbers(size: int | Sequence[int] | None) -> Sequence[int]:
    return [size] if isinstance(size, int) else size or []
