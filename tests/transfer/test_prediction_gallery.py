"""Predictions beside the truth: where each picture lies on the sheet."""

import numpy as np
import pytest
import torch

from transfer.prediction_gallery import TILE, prediction_gallery


def plain(value, height, width):
    return torch.full((3, height, width), value, dtype=torch.uint8)


@pytest.mark.parametrize(("count", "columns"), [(2, 2), (4, 4)])
def test_each_image_stands_beside_its_prediction_at_its_shape(count, columns):
    truths = [plain(10 + number, 60, 80) for number in range(count)]
    predictions = [plain(110 + number, 60, 80) for number in range(count)]
    sheet = prediction_gallery(truths, predictions)
    height, width, gap = TILE * 3 // 4, TILE, 4
    assert sheet.shape[1] == columns * (width + gap) + gap
    for number in range(count):
        for place, value in ((2 * number, 10 + number), (2 * number + 1, 110 + number)):
            row, column = divmod(place, columns)
            top, left = gap + row * (height + gap), gap + column * (width + gap)
            tile = sheet[top : top + height, left : left + width]
            np.testing.assert_array_equal(tile, value)


def test_pictures_of_other_shapes_are_filled_up_with_white():
    sheet = prediction_gallery([plain(0, 80, 60)], [plain(0, 60, 80)])
    assert sheet.shape == (TILE + 8, 2 * TILE + 12, 3)
    tall, wide = sheet[4 : 4 + TILE, 4 : 4 + TILE], sheet[4 : 4 + TILE, 8 + TILE : 8 + 2 * TILE]
    assert (tall[:, : TILE * 3 // 4] == 0).all()
    assert (tall[:, TILE * 3 // 4 :] == 255).all()
    assert (wide[: TILE * 3 // 4] == 0).all()
    assert (wide[TILE * 3 // 4 :] == 255).all()
