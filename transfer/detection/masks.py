"""Masks of objects: COCO's polygons and run lengths, or a data set's own, each checked against its image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from transfer.data.checking import finite_number, shown

Mask = Sequence[np.ndarray] | dict[str, Any]
"""As Detectron2 takes it: polygons, each x, y, x, y, ... in pixels, or COCO's compressed run lengths."""


def coco_mask(segmentation: Any, width: int, height: int, where: str) -> Mask | None:
    """The mask that a COCO annotation gives; None where it has no pixel.

    Args:
        segmentation: a list of polygons, or run lengths, compressed or not.
        width, height: of the image, in pixels.
        where: the annotation is, for a message.

    Raises:
        ValueError: it is neither, is of an image of another size, or lies outside the image.
    """
    from pycocotools import mask as runs  # comes with Detectron2

    if isinstance(segmentation, dict):
        compressed = _run_lengths(segmentation, width, height, where)
        return compressed if runs.area(compressed) else None
    polygons = _polygons(segmentation, where)
    if not polygons:
        return None
    points = np.concatenate(polygons).reshape(-1, 2)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    beside = right <= 0 or bottom <= 0 or left >= width or top >= height
    if beside or left < -width or top < -height or right > 2 * width or bottom > 2 * height:
        raise ValueError(
            f"{where}: its mask reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), far outside its image of "
            f"{width} x {height} px; correct the mask, or image_id"
        )
    return polygons if runs.area(_merged(polygons, width, height)) else None


def data_set_mask(pixels: Shaped[np.ndarray, "_ _"], width: int, height: int, where: str) -> Mask | None:
    """The mask that a data set gives as an image, not 0 where the object is; None where it has no pixel.

    Raises:
        ValueError: it has another size than the image.
    """
    from pycocotools import mask as runs

    if pixels.shape != (height, width):
        raise ValueError(
            f"{where}: its mask has {pixels.shape[1]} x {pixels.shape[0]} px, and its image {width} x {height}"
        )
    return _compressed(runs.encode(np.asfortranarray(pixels != 0, dtype=np.uint8))) if pixels.any() else None


def mask_pixels(mask: Mask, width: int, height: int) -> Bool[np.ndarray, "height width"]:
    """Which pixels of its image a mask covers, by COCO's own code."""
    from pycocotools import mask as runs

    return runs.decode(mask if isinstance(mask, dict) else _merged(mask, width, height)).astype(bool)


def in_json(mask: Mask) -> Any:
    """The mask as COCO's files write it."""
    return mask if isinstance(mask, dict) else [polygon.tolist() for polygon in mask]


def _polygons(segmentation: Any, where: str) -> list[np.ndarray]:
    """The polygons of three points or more: COCO's own files have others, and Detectron2 leaves them out too."""
    if not isinstance(segmentation, list) or not all(isinstance(polygon, list) for polygon in segmentation):
        raise ValueError(
            f"{where}: segmentation is {shown(segmentation)}, expected a list of polygons, or run lengths with size "
            "and counts"
        )
    for polygon in segmentation:
        if len(polygon) % 2:
            raise ValueError(
                f"{where}: segmentation has a polygon of {len(polygon)} numbers, expected x, y, x, y, ..."
            )
    return [
        np.array(
            [
                finite_number(number, f"{where}: segmentation has {shown(polygon)}, of which one")
                for number in polygon
            ]
        )
        for polygon in segmentation
        if len(polygon) >= 6
    ]


def _merged(polygons: Sequence[np.ndarray], width: int, height: int) -> dict[str, Any]:
    from pycocotools import mask as runs

    return runs.merge(runs.frPyObjects([polygon.tolist() for polygon in polygons], height, width))


def _run_lengths(segmentation: dict[str, Any], width: int, height: int, where: str) -> dict[str, Any]:
    from pycocotools import mask as runs

    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(
            f"{where}: segmentation has run lengths of size {shown(size)}, expected the image's [{height}, {width}]"
        )
    try:
        lengths = counts if isinstance(counts, list) else _decompressed(str(counts))
        if sum(lengths) != height * width or min(lengths) < 0:
            raise ValueError(f"they are of {sum(lengths)}")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: segmentation has counts {shown(counts)}, which are no run lengths of {height * width} pixels "
            f"({error})"
        ) from error
    return _compressed(runs.frPyObjects({"size": size, "counts": lengths}, height, width))


def _decompressed(counts: str) -> list[int]:
    """COCO's compressed run lengths as numbers, as its own code, which does not check them, reads them.

    Each is written five bits a character, the lowest first, the sixth bit saying whether more follow; from the fourth
    on it is the difference from the one before the last.
    """
    lengths: list[int] = []
    value = shift = 0
    for code in counts.encode("ascii"):
        bits = code - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)  # the last five bits are signed
            lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("the last one is cut off")
    return lengths


def _compressed(of_pycocotools: dict[str, Any]) -> dict[str, Any]:
    """With text for the bytes that JSON does not hold."""
    return {"size": list(of_pycocotools["size"]), "counts": of_pycocotools["counts"].decode()}
