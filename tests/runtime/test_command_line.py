import pytest

from pretext.config import TrainConfig
from pretext.runtime.command_line import parse_config

REQUIRED = "{data: {train: photos}, run_dir: runs/a, steps: 10}"


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(REQUIRED)
    return str(path)


def parse(*argv):
    return parse_config("pretext train", TrainConfig, argv)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(config_file):
    config = parse(config_file, "--optim.lr", "1e-4", "--steps", "20")
    assert (config.optim.lr, config.steps, config.data.train, config.batch_size) == (1e-4, 20, "photos", 40)


def test_numbers_keep_their_types_in_nested_values(config_file):
    config = parse(
        config_file, "--optim.lr_steps", "{200000: 1e-5, 375000: 3e-6}", "--optim.betas", "[0.9, 0.999]"
    )
    assert config.optim.lr_steps == {200_000: 1e-5, 375_000: 3e-6}
    assert config.optim.betas == (0.9, 0.999)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--optim.lrr", "3"], r"unknown configuration key 'optim.lrr' \(did you mean 'optim.lr'\?\)"),
        (["--batchsize", "3"], r"unknown configuration key 'batchsize' \(did you mean 'batch_size'\?\)"),
        (
            ["--optim.schedule", "cosin"],
            r"there is no optim\.schedule 'cosin' \(did you mean 'cosine'\?\); valid names are step, cosine",
        ),
        (["--steps", "many"], r"--steps: expected int, got 'many'"),
    ],
)
def test_a_wrong_flag_is_explained_on_one_line(config_file, argv, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(config_file, *argv)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "optim: {weight_decy: 1}",
            r"unknown configuration key 'optim.weight_decy' \(did you mean 'optim.weight_decay'",
        ),
        ("optimm: {lr: 1}", r"unknown configuration key 'optimm\.lr' \(did you mean 'optim\.lr'\?\)"),
        ("batchsize: 1", r"unknown configuration key 'batchsize' \(did you mean 'batch_size'\?\)"),
        ("network: {width: wide}", r"width.*wide"),
    ],
)
def test_a_wrong_key_in_the_file_is_explained_on_one_line(tmp_path, line, message):
    path = tmp_path / "config.yaml"
    path.write_text("data: {train: photos}\nrun_dir: runs/a\nsteps: 10\n" + line)
    with pytest.raises(ValueError, match=message) as caught:
        parse(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_key_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no configuration file 'nowhere\.yaml'"):
        parse("nowhere.yaml")
    path = tmp_path / "config.yaml"
    path.write_text("{run_dir: runs/a, steps: 10}")
    with pytest.raises(ValueError, match=r"data\.train"):
        parse(str(path))
