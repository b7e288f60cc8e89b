"""Versions of installed packages, for records."""

from importlib.metadata import PackageNotFoundError, version


def package_version(name: str) -> str:
    """The version of the package `name`, or `unknown`: a source tree or a stripped container has no metadata."""
    try:
        return version(name) or "unknown"  # None where the metadata is there but empty
    except PackageNotFoundError:
        return "unknown"
