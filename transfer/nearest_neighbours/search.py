"""Nearest neighbours by cosine similarity, exact and in bounded memory."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from transfer.features.files import Features

MIB = 2**20
TILE = 1024
"""Rows that are multiplied at one time. Always as many, whatever the memory: the shape of a product decides about its
last bits."""
LIVE_TILES = 4  # the one at work and the next, on the device and in page-locked memory
BYTES_OF_A_PRODUCT = (
    40  # for each number of a TILE x TILE product: itself, its key, and what is sorted out of them
)

# Where a key holds an index in its lower half, a lower index is a higher key.
LAST_INDEX = 0xFFFFFFFF
NO_NEIGHBOUR = -(2**63)


def nearest_neighbours(
    train: Features,
    test: Features,
    k: int,
    memory_bytes: int,
    device: torch.device,
    tested: Int64[np.ndarray, " images"] | None = None,
) -> tuple[Float32[Tensor, "images k"], Int64[Tensor, "images k"]]:
    """The `k` training images nearest to each test image: their cosine similarities and indices, nearest first.

    Of equally near ones that of the lower index comes first. Images that could not be read are nobody's neighbours;
    the neighbours of an unreadable test image mean nothing. The result is the same, bit for bit, whatever the memory.

    Args:
        k: at most the number of readable training images.
        memory_bytes: for the features and similarities that are held at one time, and for the result.
        tested: indices of the test images that are asked about; None is all.

    Raises:
        ValueError: that is too little.
    """
    assert 0 < k <= train.kept.sum()
    train_rows, test_rows = train.open(), test.open()
    tested = np.arange(len(test_rows)) if tested is None else tested
    num_tests, dimensions = len(tested), test_rows.shape[1]
    similarities = torch.empty(num_tests, k)
    indices = torch.empty(num_tests, k, dtype=torch.int64)
    rows_at_once = _rows_at_once(memory_bytes, dimensions, k, num_tests)
    for first in range(0, num_tests, rows_at_once):
        block = slice(first, min(first + rows_at_once, num_tests))
        keys = _keys_of_nearest(train_rows, train.kept, test_rows, tested[block], k, device).cpu()
        similarities[block], indices[block] = _decode(keys)
    return similarities, indices


def _rows_at_once(memory_bytes: int, dimensions: int, k: int, num_tests: int) -> int:
    """How many test images can be compared in one pass over the training images, a multiple of TILE."""
    fixed = (
        num_tests * k * 12 + LIVE_TILES * TILE * dimensions * 4 + TILE * (TILE + 2 * k) * BYTES_OF_A_PRODUCT
    )
    of_a_row = dimensions * 4 + k * 32  # features; keys, here and on the CPU, and what they are decoded to
    tiles = (memory_bytes - fixed) // (of_a_row * TILE)
    if tiles < 1:
        raise ValueError(
            f"memory is {memory_bytes // MIB} MiB, but {k} neighbours of {num_tests} images with {dimensions} features "
            f"need at least {-(-(fixed + of_a_row * TILE) // MIB)} MiB"
        )
    return int(tiles * TILE)


def _keys_of_nearest(
    train: np.ndarray, kept: np.ndarray, test: np.ndarray, tested: np.ndarray, k: int, device: torch.device
) -> Tensor:
    """The keys of the nearest training images, (images, k), highest first."""
    queries = torch.empty(len(tested), test.shape[1], device=device)
    for rows in _tiles(len(tested)):
        _load_normalised(test[tested[rows]], queries[rows])
    nearest = torch.full((len(tested), k), NO_NEIGHBOUR, device=device)
    tile = torch.empty(min(TILE, len(train)), train.shape[1], device=device)
    for columns in _tiles(len(train)):
        candidates = _load_normalised(train[columns], tile)
        indices = torch.arange(columns.start, columns.stop, device=device)
        unreadable = torch.from_numpy(~kept[columns]).to(device)
        for rows in _tiles(len(tested)):
            keys = _encode(queries[rows] @ candidates.T, indices)
            keys.masked_fill_(unreadable, NO_NEIGHBOUR)
            nearest[rows] = torch.cat([nearest[rows], keys], dim=1).topk(k, dim=1, sorted=False).values
    return nearest.sort(dim=1, descending=True).values


def _tiles(count: int) -> Iterator[slice]:
    return (slice(first, min(first + TILE, count)) for first in range(0, count, TILE))


def _load_normalised(features: np.ndarray, place: Tensor) -> Tensor:
    """The rows of a memory map with length 1, or 0 where all features are 0, at the beginning of `place`."""
    rows = torch.from_numpy(features)
    if place.is_cuda:
        rows = rows.pin_memory().to(place.device, non_blocking=True)
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_(min=1e-12)
    return torch.div(rows, lengths, out=place[: len(rows)])  # fresh memory would be slower


def _encode(similarities: Tensor, indices: Tensor) -> Tensor:
    """Whole numbers in the order of the similarities, of equal ones in the opposite order of the indices."""
    keys = _ordered_bits(similarities.add_(0.0).view(torch.int32)).long()  # adding 0 makes -0 the equal of 0
    return keys.bitwise_left_shift_(32).bitwise_or_(LAST_INDEX - indices)


def _decode(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities and indices."""
    similarities = _ordered_bits((keys >> 32).int()).view(torch.float32)
    return similarities, LAST_INDEX - (keys & LAST_INDEX)


def _ordered_bits(bits: Tensor) -> Tensor:
    """The bits of a float32 as a whole number in the same order, and back: those of negative numbers are reversed."""
    return (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(bits)
