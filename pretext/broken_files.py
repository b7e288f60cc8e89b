"""Files that could not be read: named once, counted, and too many of them end the run."""

from collections.abc import Iterable

from pretext.runtime.command_line import RunFailedError

JUDGED_AFTER = 1000  # images; before that one broken file among the first would be a large share
ALWAYS_ALLOWED = (
    5  # files, unless they are half of the images: a large share of a small folder, but no sign of damage
)


class BrokenFiles:
    """Name -> reason of every unreadable file met so far."""

    def __init__(self, reasons: dict[str, str], *, num_images: int, max_share: float) -> None:
        self.reasons = reasons
        self._num_images, self._max_share = num_images, max_share

    def add(self, errors: Iterable[tuple[str, str]]) -> list[str]:
        """Remember (name, reason) pairs; returns a line for each file that is new."""
        new = {name: reason for name, reason in errors if name not in self.reasons}
        self.reasons.update(new)
        return [f"skipped a broken file: {name} ({reason})" for name, reason in new.items()]

    def check(self, num_seen: int) -> None:
        """Raises RunFailedError when too many of the images seen so far could not be read.

        These are more than the largest share, and more than ALWAYS_ALLOWED or half of the images; with a share of 0 a
        single one.
        """
        seen = min(num_seen, self._num_images)
        allowed = max(self._max_share * seen, min(ALWAYS_ALLOWED, seen / 2) if self._max_share else 0)
        if seen >= min(JUDGED_AFTER, self._num_images) and len(self.reasons) > allowed:
            raise RunFailedError(
                f"{len(self.reasons)} of {seen} images could not be read, more than data.max_broken_share "
                f"({self._max_share:g}): {self.listing()}; repair the data, or allow a larger share"
            )

    def state_dict(self) -> dict[str, str]:
        """What a checkpoint holds."""
        return self.reasons

    def load_state_dict(self, reasons: dict[str, str]) -> None:
        """Resume from a `state_dict`."""
        self.reasons = reasons

    def listing(self, shown: int = 5) -> str:
        """The first names with their reasons, and how many more there are."""
        named = "; ".join(f"{name} ({reason})" for name, reason in list(self.reasons.items())[:shown])
        more = len(self.reasons) - shown
        return f"{named}; and {more} more" if more > 0 else named
