"""How to make the same numbers again."""

import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import torch

from eval_colorization.assemble import Collected
from eval_colorization.comparison import Comparison
from eval_colorization.learned import Learned
from eval_colorization.methods import Method
from eval_colorization.parts import fingerprint
from eval_colorization.results import CONDITIONS
from eval_colorization.squares import describe_resizing
from pretext.runtime.run_dir import describe_environment
from pretext.runtime.versions import package_version


def identity(
    comparison: Comparison,
    learned: Learned,
    own_metrics: Mapping[str, str],
    device: torch.device,
) -> dict[str, Any]:
    """All that the measurements depend on beside the arguments of `evaluate`.

    Args:
        own_metrics: the user's metrics by name: a fingerprint of their code.
    """
    return {
        "models": {
            name: method.network.weights for name, method in comparison.methods.items() if method.network
        },
        "folders": {
            name: fingerprint(folder.fingerprint) for name, folder in comparison.images.folders.items()
        },
        "images": fingerprint(comparison.images.names),
        "learned metrics": learned.names,
        **({"own metrics": dict(own_metrics)} if own_metrics else {}),
        **({"recognised in": CONDITIONS} if "accuracy" in learned.names else {}),
        "device": device.type,
    }


def make_manifest(
    settings: Mapping[str, Any], comparison: Comparison, collected: Collected
) -> dict[str, Any]:
    """The report's manifest: JSON values only."""
    images = comparison.images
    return {
        **describe_software(),
        "config": dict(settings),
        "images": {
            "data": settings["data"],
            "subset": settings["subset"],
            "number": len(collected.images),
            "left out": len(comparison.lacking) + len(collected.left_out),
            "grey truths": int(collected.grey_truths.sum()),
            "size": f"{images.size} x {images.size}",
            "protocol": images.protocol,
            "resize filter": describe_resizing(images.protocol),
            "file formats": _formats(images.names),
            "list, with the hash of every image's pixels": "per_image.csv",
            "sha256 of the truths' hashes": collected.sha256_of("truth"),
        },
        "measured": "8-bit sRGB, D65; networks colorize it directly, no file between",
        "methods": {
            name: _describe(name, method, comparison, collected)
            for name, method in comparison.methods.items()
        },
    }


def describe_software() -> dict[str, Any]:
    """When, by which command, and by which versions on which hardware."""
    return {
        "command": shlex.join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": package_version("colorization-benchmark"),
        "environment": describe_environment(),
    }


def _describe(name: str, method: Method, comparison: Comparison, collected: Collected) -> dict[str, Any]:
    description: dict[str, Any] = {
        "what": method.description,
        "sha256 of its pixels": collected.sha256_of(name),
    }
    if method.network:
        if method.network.origin:
            description["checkpoint"] = method.network.origin
        description["sha256 of the weights"] = method.network.weights
    if name in comparison.images.folders:
        folder = comparison.images.folders[name]
        description["file formats"] = _formats(folder.colorized)
        description["resized, as they had another size than their originals"] = collected.resized[name]
        description["files without an original, ignored"] = folder.extra
    return description


def _formats(names: Sequence[str]) -> dict[str, int]:
    return dict(Counter(PurePath(name).suffix.lower() or "none" for name in names))
