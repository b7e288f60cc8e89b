"""Progress for people: a bar on a terminal, plain lines in a log file."""

import sys
from collections.abc import Mapping

from tqdm import tqdm


class Progress:
    """Shows how far `total` units of work are; silent when not `visible` (processes other than the first)."""

    def __init__(self, total: int, *, initial: int = 0, unit: str = "step", visible: bool = True) -> None:
        self._visible = visible
        self._on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            disable=not (visible and self._on_terminal),
            dynamic_ncols=True,
        )
        self._total, self._unit = total, unit

    def advance(self, count: int = 1) -> None:
        """Move the bar on by `count` steps."""
        self._bar.update(count)

    def show(self, step: int, values: Mapping[str, float], seconds_left: float) -> None:
        """The latest numbers: after the bar, or on a line of their own where there is no terminal."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self._on_terminal:
            self._bar.set_postfix_str(text, refresh=False)
        else:
            left = tqdm.format_interval(seconds_left)
            self.say(f"{self._unit} {step}/{self._total}: {text}, {left} left")

    def say(self, message: str) -> None:
        """A line that stays."""
        if self._visible:
            tqdm.write(message, file=sys.stdout)
            sys.stdout.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
