"""An evaluation as it could have been: real photographs, colorized by rules, with numbers measured or made up."""

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.transform import resize
from sklearn.datasets import load_sample_image

from eval_colorization.metrics.table import METRICS
from eval_colorization.results import (
    CONDITIONS,
    ClassResult,
    DiagnosticityResult,
    GalleryImage,
    Kind,
    MethodResult,
    NetworkResult,
    NotComputed,
    Results,
    Summary,
    SweepPoint,
)
from eval_colorization.summarise import summarise
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb

METHODS = ("annealed mean, T = 0.38", "mode", "top-k mean", "other system", "grey", "random", "truth")
KINDS: dict[str, Kind] = {"other system": "folder", "grey": "grey", "random": "random", "truth": "truth"}
LABELS = {"astronaut": "person", "chelsea": "cat", "coffee": "cup", "rocket": "rocket", "china": "temple"}


def photographs(size: int) -> dict[str, np.ndarray]:
    """Central squares of the photographs inside scikit-image and scikit-learn, RGB in 8 bits, two crops each."""
    whole = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    whole["china"] = load_sample_image("china.jpg")
    squares = {}
    for name, image in whole.items():
        side = min(image.shape[:2])
        for place, start in (("left", 0), ("right", image.shape[1] - side)):
            square = image[:side, start : start + side]
            squares[f"{name}/{place}.png"] = np.round(
                255 * resize(square, (size, size), anti_aliasing=True)
            ).astype(np.uint8)
    return squares


def colorized(truths: list[np.ndarray], method: str, index: int) -> np.ndarray:
    """The image as `method` colorizes it, RGB in 8 bits."""
    lab = rgb2lab(truths[index])
    colours = {
        METHODS[0]: gaussian_filter(lab[..., 1:], (6, 6, 0)) * 0.75,
        "mode": gaussian_filter(np.round(lab[..., 1:] / 25) * 25, (2, 2, 0)),
        "top-k mean": gaussian_filter(lab[..., 1:], (12, 12, 0)) * 0.55,
        "other system": lab[..., 1:] * 0.6 + (6, 14),
        "grey": 0 * lab[..., 1:],
        "random": rgb2lab(truths[(index + 3) % len(truths)])[..., 1:],
        "truth": lab[..., 1:],
    }
    if method == "truth":
        return truths[index]
    chosen = (
        torch.from_numpy(np.concatenate([lab[..., :1], colours[method]], axis=-1)).float().permute(2, 0, 1)
    )
    return (255 * lab_to_rgb(fit_chroma_to_gamut(chosen))).round().byte().permute(1, 2, 0).numpy()


def ab_errors(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The L2 distance in ab of every pixel."""
    return np.linalg.norm((rgb2lab(picture) - rgb2lab(truth))[..., 1:], axis=-1)


def histogram(pictures: list[np.ndarray]) -> np.ndarray:
    """Pixels over cells of 1 x 1 ab unit, a-major."""
    ab = np.concatenate([rgb2lab(picture)[..., 1:].reshape(-1, 2) for picture in pictures])
    edges = np.arange(257) - 128.5
    return np.histogram2d(ab[:, 0], ab[:, 1], bins=(edges, edges))[0].astype(np.int64)


def made_results(size: int = 64) -> Results:
    """Results of four methods and the controls over ten photographs, with all pictures of them."""
    squares = photographs(size)
    names, truths = list(squares), list(squares.values())
    random = np.random.default_rng(0)
    pictures = {method: [colorized(truths, method, i) for i in range(len(truths))] for method in METHODS}
    thresholds = np.arange(151)
    columns: dict[str, list[list[float]]] = {
        name: []
        for name in ("psnr", "ab_rmse", "auc", "auc_rebalanced", "ciede2000", "ssim", "colourfulness")
    }
    columns["rebalancing_weight"] = []
    kept = {}
    for method in METHODS:
        errors = [ab_errors(p, t) for p, t in zip(pictures[method], truths, strict=True)]
        with np.errstate(divide="ignore"):
            psnr = [
                float(peak_signal_noise_ratio(t, p)) for p, t in zip(pictures[method], truths, strict=True)
            ]
        curves = np.array([[float((error <= t).mean()) for t in thresholds] for error in errors])
        vivid = [
            float(np.std(p.astype(float) - p.mean(axis=-1, keepdims=True)) * 1.4) for p in pictures[method]
        ]
        harder = curves**2.2
        rows = {
            "psnr": psnr,
            "ab_rmse": [float(np.sqrt((error**2).mean())) for error in errors],
            "auc": list(100 * curves.mean(axis=1)),
            "auc_rebalanced": list(100 * harder.mean(axis=1)),
            "ciede2000": [float(0.6 * error.mean()) for error in errors],
            "ssim": [
                float(structural_similarity(t, p, channel_axis=-1))
                for p, t in zip(pictures[method], truths, strict=True)
            ],
            "colourfulness": vivid,
            "rebalancing_weight": list(1 + random.random(len(names))),
        }
        if method == "other system":  # it colorized all but the last image
            rows = {name: [*row[:-1], np.nan] for name, row in rows.items()}
        for name, row in rows.items():
            columns[name].append(row)
        kept[method] = (curves, harder)
    values = {name: np.array(rows) for name, rows in columns.items()}
    summaries = summarise(values, METHODS, METRICS, seed=0, resamples=200)
    for method in METHODS:
        fid = 0.0 if method == "truth" else float(20 + 60 * random.random())
        summaries[method]["fid"] = Summary(value=fid, low=None, high=None, images=10)
        recognised = {"truth": 80.0, "grey": 50.0, "random": 40.0}.get(method, 55 + 15 * random.random())
        summaries[method]["accuracy"] = Summary(
            value=recognised, low=recognised - 12, high=recognised + 11, images=10
        )
        if method in METHODS[:3]:
            summaries[method]["cross_entropy"] = Summary(value=3.412, low=3.1, high=3.7, images=10)
    methods = [
        MethodResult(
            name=method,
            kind=KINDS.get(method, "network"),
            description="outputs/other/, matched by name"
            if method == METHODS[3]
            else f"runs/sample, {method}",
            weights=None,
            summaries=summaries[method],
            auc_curve=curves.mean(axis=0),
            auc_rebalanced_curve=harder.mean(axis=0),
            ab_histogram=histogram(pictures[method]),
        )
        for method, (curves, harder) in kept.items()
    ]
    results = Results(
        title="Colours of a small run",
        protocol="photographs inside scikit-image and scikit-learn, as squares of 64 px",
        subset="all",
        metrics=METRICS,
        methods=tuple(methods),
        images=tuple(names),
        labels=tuple(LABELS[name.split("/")[0]] for name in names),
        grey_truths=np.arange(len(names)) == 3,
        values=values,
        sha256=np.array(
            [[f"{place:x}{row:063x}" for place in range(len(names))] for row in range(len(methods))]
        ),
        networks=(network("runs/sample"),),
        diagnosticity=diagnosticity(methods),
        not_computed=(
            NotComputed(
                metric="lpips",
                methods=(),
                reason="the weights of LPIPS are not on this machine",
                remedy="give --lpips_weights a local file, or run once with a connection",
            ),
            NotComputed(
                metric="cross_entropy",
                methods=("other system",),
                reason="a folder of images has no distribution",
                remedy="compare the network itself",
            ),
        ),
        left_out=(("broken/cut.jpg", "truncated file: 812 of 4096 bytes"),),
        other_lightness=(("coffee/left.png", "other system"),),
        manifest={
            "command": "eval_colorization report configs/eval_colorization/sample.yaml --out reports/sample",
            "configuration": {"data": {"protocol": "sample", "size": 64}, "seed": 0},
            "packages": {"torch": "2.14.1", "torchmetrics": "1.9"},
            "images": [{"name": name, "sha256": f"{index:064x}"} for index, name in enumerate(names)],
        },
    )
    gallery = [
        GalleryImage(index=index, pictures={method: pictures[method][index] for method in METHODS})
        for index in range(len(names))
    ]
    gallery[-1].pictures.pop("other system")
    return replace(results, gallery=tuple(gallery))


def network(name: str) -> NetworkResult:
    """A network that grows less vivid and more accurate with the temperature, and is too sure of itself."""
    temperatures = (0.05, 0.1, 0.2, 0.38, 0.6, 0.8, 1.0)
    cells = np.linspace(0.05, 0.95, 10)
    return NetworkResult(
        name=name,
        methods=METHODS[:3],
        truth_mean_chroma=24.0,
        sweep=tuple(
            SweepPoint(
                temperature=t,
                mean_chroma=34 - 22 * t,
                ab_rmse=24 - 4 * t,
                auc=87 + 4 * t**0.5,
                auc_rebalanced=66 - 6 * t,
            )
            for t in temperatures
        ),
        confidence=cells,
        accuracy=0.85 * cells**1.2,
        count=(20_000 * np.exp(-5 * cells)).astype(np.int64),
        calibration_error=0.061,
    )


def diagnosticity(methods: list[MethodResult]) -> DiagnosticityResult:
    """Five classes, halved by what a classifier loses without colour."""
    gains = {"person": 0.05, "cat": 0.1, "cup": 0.2, "rocket": 0.3, "temple": 0.4}
    return DiagnosticityResult(
        ordered_by="accuracy difference",
        classes=tuple(
            ClassResult(
                name=name,
                images=2,
                accuracy_truth=0.5 + gain,
                accuracy_grey=0.5,
                accuracy_incongruent=0.5 - gain / 2,
                diagnosticity=gain,
                ab_entropy=9 - 3 * gain,
                half="high" if gain > 0.15 else "low",
            )
            for name, gain in gains.items()
        ),
        halves={
            half: {
                method.name: {
                    key: replace(of, value=of.value + shift, images=5) if key == "psnr" else of
                    for key, of in method.summaries.items()
                }
                for method in methods
            }
            for half, shift in (("high", -1.0), ("low", 1.0))
        },
        recognised={
            half: {
                condition: Summary(value=value, low=value - 9, high=value + 9, images=5)
                for condition, value in zip(CONDITIONS, values, strict=True)
            }
            for half, values in (("high", (80.0, 50.0, 35.0)), ("low", (57.0, 50.0, 46.0)))
        },
    )
