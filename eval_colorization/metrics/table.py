"""Every metric of a report: what it is called, which way is better, and how a set's number comes from its images."""

from eval_colorization.metrics.ciede2000 import ciede2000
from eval_colorization.metrics.colourfulness import colourfulness_absolute
from eval_colorization.metrics.errors import ab_rmse, mse, psnr
from eval_colorization.metrics.metric import Metric
from eval_colorization.metrics.palette import palette_distance
from eval_colorization.metrics.saturation import saturation_distance
from eval_colorization.metrics.ssim import ssim

METRICS = {
    "psnr": Metric(
        label="PSNR",
        unit="dB",
        better="higher",
        digits=2,
        how="RGB, 8 bits; mean over images, without those identical to the truth, where it is infinite",
        measure=lambda colorized, truth: psnr(mse(colorized.rgb, truth.rgb)),
    ),
    "mse": Metric(
        label="MSE",
        better="lower",
        digits=5,
        how="RGB in [0, 1]; mean over pixels and channels",
        measure=lambda colorized, truth: mse(colorized.rgb, truth.rgb),
    ),
    "ab_rmse": Metric(
        label="ab-RMSE",
        better="lower",
        digits=2,
        how="root of the mean squared L2 distance in ab over all pixels of the set; 1/sqrt(2) of it per channel",
        pooling="root mean square",
        measure=lambda colorized, truth: ab_rmse(colorized.ab, truth.ab),
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
        label="CIEDE2000",
        better="lower",
        digits=2,
        how="mean colour difference over pixels, D65",
        measure=lambda colorized, truth: ciede2000(colorized.lab, truth.lab),
    ),
    "ssim": Metric(
        label="SSIM",
        better="higher",
        digits=4,
        how="Wang et al. 2004 on RGB: Gaussian window, sigma 1.5; mean over channels",
        measure=lambda colorized, truth: ssim(colorized.rgb, truth.rgb),
    ),
    "lpips": Metric(label="LPIPS", better="lower", digits=4, how="AlexNet, version 0.1"),
    "fid": Metric(
        label="FID",
        better="lower",
        digits=2,
        how="Inception features (2048) of colorized against true images of this set; biased upwards in small sets",
        pooling="set",
    ),
    "colourfulness": Metric(
        label="colourfulness",
        better="nearer truth",
        digits=2,
        how="Hasler and Susstrunk 2003, signed opponent channels, RGB 0..255",
        measure=lambda colorized, truth: colorized.colourfulness,
    ),
    "colourfulness_difference": Metric(
        label="colourfulness - truth's",
        better="nearer zero",
        digits=2,
        how="signed, image by image",
        measure=lambda colorized, truth: colorized.colourfulness - truth.colourfulness,
    ),
    "colourfulness_absolute": Metric(
        label="colourfulness, absolute variant",
        better="nearer truth",
        digits=2,
        how="with the absolute values of the opponent channels, as popular code and some papers print it",
        measure=lambda colorized, truth: colourfulness_absolute(colorized.rgb),
    ),
    "saturation_distance": Metric(
        label="saturation distance",
        better="lower",
        digits=4,
        how="1-Wasserstein distance of the HSV saturation histograms, image by image",
        measure=lambda colorized, truth: saturation_distance(colorized.saturation, truth.saturation),
    ),
    "palette_distance": Metric(
        label="palette distance",
        better="lower",
        digits=2,
        how="mean CIE76 difference of the five dominant colours, matched at best; found by steps after Chang and Mukai "
        "2022, the choice of five our own",
        measure=lambda colorized, truth: palette_distance(colorized.palette, truth.palette),
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
