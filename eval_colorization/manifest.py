"""How to make the same numbers again."""

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import torch

from eval_colorization.collect import Collected
from eval_colorization.comparison import Comparison
from eval_colorization.config import ReportConfig
from eval_colorization.learned import Learned
from eval_colorization.methods import Method, Network
from eval_colorization.parts import fingerprint
from eval_colorization.results import CONDITIONS
from eval_colorization.squares import describe_resizing
from pretext.runtime.run_dir import describe_environment
from pretext.runtime.versions import package_version

# Keys of the configuration on which no measurement depends.
FREE_KEYS = ("out", "num_workers", "title", "gallery_images", "resamples")


def identity(
    config: ReportConfig, comparison: Comparison, learned: Learned, device: torch.device
) -> dict[str, Any]:
    """All that the measurements depend on."""
    return {
        "config": {key: value for key, value in asdict(config).items() if key not in FREE_KEYS},
        "models": {
            name: method.trained.pretrained.sha256
            for name, method in comparison.methods.items()
            if isinstance(method, Network)
        },
        "folders": {
            name: fingerprint(folder.fingerprint) for name, folder in comparison.images.folders.items()
        },
        "images": fingerprint(comparison.images.names),
        "learned metrics": learned.names,
        **({"recognised in": CONDITIONS} if "accuracy" in learned.names else {}),
        "device": device.type,
    }


def make_manifest(config: ReportConfig, comparison: Comparison, collected: Collected) -> dict[str, Any]:
    """The report's manifest: JSON values only."""
    images = comparison.images
    return {
        **describe_software(),
        "config": asdict(config),
        "images": {
            "data": config.data,
            "subset": config.subset,
            "number": len(collected.images),
            "left out": len(comparison.lacking) + len(collected.left_out),
            "grey truths": int(collected.grey_truths.sum()),
            "size": f"{images.size} x {images.size}",
            "protocol": config.protocol,
            "resize filter": describe_resizing(config.protocol),
            "file formats": _formats(images.names),
            "list, with the hash of every image's pixels": "per_image.csv",
            "sha256 of the truths' hashes": collected.sha256_of("truth"),
        },
        "measured": "8-bit sRGB, D65; networks paint it directly, no file between",
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
    found: dict[str, Any] = {"what": method.description, "sha256 of its pixels": collected.sha256_of(name)}
    if isinstance(method, Network):
        found["checkpoint"] = method.trained.pretrained.origin
        found["sha256 of the weights"] = method.trained.pretrained.sha256
    if name in comparison.images.folders:
        folder = comparison.images.folders[name]
        found["file formats"] = _formats(folder.colorized)
        found["resized, as they had another size than their originals"] = collected.resized[name]
        found["files without an original, ignored"] = folder.extra
    return found


def _formats(names: Sequence[str]) -> dict[str, int]:
    return dict(Counter(PurePath(name).suffix.lower() or "none" for name in names))
