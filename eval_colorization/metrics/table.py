"""Every metric of a report: what it is called, which way is better, and how a set's number comes from its images."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "nearer zero", "nearer truth"]
Pooling = Literal["mean", "root mean square", "set"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Args:
        label: as printed.
        unit: as printed behind the label; empty where there is none.
        better: which values are better; of `nearer truth` the truth's own value is the aim.
        digits: decimals printed.
        how: the protocol in one line, for the report.
        column: the column of per_image.csv it is made from; its own name where empty.
        pooling: over images: mean (of the finite values), root mean square, or a figure of the whole set.
        weights: column of the images' weights in the mean.
    """

    label: str
    unit: str = ""
    better: Better
    digits: int
    how: str
    column: str = ""
    pooling: Pooling = "mean"
    weights: str = ""


METRICS = {
    "psnr": Metric(
        label="PSNR",
        unit="dB",
        better="higher",
        digits=2,
        how="RGB, 8 bits; mean over images, without those identical to the truth, where it is infinite",
    ),
    "mse": Metric(label="MSE", better="lower", digits=5, how="RGB in [0, 1]; mean over pixels and channels"),
    "ab_rmse": Metric(
        label="ab-RMSE",
        better="lower",
        digits=2,
        how="root of the mean squared L2 distance in ab over all pixels of the set; 1/sqrt(2) of it per channel",
        pooling="root mean square",
    ),
    "auc": Metric(
        label="AuC",
        unit="%",
        better="higher",
        digits=2,
        how="share of pixels with an ab error of at most t, integrated over t = 0..150, step 1; over all pixels",
    ),
    "auc_rebalanced": Metric(
        label="AuC rebalanced",
        unit="%",
        better="higher",
        digits=2,
        how="AuC with every pixel weighted by 1 / ImageNet prior of its true bin; over all pixels of the set",
        weights="rebalancing_weight",
    ),
    "auc_rebalanced_per_image": Metric(
        label="AuC rebalanced, per image",
        unit="%",
        better="higher",
        digits=2,
        how="the same within each image, then the mean over images",
        column="auc_rebalanced",
    ),
    "ciede2000": Metric(
        label="CIEDE2000", better="lower", digits=2, how="mean colour difference over pixels, D65"
    ),
    "ssim": Metric(
        label="SSIM",
        better="higher",
        digits=4,
        how="Wang et al. 2004 on RGB: Gaussian window, sigma 1.5; mean over channels",
    ),
    "lpips": Metric(label="LPIPS", better="lower", digits=4, how="AlexNet, version 0.1"),
    "fid": Metric(
        label="FID",
        better="lower",
        digits=2,
        how="Inception features (2048) of painted against true images of this set; biased upwards in small sets",
        pooling="set",
    ),
    "colourfulness": Metric(
        label="colourfulness",
        better="nearer truth",
        digits=2,
        how="Hasler and Susstrunk 2003, signed opponent channels, RGB 0..255",
    ),
    "colourfulness_difference": Metric(
        label="colourfulness - truth's",
        better="nearer zero",
        digits=2,
        how="signed, image by image",
    ),
    "colourfulness_absolute": Metric(
        label="colourfulness, absolute variant",
        better="nearer truth",
        digits=2,
        how="with the absolute values of the opponent channels, as popular code and some papers print it",
    ),
    "saturation_distance": Metric(
        label="saturation distance",
        better="lower",
        digits=4,
        how="1-Wasserstein distance of the HSV saturation histograms, image by image",
    ),
    "palette_distance": Metric(
        label="palette distance",
        better="lower",
        digits=2,
        how="mean CIE76 difference of the five dominant colours, matched at best; found by steps after Chang and Mukai "
        "2022, the choice of five our own",
    ),
    "cross_entropy": Metric(
        label="cross-entropy",
        unit="nats",
        better="lower",
        digits=3,
        how="of the soft-encoded truth under the network's own distribution, at its output grid; decoding has no part",
    ),
    "accuracy": Metric(
        label="recognised",
        unit="%",
        better="higher",
        digits=1,
        how="top-1 accuracy of a classifier that was trained on true colours",
    ),
}
