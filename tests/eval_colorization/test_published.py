"""The published numbers of colorization, against copies typed from the sources."""

import math

import pytest

from eval_colorization.published import CTEST10K, DIV2K, NCD, VAL5K, fooling_rates, published_beside
from pretext.quoted import mark

# Zhang, Isola, Efros (ECCV 2016), table 1: AuC, AuC rebalanced, VGG-16 top-1, fooled. Without mark: read in the paper's
# abstract and text, or in papers and model lists that quote it; with †: nobody here could read a source.
TABLE_1 = """
    Larsson et al. 2016: 91.7† 65.9† 59.4 27.2†
    Dahl 2016: 90.4† 58.9† 48.7† 18.3†
    L2 regression: 91.2† 64.4† 54.9† 21.2†
    L2 regression, fine-tuned: 91.5† 66.2† 56.5† 23.9†
    classification: 91.6† 65.1† 56.6† 25.2†
    full method: 89.5 67.3 56.0 32.3
    grey: 89.1† 58.0† 52.7 nan
    random colours: 84.2† 57.3† 41.0† 13.0
    truth: 100.0 100.0 68.3 50.0
"""
# Kang et al. (ICCV 2023), DDColor, table 1, ImageNet val5k: FID, CF, delta CF, PSNR.
DDCOLOR = """
    CIC (Zhang et al. 2016): 8.72 31.60 6.61 22.64
    InstColor: 8.06 24.87 13.34 23.28
    DeOldify, Artistic: 6.59 21.29 16.92 24.11
    Wu et al. 2021: 5.95 32.98 5.23 21.68
    ColTran: 6.44 34.50 3.71 20.95
    CT2: 5.51 38.48 0.27 23.50
    BigColor: 5.36 39.74 1.53 21.24
    ColorFormer: 4.91 38.00 0.21 23.10
    DDColor-tiny: 4.38 37.66 0.55 23.54
    DDColor-large: 3.92 38.26 0.05 23.85
"""
# PSNR and SSIM on DIV2K's validation images (KISM 2020, in the first author's repository), and on the 735 images of the
# Natural-Color Dataset (saeed-anwar/ColorSurvey, Figs/NCD_results_table.png).
KISM = """
    Iizuka et al. 2016: 23.492 0.912
    Larsson et al. 2016: 23.809 0.914
    CIC (Zhang et al. 2016): 21.173 0.885
    scene context, bins: 19.961 0.785
    scene context, regression: 22.263 0.867
"""
SURVEY = """
    Larsson et al. 2016: 20.48 0.863
    Iizuka et al. 2016: 19.55 0.792
    CIC (Zhang et al. 2016): 20.93 0.865
    InstColor: 21.12 0.863
    Zhang et al. 2017: 21.93 0.881
"""


@pytest.mark.parametrize(
    ("table", "typed"),
    [(CTEST10K, TABLE_1), (VAL5K, DDCOLOR), (DIV2K, KISM), (NCD, SURVEY)],
    ids=["table 1", "DDColor", "DIV2K", "NCD"],
)
def test_every_cell_is_the_papers_and_marked_where_it_could_not_be_read(table, typed):
    shown = {
        method: " ".join(
            f"{number:.{digits}f}{mark(number)}" for number, digits in zip(numbers, table.digits, strict=True)
        )
        for method, numbers in {**table.rows, **table.controls}.items()
    }
    assert shown == dict(line.strip().split(": ") for line in typed.strip().splitlines())
    assert table.from_memory == ("†" in typed)
    assert all(len(row.split()) == len(table.columns) for row in shown.values())


def test_the_differences_in_colourfulness_are_from_one_truth():
    """Delta CF is the distance of CF from the truth's, which the paper does not print: 38.21 of every row."""
    for _, colourfulness, difference, _ in VAL5K.rows.values():
        assert math.isclose(abs(colourfulness - 38.21), difference, abs_tol=0.011)


def test_val5k_stands_beside_val5k_alone():
    assert published_beside("val5k") == (VAL5K,)
    assert published_beside("ctest10k") == (CTEST10K,)
    assert published_beside("all") == (CTEST10K, DIV2K, NCD)


def test_fooling_rates_are_those_of_table_1_from_the_truth_down():
    rates = fooling_rates()
    assert list(rates)[:3] == ["truth", "full method", "Larsson et al. 2016"]
    assert list(rates)[-1] == "random colours"
    assert "grey" not in rates
    assert [method for method, rate in rates.items() if not mark(rate)] == [
        "truth",
        "full method",
        "random colours",
    ]
