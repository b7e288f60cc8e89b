from pathlib import Path

import pytest

from eval_colorization.config import ReportConfig, TuringConfig
from pretext.runtime.command_line import parse_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "eval_colorization").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_understood_and_says_its_command_cost_and_expectation(path):
    config_class = TuringConfig if path.stem == "turing" else ReportConfig
    config = parse_config("test", config_class, [str(path)])
    assert config.out.startswith(("reports/", "turing/"))
    text = path.read_text()
    for word in ("# Command ", "# Cost ", "# Expect "):
        assert word in text


def test_a_method_can_be_added_or_changed_on_the_command_line():
    argv = [
        "--data",
        "x",
        "--out",
        "y",
        "--methods.DeOldify.folder",
        "colorized",
        "--methods.mine.model",
        "run",
    ]
    config = parse_config("test", ReportConfig, [*argv, "--methods.mine.decoding", "mode"])
    assert config.methods["DeOldify"].folder == "colorized"
    assert (config.methods["mine"].model, config.methods["mine"].decoding) == ("run", "mode")
