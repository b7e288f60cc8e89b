"""Published numbers of colorization, printed beside one's own.

Every number was read in the source that its table names, or in papers that quote it, but for those that are
`FromMemory`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from eval_colorization.config import Subset
from eval_colorization.metrics.metric import Better
from pretext.quoted import FromMemory


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """One table of a paper.

    Attributes:
        source: the paper, and which of its tables.
        images: which were measured, and how they were cut.
        columns: metric with its unit -> which way is better.
        digits: decimals of each column, as the paper prints them.
        rows: method -> its number by column; NaN where the paper has none.
        controls: the same of grey, random colours and the truth.
        remark: sentences on what the columns are.
    """

    source: str
    images: str
    columns: Mapping[str, Better]
    digits: tuple[int, ...]
    rows: Mapping[str, tuple[float, ...]]
    controls: Mapping[str, tuple[float, ...]]
    remark: str = ""

    @property
    def from_memory(self) -> bool:
        """Whether any of the numbers is."""
        rows = (*self.rows.values(), *self.controls.values())
        return any(isinstance(number, FromMemory) for row in rows for number in row)


CTEST10K = PublishedTable(
    source="Zhang, Isola, Efros, “Colorful Image Colorization” (2016), table 1",
    images="the 10,000 images of ImageNet ctest10k",
    columns={
        "AuC (%)": "higher",
        "AuC rebalanced (%)": "higher",
        "VGG-16 top-1 (%)": "higher",
        "fooled (%)": "higher",
    },
    digits=(1, 1, 1, 1),
    rows={
        "Larsson et al. 2016": (FromMemory(91.7), FromMemory(65.9), 59.4, FromMemory(27.2)),
        "Dahl 2016": (FromMemory(90.4), FromMemory(58.9), FromMemory(48.7), FromMemory(18.3)),
        "L2 regression": (FromMemory(91.2), FromMemory(64.4), FromMemory(54.9), FromMemory(21.2)),
        "L2 regression, fine-tuned": (FromMemory(91.5), FromMemory(66.2), FromMemory(56.5), FromMemory(23.9)),
        "classification": (FromMemory(91.6), FromMemory(65.1), FromMemory(56.6), FromMemory(25.2)),
        "full method": (89.5, 67.3, 56.0, 32.3),
    },
    controls={
        "grey": (FromMemory(89.1), FromMemory(58.0), 52.7, math.nan),
        "random colours": (FromMemory(84.2), FromMemory(57.3), FromMemory(41.0), 13.0),
        "truth": (100.0, 100.0, 68.3, 50.0),
    },
)

VAL5K = PublishedTable(
    source="Kang et al., “DDColor” (2023), table 1",
    images="the first 5,000 images of ImageNet's validation set, their central squares at 256 x 256 pixels",
    columns={"FID": "lower", "CF": "nearer truth", "ΔCF": "lower", "PSNR (dB)": "higher"},
    digits=(2, 2, 2, 2),
    rows={
        "CIC (Zhang et al. 2016)": (8.72, 31.60, 6.61, 22.64),
        "InstColor": (8.06, 24.87, 13.34, 23.28),
        "DeOldify, Artistic": (6.59, 21.29, 16.92, 24.11),
        "Wu et al. 2021": (5.95, 32.98, 5.23, 21.68),
        "ColTran": (6.44, 34.50, 3.71, 20.95),
        "CT2": (5.51, 38.48, 0.27, 23.50),
        "BigColor": (5.36, 39.74, 1.53, 21.24),
        "ColorFormer": (4.91, 38.00, 0.21, 23.10),
        "DDColor-tiny": (4.38, 37.66, 0.55, 23.54),
        "DDColor-large": (3.92, 38.26, 0.05, 23.85),
    },
    controls={},
    remark="CF is colourfulness, ΔCF its distance from the truth's. In this literature CF takes the absolute values of "
    "the opponent channels: set it beside the absolute variant of colourfulness, not beside the signed one. By another "
    "paper's scripts a user measured CF 34.33 and FID 3.78 of the released DDColor-large (piddnad/DDColor, issue 9).",
)


DIV2K = PublishedTable(
    source="Nguyen-Quynh, Kim, Do (KISM 2020), comparison of methods",
    images="the 100 validation images of DIV2K",
    columns={"PSNR (dB)": "higher", "SSIM": "higher"},
    digits=(3, 3),
    rows={
        "Iizuka et al. 2016": (23.492, 0.912),
        "Larsson et al. 2016": (23.809, 0.914),
        "CIC (Zhang et al. 2016)": (21.173, 0.885),
        "scene context, bins": (19.961, 0.785),
        "scene context, regression": (22.263, 0.867),
    },
    controls={},
    remark="Scene context is there without its segmentation. The others are their published weights.",
)

NCD = PublishedTable(
    source="Anwar et al., “Image Colorization: A Survey and Dataset” (2020), table of the dataset",
    images="the 735 images of the Natural-Color Dataset",
    columns={"PSNR (dB)": "higher", "SSIM": "higher"},
    digits=(2, 3),
    rows={
        "Larsson et al. 2016": (20.48, 0.863),
        "Iizuka et al. 2016": (19.55, 0.792),
        "CIC (Zhang et al. 2016)": (20.93, 0.865),
        "InstColor": (21.12, 0.863),
        "Zhang et al. 2017": (21.93, 0.881),
    },
    controls={},
    remark="The table says AutomaticColorizer where Larsson et al. stands here.",
)


def published_beside(subset: Subset) -> tuple[PublishedTable, ...]:
    """The table on the same images as `subset`; beside other images those on several sets, for orientation."""
    return {"val5k": (VAL5K,), "ctest10k": (CTEST10K,), "all": (CTEST10K, DIV2K, NCD)}[subset]


def fooling_rates() -> dict[str, float]:
    """Method -> the share in percent of pairs in which its colours were taken for the true ones; the highest first."""
    rates = {method: row[-1] for part in (CTEST10K.rows, CTEST10K.controls) for method, row in part.items()}
    known = {method: rate for method, rate in rates.items() if not math.isnan(rate)}
    return dict(sorted(known.items(), key=lambda entry: -entry[1]))
