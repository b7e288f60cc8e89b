"""`pretext weights` lists what there is and says what is in a file."""

import re
from pathlib import Path

import torch
from colorizers import SIGGRAPHGenerator

from pretext.__main__ import main
from pretext.describe_weights import PUBLISHED_WEIGHTS
from pretext.pretrained import SHIPPED_WEIGHTS, load_pretrained

ROOT = Path(__file__).parents[1]


def test_the_list_names_what_is_shipped_and_all_that_the_pages_name(capsys):
    assert main(["weights"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*SHIPPED_WEIGHTS, *PUBLISHED_WEIGHTS))
    pages = (ROOT / "README.md").read_text() + (ROOT / "docs" / "systems.md").read_text()
    for name in re.findall(r"[\w-]+-[0-9a-f]{8}\.pth|Colorize\w+_gen\.pth|\w+\.caffemodel\.h5", pages):
        assert name in PUBLISHED_WEIGHTS


def test_a_file_is_described_by_what_a_user_needs_of_it(tmp_path, capsys):
    torch.save(SIGGRAPHGenerator().state_dict(), tmp_path / "siggraph17-df00044c.pth")
    assert main(["weights", "eccv16-photographs", str(tmp_path / "siggraph17-df00044c.pth")]) == 0
    shipped, published = capsys.readouterr().out.split("\n\n")
    assert load_pretrained("eccv16-photographs").sha256 in shipped
    for line in (
        "eccv16 (width 0.5), 8.1 M parameters",
        "colorization, temperature 0.38",
        "7,500",
        "conv5 256 / 8",
    ):
        assert line in shipped
    # 34.0511 M without its classes (OpenVINO's Open Model Zoo), and 529 x 257 for these.
    for line in (
        "siggraph17 (width 1), 34.2 M",
        "colorization_regression",
        "unknown",
        "ab / 110, at stride 1",
    ):
        assert line in published
