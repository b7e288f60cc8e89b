import pytest

from pretext.cluster.profile import ClusterProfile, parse_sweep, split_launch_options, wants_cluster
from pretext.runtime.command_line import parse_config


def test_the_launchers_flags_are_taken_out_wherever_they_stand():
    flags = "--cluster p.yaml --steps 3 --cluster.nodes 2 --cluster.partition=low --wait --after 7 --seed=1"
    command, options = split_launch_options(["c.yaml", *flags.split(" ")])
    assert command == ["c.yaml", "--steps", "3", "--seed=1"]
    assert options.profile == ["p.yaml", "--nodes", "2", "--partition", "low"]
    assert (options.wait, options.after, options.dry_run, options.sweep) == (True, "7", False, {})


def test_only_the_launchers_flags_send_a_command_away():
    assert all(
        map(wants_cluster, (["--cluster", "p"], ["--cluster.nodes=2"], ["--wait"], ["--sweep", "a=1"]))
    )
    assert not wants_cluster(["c.yaml", "--data.train", "--clusters", "--waiting"])


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("optim.lr=1e-5,3e-5", "optim.lr", ["1e-5", "3e-5"]),
        ("seed=0..4", "seed", ["0", "1", "2", "3", "4"]),
        ("seed=-1..1", "seed", ["-1", "0", "1"]),
        ("data.train=a/b", "data.train", ["a/b"]),
    ],
)
def test_a_sweep_lists_values_or_spans_whole_numbers(text, key, values):
    assert parse_sweep(text) == (key, values)


@pytest.mark.parametrize("text", ["seed", "seed=", "=1,2", "seed=1,,2", "seed=4..0", "seed=1,1"])
def test_what_is_no_sweep_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match="a sweep") as caught:
        parse_sweep(text)
    assert repr(text) in str(caught.value)


def test_a_sweep_of_two_keys_is_every_combination_however_it_is_typed():
    expected = [{"a": a, "b": b} for a in "12" for b in "01"]
    for words in (["--sweep", "a=1,2", "b=0..1"], ["--sweep", "a=1,2", "--sweep", "b=0..1"]):
        _, options = split_launch_options(["--cluster", "p", *words])
        assert options.combinations() == expected


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--cluster.nodes", "2"], "need --cluster PROFILE"),
        (["--sweep", "seed=0..1"], "need --cluster PROFILE"),
        (["--cluster"], "--cluster needs a value"),
        (["--cluster", "p", "--cluster.nodes"], "--cluster.nodes needs a value"),
        (["--cluster", "p", "--sweep", "a=1", "a=2"], "--sweep has a twice"),
    ],
)
def test_flags_without_what_they_need_are_refused(argv, message):
    with pytest.raises(ValueError, match=message):
        split_launch_options(argv)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("partitoin: low", r"profile.yaml: partitoin: unknown .* \(did you mean 'partition'"),
        ("nodes: two", r"profile.yaml: nodes: expected int, got 'two'"),
        ("nodes: 0", "nodes must be at least 1, not 0"),
        ("time_limit_minutes: 2", "signal_delay_seconds, 120, must be less than the time limit, 2 minutes"),
        ("cluster: locl", r"there is no cluster 'locl' \(did you mean 'local'\?\)"),
    ],
)
def test_a_wrong_profile_is_one_line_with_the_key(tmp_path, line, message):
    path = tmp_path / "profile.yaml"
    path.write_text(line if line.startswith("cluster") else f"cluster: slurm\n{line}\n")
    with pytest.raises(ValueError, match=message) as caught:
        parse_config("pretext train --cluster", ClusterProfile, [str(path)])
    assert "\n" not in str(caught.value)
