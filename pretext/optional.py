"""What a part of this project needs and a machine need not have: packages, weights, images."""


class NotAvailableError(Exception):
    """Something lacks a package, weights or images: why, and what the user does about it, a line each."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


def missing_package(owner: str, error: ModuleNotFoundError, extra: str) -> NotAvailableError:
    """That the import behind `owner` failed, and the extra of this project that brings the package."""
    return NotAvailableError(
        f"{owner} needs the package {error.name}, which is not installed",
        f"pip install 'colorization-benchmark[{extra}]'",
    )
