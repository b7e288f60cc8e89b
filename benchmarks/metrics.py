"""The pixel metrics of a report against scikit-image.  Run: python benchmarks/metrics.py [--device cuda]

1,000 pairs of photographs of 256 px and paintings of them, from 8-bit RGB to every image's scores. The peer is a loop
over images in scikit-image and NumPy, in float32; it is timed on 40 of the images, on 8 beside a GPU. That both compute
the same is checked first. The palette has no counterpart in scikit-image: its peer is the same recipe's slow half, a
bilateral filter and k-means on the same small copy, without merging and picking.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import skimage.color
import skimage.data
import skimage.metrics
import skimage.restoration
import skimage.transform
import torch
from measure import Target, interleaved_medians, peak_tensor_memory, report, synchronizer
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image
from torch import Tensor

from eval_colorization.metrics.auc import auc, error_counts, rebalancing_weights
from eval_colorization.metrics.ciede2000 import ciede2000
from eval_colorization.metrics.colourfulness import colourfulness, colourfulness_absolute
from eval_colorization.metrics.errors import ab_rmse, mse, psnr
from eval_colorization.metrics.palette import NUM_CLUSTERS, dominant_colours, palette_distance
from eval_colorization.metrics.saturation import saturation_distance, saturation_histogram
from eval_colorization.metrics.ssim import ssim
from pretext.color.bins import AbBins
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab

SIZE = 256
NUM_IMAGES = 1000
NUM_DIFFERENT = 40  # pairs held in memory, measured over and over
NUM_SINGLE = 16  # pairs for the single metrics
CPU_BATCH, GPU_BATCH = 4, 125
CPU_LIMIT, GPU_LIMIT = 3, 50
NUM_PALETTES = 4
BINS = AbBins.published()


def pairs() -> tuple[Tensor, Tensor]:
    """uint8 RGB (batch, 3, 256, 256): paintings, each in the colours of another photograph, and photographs."""
    photographs = (
        *(skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()),
        *(load_sample_image("china.jpg"), load_sample_image("flower.jpg")),
    )
    generator = np.random.default_rng(0)
    details = []
    for i in range(NUM_DIFFERENT):
        photograph = photographs[i % len(photographs)]
        top, left = (generator.integers(side - SIZE + 1) for side in photograph.shape[:2])
        details.append(torch.from_numpy(photograph[top : top + SIZE, left : left + SIZE].copy()))
    truth = torch.stack(details).permute(0, 3, 1, 2).contiguous()
    lab = rgb_to_lab(truth / 255)
    lab[:, 1:] = lab[:, 1:].roll(1, dims=0)
    colorized = lab_to_rgb(fit_chroma_to_gamut(lab))
    return (colorized * 255).round().byte(), truth


def score(colorized: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """The scores of a batch of 8-bit images, by this project."""
    colorized_rgb, truth_rgb = colorized / 255, truth / 255
    colorized_lab, truth_lab = rgb_to_lab(colorized_rgb), rgb_to_lab(truth_rgb)
    colorized_ab, truth_ab = colorized_lab[:, 1:], truth_lab[:, 1:]
    squared = mse(colorized_rgb, truth_rgb)
    weight = rebalancing_weights(truth_ab, BINS)
    histograms = saturation_histogram(colorized_rgb), saturation_histogram(truth_rgb)
    return {
        "mse": squared,
        "psnr": psnr(squared),
        "ab_rmse": ab_rmse(colorized_ab, truth_ab),
        "auc": auc(error_counts(colorized_ab, truth_ab)),
        "auc_rebalanced": auc(error_counts(colorized_ab, truth_ab, weight)),
        "ciede2000": ciede2000(colorized_lab, truth_lab),
        "ssim": ssim(colorized_rgb, truth_rgb),
        "colourfulness": colourfulness(colorized_rgb),
        "colourfulness_absolute": colourfulness_absolute(colorized_rgb),
        "truth's colourfulness": colourfulness(truth_rgb),
        "truth's colourfulness_absolute": colourfulness_absolute(truth_rgb),
        "saturation_distance": saturation_distance(*histograms),
    }


class Peer:
    """The scores of one 8-bit image, (height, width, 3), by scikit-image and NumPy."""

    def __init__(self) -> None:
        # The nearest bin by rounding to the published grid, which is quicker than any search.
        cells = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij"), axis=-1)
        distance = np.linalg.norm(cells[::2, ::2, None] - BINS.centres.numpy(), axis=-1)
        self.weight_of_cell = (1 / BINS.prior.numpy())[distance.argmin(axis=-1)]

    def weights(self, ab: np.ndarray) -> np.ndarray:
        cell = np.rint(ab / 2).astype(int) + 64
        return self.weight_of_cell[cell[..., 0], cell[..., 1]]

    @staticmethod
    def auc(colorized_ab: np.ndarray, truth_ab: np.ndarray, weight: np.ndarray | None = None) -> float:
        error = np.sqrt(((colorized_ab - truth_ab) ** 2).sum(axis=-1))
        column = np.ceil(error).astype(int).clip(max=151).ravel()
        counts = np.bincount(column, weights=None if weight is None else weight.ravel(), minlength=152)
        return 100 * np.trapezoid(counts.cumsum()[:151] / counts.sum()) / 150

    @staticmethod
    def ssim(colorized: np.ndarray, truth: np.ndarray) -> float:
        return skimage.metrics.structural_similarity(
            colorized,
            truth,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=-1,
        )

    @staticmethod
    def colourfulness(rgb: np.ndarray, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> float:
        red, green, blue = np.moveaxis(255 * rgb, -1, 0)
        rg, yb = change(red - green), change((red + green) / 2 - blue)
        return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())

    @staticmethod
    def saturation_distance(colorized: np.ndarray, truth: np.ndarray) -> float:
        levels = [np.rint(skimage.color.rgb2hsv(rgb)[..., 1] * 255).astype(int) for rgb in (colorized, truth)]
        first, second = (np.bincount(level.ravel(), minlength=256).cumsum() / level.size for level in levels)
        return np.abs(first - second).sum() / 255

    @staticmethod
    def palette(lab: np.ndarray) -> np.ndarray:
        small = skimage.transform.resize_local_mean(lab, (64, 64), channel_axis=-1)
        smooth = skimage.restoration.denoise_bilateral(
            small, win_size=5, sigma_color=8, sigma_spatial=1.5, channel_axis=-1
        )
        kmeans = KMeans(NUM_CLUSTERS, n_init=1, random_state=0).fit(smooth.reshape(-1, 3))
        return kmeans.cluster_centers_

    def score(self, colorized: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        colorized_rgb, truth_rgb = (image.astype(np.float32) / 255 for image in (colorized, truth))
        colorized_lab, truth_lab = skimage.color.rgb2lab(colorized_rgb), skimage.color.rgb2lab(truth_rgb)
        colorized_ab, truth_ab = colorized_lab[..., 1:], truth_lab[..., 1:]
        return {
            "mse": skimage.metrics.mean_squared_error(truth_rgb, colorized_rgb),
            "psnr": skimage.metrics.peak_signal_noise_ratio(truth_rgb, colorized_rgb, data_range=1),
            "ab_rmse": np.sqrt(((colorized_ab - truth_ab) ** 2).sum(axis=-1).mean()),
            "auc": self.auc(colorized_ab, truth_ab),
            "auc_rebalanced": self.auc(colorized_ab, truth_ab, self.weights(truth_ab)),
            "ciede2000": skimage.color.deltaE_ciede2000(colorized_lab, truth_lab).mean(),
            "ssim": self.ssim(colorized_rgb, truth_rgb),
            "colourfulness": self.colourfulness(colorized_rgb),
            "colourfulness_absolute": self.colourfulness(colorized_rgb, np.abs),
            "truth's colourfulness": self.colourfulness(truth_rgb),
            "truth's colourfulness_absolute": self.colourfulness(truth_rgb, np.abs),
            "saturation_distance": self.saturation_distance(colorized_rgb, truth_rgb),
        }


def batches(colorized: Tensor, truth: Tensor, num_images: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, num_images, size):
        index = torch.arange(start, min(start + size, num_images)) % NUM_DIFFERENT
        yield colorized[index], truth[index]


def check_agreement(ours: dict[str, Tensor], peers: list[dict[str, float]]) -> None:
    for name, values in ours.items():
        expected = torch.tensor([float(peer[name]) for peer in peers], dtype=torch.float64)
        # The peer's nearest bin may differ at the border between two: 0.5 % of the rebalanced AuC.
        tolerance = 5e-3 if name == "auc_rebalanced" else 1e-3
        torch.testing.assert_close(values.cpu(), expected, atol=tolerance / 10, rtol=tolerance, msg=name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--images", type=int, default=NUM_IMAGES, help="fewer for a quick look")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    batch_size, limit = (GPU_BATCH, GPU_LIMIT) if on_gpu else (CPU_BATCH, CPU_LIMIT)
    torch.set_num_threads(min(2, torch.get_num_threads()))

    # The peer is a loop over images, whose time a few tell as well; on a GPU it would take most of the time.
    num_peers, num_single, rounds = (8, 8, 2) if on_gpu else (NUM_DIFFERENT, NUM_SINGLE, 3)
    print(f"checking {num_single} images against scikit-image, then timing {rounds} rounds", flush=True)
    colorized, truth = pairs()
    few_colorized, few_truth = (images[:num_single].to(options.device) for images in (colorized, truth))
    peer = Peer()
    # The peer's images lie in memory as it likes them.
    loop = [
        (one.contiguous().numpy(), other.contiguous().numpy())
        for one, other in zip(colorized.permute(0, 2, 3, 1), truth.permute(0, 2, 3, 1), strict=True)
    ]
    check_agreement(score(few_colorized, few_truth), [peer.score(*images) for images in loop[:num_single]])

    def all_images() -> None:
        for batch in batches(colorized, truth, options.images, batch_size):
            scores = score(*(images.to(options.device) for images in batch))
            torch.stack(list(scores.values())).cpu()

    def all_images_peer() -> None:
        for images in loop[:num_peers]:
            peer.score(*images)

    rgb = few_colorized / 255, few_truth / 255
    lab = rgb_to_lab(rgb[0]), rgb_to_lab(rgb[1])
    ab = lab[0][:, 1:], lab[1][:, 1:]
    palettes = lab[0][:NUM_PALETTES], lab[1][:NUM_PALETTES]
    rgb_loop = [tuple(image.astype(np.float32) / 255 for image in images) for images in loop[:num_single]]
    lab_loop = [tuple(skimage.color.rgb2lab(image) for image in images) for images in rgb_loop]
    ab_loop = [tuple(image[..., 1:] for image in images) for images in lab_loop]

    def each(function: Callable[..., object], loop: list) -> Callable[[], object]:
        return lambda: [function(*images) for images in loop]

    all_name, peer_name = f"all, {options.images} images", f"all, {num_peers} images, scikit-image"
    palette, palette_peer = (f"palette, {NUM_PALETTES} images", "palette, scikit-image + scikit-learn")
    seconds = interleaved_medians(
        {
            all_name: all_images,
            peer_name: all_images_peer,
            "Lab": lambda: rgb_to_lab(rgb[0]),
            "Lab, scikit-image": each(lambda one, _: skimage.color.rgb2lab(one), rgb_loop),
            "MSE": lambda: mse(*rgb),
            "MSE, scikit-image": each(skimage.metrics.mean_squared_error, rgb_loop),
            "AuC": lambda: auc(error_counts(*ab)),
            "AuC, NumPy": each(peer.auc, ab_loop),
            "weights": lambda: rebalancing_weights(ab[1], BINS),
            "weights, NumPy": each(lambda _, other: peer.weights(other), ab_loop),
            "CIEDE2000": lambda: ciede2000(*lab),
            "CIEDE2000, scikit-image": each(skimage.color.deltaE_ciede2000, lab_loop),
            "SSIM": lambda: ssim(*rgb),
            "SSIM, scikit-image": each(peer.ssim, rgb_loop),
            "colourfulness": lambda: colourfulness(rgb[0]),
            "colourfulness, NumPy": each(lambda one, _: peer.colourfulness(one), rgb_loop),
            "saturation distance": lambda: saturation_distance(*map(saturation_histogram, rgb)),
            "saturation distance, scikit-image": each(peer.saturation_distance, rgb_loop),
            palette: lambda: palette_distance(*map(dominant_colours, palettes)),
            palette_peer: each(
                lambda *images: [peer.palette(one) for one in images], lab_loop[:NUM_PALETTES]
            ),
        },
        rounds=rounds,
        synchronize=synchronizer(options.device),
    )
    ours = seconds[all_name] / options.images
    theirs = seconds[peer_name] / num_peers
    our_palette, their_palette = seconds[palette] / NUM_PALETTES, seconds[palette_peer] / NUM_PALETTES
    one_batch = [
        images.to(options.device) for images in next(batches(colorized, truth, batch_size, batch_size))
    ]
    memory = peak_tensor_memory(lambda: score(*one_batch))
    targets = [
        Target("an image: times as fast as scikit-image", theirs / ours, limit),
        Target("with the palette", (theirs + their_palette) / (ours + our_palette), limit),
        Target(f"peak memory in a batch of {batch_size}, GiB", memory / 2**30, 2, at_least=False),
    ]
    what = (
        f"Pixel metrics of {SIZE} px images, {1e3 * ours:.2f} ms an image in batches of {batch_size}, "
        f"scikit-image {1e3 * theirs:.1f}; single metrics in a batch of {len(few_truth)}"
    )
    report("metrics", what, seconds, targets, ("scikit-image", "numpy", "scikit-learn"), options.device)


if __name__ == "__main__":
    main()
