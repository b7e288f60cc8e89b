"""Nearest neighbours: the memory of a large search, and the time of a small one.

    python benchmarks/knn.py [--train 50000] [--test 5000] [--folder FOLDER]

The large search goes through memory maps in `--folder` (2 GB by default; a temporary one if not given) and holds
tensors within its limit; their peak is what torch's profiler counts, on all devices. The peers of the small search are
scikit-learn, brute force by cosine distance, and the plain product in torch, both with all features in memory.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import Target, interleaved_medians, peak_tensor_memory, report
from sklearn.neighbors import NearestNeighbors

from pretext.runtime.distributed import choose_device
from transfer.features.files import Features
from transfer.nearest_neighbours.search import MIB, nearest_neighbours

DIMENSIONS = 9216  # of conv2 and conv5 of an AlexNet
K = 200
LIMIT = 1024 * MIB
SMALL_TRAIN, SMALL_TEST = 5000, 500
BLOCK = 1000


def write_features(path: Path, num_images: int, rng: np.random.Generator) -> Features:
    """Random features, written BLOCK images at one time."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(num_images, DIMENSIONS))
    for first in range(0, num_images, BLOCK):
        block = rows[first : first + BLOCK]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    rows.flush()
    return Features(path=path, kept=np.ones(num_images, bool))


def plain_product(train: np.ndarray, test: np.ndarray, device: torch.device) -> torch.Tensor:
    """Indices of the nearest, with everything in memory."""
    rows, queries = (
        torch.nn.functional.normalize(torch.from_numpy(array).to(device)) for array in (train, test)
    )
    return (queries @ rows.T).topk(K).indices.cpu()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device, rng = choose_device(options.device), np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        train = write_features(Path(name) / "train.npy", options.train, rng)
        test = write_features(Path(name) / "test.npy", options.test, rng)
        start = time.perf_counter()
        peak = peak_tensor_memory(lambda: nearest_neighbours(train, test, K, LIMIT, device))
        large_seconds = time.perf_counter() - start

        small_train = write_features(Path(name) / "small_train.npy", SMALL_TRAIN, rng)
        small_test = write_features(Path(name) / "small_test.npy", SMALL_TEST, rng)
        rows, queries = np.array(small_train.open()), np.array(small_test.open())
        peer = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(rows)
        seconds = interleaved_medians(
            {
                "nearest_neighbours": lambda: nearest_neighbours(small_train, small_test, K, LIMIT, device),
                "scikit-learn": lambda: peer.kneighbors(queries),
                "plain product": lambda: plain_product(rows, queries, device),
            },
            rounds=options.rounds,
        )
    report(
        "knn",
        f"{K} nearest of {options.train} images to {options.test}, {DIMENSIONS} features, limit {LIMIT // MIB} MiB: "
        f"{large_seconds:.1f} s, peak {peak / MIB:.0f} MiB; times below are of {SMALL_TRAIN} and {SMALL_TEST} images",
        seconds,
        [
            Target("peak of the tensors' memory over the limit", peak / LIMIT, 1, at_least=False),
            Target(
                "time over scikit-learn's",
                seconds["nearest_neighbours"] / seconds["scikit-learn"],
                1,
                at_least=False,
            ),
        ],
        ("numpy", "scikit-learn"),
        device=str(device),
    )


if __name__ == "__main__":
    main()
