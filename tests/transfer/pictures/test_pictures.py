"""The page of pictures, and the numbers behind it against NumPy, scikit-learn and `transfer knn`."""

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import nn

from transfer.config import BackboneConfig
from transfer.features.files import Features
from transfer.pictures.config import PicturesConfig
from transfer.pictures.maps import FILTER_SIDE, GAP, component_maps, first_filters
from transfer.pictures.neighbours import classes_by_neighbours, lay_out, nearest_others
from transfer.pictures.run import run

RNG = np.random.default_rng(0)


def features(tmp_path: Path, rows: np.ndarray, broken: tuple[int, ...] = ()) -> Features:
    np.save(tmp_path / "stage.npy", rows.astype(np.float32))
    kept = np.ones(len(rows), bool)
    kept[list(broken)] = False
    return Features(path=tmp_path / "stage.npy", kept=kept)


def test_neighbours_are_scikit_learn_s_without_the_image_itself(tmp_path: Path) -> None:
    rows = RNG.normal(size=(40, 7))
    found = nearest_others(features(tmp_path, rows), 5)
    distances, indices = NearestNeighbors(n_neighbors=6, metric="cosine").fit(rows).kneighbors(rows)
    assert np.array_equal(found.indices.numpy(), indices[:, 1:])
    np.testing.assert_allclose(found.similarities.numpy(), 1 - distances[:, 1:], atol=1e-6)


def test_an_image_is_not_its_own_neighbour_where_others_are_equal_to_it(tmp_path: Path) -> None:
    rows = np.repeat(RNG.normal(size=(3, 4)), 6, axis=0)
    found = nearest_others(features(tmp_path, rows), 4).indices
    assert not (found == torch.arange(18)[:, None]).any()
    assert torch.equal(found // 6, (torch.arange(18) // 6)[:, None].expand(-1, 4))


def test_classes_are_known_from_others_and_not_from_the_image_itself(tmp_path: Path) -> None:
    labels = np.arange(40) % 2
    of_class = features(tmp_path, np.eye(2)[labels] + 0.01 * RNG.normal(size=(40, 2)))
    by_class = classes_by_neighbours(nearest_others(of_class, 5), labels, 2, of_class.kept)
    assert by_class == {"top1": 100.0}
    in_pairs = np.repeat(RNG.normal(size=(20, 30)), 2, axis=0)  # of each pair one is of each class
    of_pairs = features(tmp_path, in_pairs)
    assert classes_by_neighbours(nearest_others(of_pairs, 1), labels, 2, of_pairs.kept) == {"top1": 0.0}


def test_near_images_are_near_on_the_plane(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    rows = np.eye(3)[labels] + 0.05 * RNG.normal(size=(60, 3))
    places = lay_out(features(tmp_path, rows, broken=(4, 50)), seed=0)
    assert places.shape == (58, 2)
    assert places.min() == 0
    assert places.max() == 1
    _, indices = NearestNeighbors(n_neighbors=2).fit(places).kneighbors(places)
    of_places = np.delete(labels, [4, 50])
    assert (of_places[indices[:, 1]] == of_places).mean() > 0.95


def shades(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, 3).astype(float)


def test_of_one_network_the_colours_are_its_principal_components() -> None:
    maps = torch.from_numpy(RNG.normal(size=(4, 6, 5, 7)) * np.arange(1, 7)[:, None, None]).float()
    (pictures,) = component_maps([maps[..., :5]])
    scores = PCA(3).fit_transform(maps[..., :5].permute(0, 2, 3, 1).reshape(-1, 6).numpy())
    for colour, score in zip(shades(pictures).T, scores.T, strict=True):
        inside = (colour > 0) & (colour < 255)  # the outermost hundredths are cut off
        assert inside.mean() > 0.95
        assert abs(np.corrcoef(colour[inside], score[inside])[0, 1]) > 0.9999


def test_what_two_networks_share_has_one_colour_whatever_their_scales_and_rotations() -> None:
    shared = RNG.normal(size=(4, 3, 8, 8)) * np.array([5, 3, 2])[:, None, None]
    rotation, _ = np.linalg.qr(RNG.normal(size=(12, 12)))

    def network(channels: int, scale: float) -> torch.Tensor:
        mixed = np.einsum("bchw,cd->bdhw", shared, rotation[:3, :channels] if channels == 12 else np.eye(3))
        return torch.from_numpy(scale * mixed + 0.01 * scale * RNG.normal(size=mixed.shape)).float()

    first, second = component_maps([network(3, 1.0), network(12, 1000.0)])
    assert np.abs(first.astype(int) - second).max() <= 6


def test_maps_of_other_sizes_and_constant_ones_have_pictures() -> None:
    torch.manual_seed(0)
    fine, coarse = component_maps([torch.rand(2, 8, 40, 40), torch.zeros(2, 5, 4, 4)])
    assert fine.shape == (2, 40, 40, 3)
    assert coarse.shape == (2, 4, 4, 3)
    assert len(np.unique(coarse)) <= 3  # a network that sees nothing: one shade for each component
    (single,) = component_maps([torch.rand(3, 4, 1, 1)])
    assert single.shape == (3, 1, 1, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_filter_is_drawn_by_itself_around_mid_grey(channels: int) -> None:
    layer = nn.Conv2d(channels, 20, 3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 0, 0], layer.weight[1, 0, 2, 2] = 5.0, -0.01
    sheet = first_filters(nn.Sequential(layer, nn.ReLU(), nn.Conv2d(20, 7, 1)))
    side = FILTER_SIDE
    assert sheet.size == (16 * (side + GAP) - GAP, 2 * (side + GAP) - GAP)
    rest = 128 if channels == 3 else 255
    assert sheet.getpixel((0, 0)) == (255, rest, rest, 255)
    assert sheet.getpixel((side - 1, side - 1)) == (128, 128, 128, 255)
    assert sheet.getpixel((side + GAP + side - 1, side - 1))[0] == 0
    assert sheet.getpixel((side, 0))[3] == 0  # between two filters
    assert first_filters(nn.Sequential(nn.Conv2d(4, 7, 1))) is None
    assert first_filters(nn.Linear(3, 3)) is None


@pytest.fixture
def config(tmp_path: Path) -> PicturesConfig:
    """Two networks on fifteen images of three classes, one of them unreadable."""
    for number in range(15):
        folder = tmp_path / "images" / "<abc>"[number % 3 + 1]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / f"<{number:02}>.png")
    (tmp_path / "images" / "c" / "<05>.png").write_bytes(b"no picture")
    return PicturesConfig(
        backbone=BackboneConfig(model="random:eccv16", width=0.125),
        others=[BackboneConfig(model="random:torchvision:resnet18")],
        images=str(tmp_path / "images"),
        out=str(tmp_path / "out"),
        cache=None,
        image_size=40,
        crop_size=32,
        num_shown=3,
        num_workers=0,
        device="cpu",
    )


def test_the_page_has_all_of_both_networks_and_loads_and_runs_nothing(
    config: PicturesConfig, tmp_path: Path
) -> None:
    run(config)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "random eccv16 x0.125" in page
    assert "14 images (1 could not be read)" in page
    assert page.count('alt="Filters of') == 2
    for stage in ("conv1", "conv8", "layer1", "layer4"):
        assert re.search(rf"<th scope=\"row\"><b>{stage}</b>", page)
    assert page.count('class="map"') == 3 * (8 + 4)
    assert page.count("<li><img") == 2 * 3 * 6
    assert page.count("<circle") == 2 * 14 + 3  # and the legend's
    assert "<title>a/&lt;00&gt;.png</title>" in page
    assert "<05>" not in html.unescape(page)
    assert "Top-1 accuracy" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)


def test_images_without_classes_have_no_colours_and_no_accuracy(
    config: PicturesConfig, tmp_path: Path
) -> None:
    run(replace(config, others=[], images=str(flattened(tmp_path / "images"))))
    page = (tmp_path / "out" / "index.html").read_text()
    for absent in ('id="accuracy"', 'class="legend"', "bold: of the same class", "together, with the same"):
        assert absent not in page
    assert page.count("<circle") == 14


def flattened(folder: Path) -> Path:
    flat = folder.with_name("flat")
    flat.mkdir()
    for number, file in enumerate(sorted(folder.rglob("*.png"))):
        file.rename(flat / f"{number}.png")
    return flat


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_shown": 0}, "images has 15 images, and num_shown is 0; give at least 10 images"),
        ({"num_shown": 16}, "num_shown is 16"),
        ({"stages": ["conv1", "conv9"]}, r"no stage 'conv9'"),
        ({"stages": ["conv1"]}, r"no stage 'conv1'"),  # of the second network
        ({"crop_size": 50}, "crop_size"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_computed(
    config: PicturesConfig, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(replace(config, **changes))
    assert not (tmp_path / "out").exists()


def test_stages_asked_for_are_those_of_the_networks_that_have_them(
    config: PicturesConfig, tmp_path: Path
) -> None:
    run(replace(config, stages=["conv2", "layer2", "layer1"]))
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('class="map"') == 3 * 3
    assert "random eccv16 x0.125: conv2, random torchvision resnet18: layer2." in page
