import typing

import pytest

from transfer.__main__ import main
from transfer.detection.config import DetectConfig
from transfer.finetuning.config import FinetuneConfig
from transfer.linear_probes.config import LinearConfig
from transfer.protocols import PROTOCOLS
from transfer.segmentation.config import SegmentConfig

CONFIGS = {
    "linear": LinearConfig,
    "finetune": FinetuneConfig,
    "detect": DetectConfig,
    "segment": SegmentConfig,
}


@pytest.mark.parametrize("test", CONFIGS)
def test_the_list_has_each_protocol_that_a_test_can_be_given(test, capsys):
    assert main(["protocols", test]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.strip().partition(":")[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert listed == list(typing.get_args(typing.get_type_hints(CONFIGS[test])["protocol"]))


def test_published_values_are_in_the_list(capsys):
    """Zhang, Isola, Efros 2016, section 3.2: probes of 9,600 features; Fast R-CNN and FCN for 150k steps."""
    assert main(["protocols"]) == 0
    text = capsys.readouterr().out
    assert "28 epochs of 256 images; SGD, learning rate 0.01, in steps" in text
    assert "resized to 9600 features" in text
    assert text.count("150,000 steps of") == 2
    assert text.count("transfer ") == len(PROTOCOLS)


def test_a_test_without_protocols_is_refused(capsys):
    assert main(["protocols", "knn"]) == 2
    assert "no test with protocols 'knn'; valid names are linear" in capsys.readouterr().err
