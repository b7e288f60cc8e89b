"""Fooling rates from simulated participants whose true rates are known."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from eval_colorization.config import TuringScoreConfig
from eval_colorization.turing.answers import read_answers
from eval_colorization.turing.fooling import FoolingScore, measure_fooling, split_participants
from eval_colorization.turing.key import Key, write_key
from eval_colorization.turing.score import score, score_text
from pretext.runtime.command_line import RunFailedError
from tests.eval_colorization.turing.simulation import crowd_rows, make_key, save, save_table, simulate

FOOLING = {"annealed mean": 0.32, "random colours": 0.13, "the photo itself": 0.5, None: 0.02}
METHODS = tuple(method for method in FOOLING if method is not None)

Result = dict[str, Any]


@pytest.fixture(scope="module")
def key() -> Key:
    return make_key(np.random.default_rng(0), METHODS, test=12)


def measured(key: Key, results: list[Result], folder: Path, **settings: float) -> FoolingScore:
    sheet = read_answers([save(result, folder) for result in results], key)
    counted, excluded = split_participants(sheet, key, **({"min_vigilance": 0.75} | settings))
    return measure_fooling(sheet, key, counted, excluded, seed=0)


def excluded(result: FoolingScore) -> dict[str, str]:
    return {p.participant: p.excluded for p in result.participants if p.excluded is not None}


def answer_all(result: Result, key: Key, kinds: dict[str, bool]) -> None:
    """Fooled or not in all trials of these kinds."""
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    for answer in result["answers"]:
        trial = trials[answer["trial"]]
        if trial.kind in kinds:
            answer["chosen"] = trial.real if kinds[trial.kind] else trial.fake


def test_the_true_fooling_rates_lie_in_their_intervals_in_95_percent_of_simulated_tests(
    key: Key, tmp_path: Path
) -> None:
    covered = np.zeros(len(METHODS))
    simulations = 60
    for seed in range(simulations):
        results = simulate(key, np.random.default_rng(seed), 12, FOOLING)
        found = measured(key, results, tmp_path / str(seed), min_vigilance=0.0)
        for column, method in enumerate(found.methods):
            assert method.low is not None
            assert method.high is not None
            covered[column] += method.low <= 100 * FOOLING[method.method] <= method.high
            # No wider than a share of 48 trials can be known, times sqrt(2) for the cautious second level.
            assert method.high - method.low < 2 * 1.96 * 100 * np.sqrt(0.25 / 48) * np.sqrt(2) * 1.25
    assert (covered >= scipy.stats.binom.ppf(0.001, simulations, 0.95)).all()


def test_the_fooling_rate_is_the_share_of_test_trials_in_which_the_photo_was_taken_for_the_fake(
    key: Key, tmp_path: Path
) -> None:
    results = simulate(key, np.random.default_rng(3), 9, FOOLING)
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    found = measured(key, results, tmp_path, min_vigilance=0.0)
    for method in found.methods:
        chosen_real = [
            answer["chosen"] == trials[answer["trial"]].real
            for result in results
            for answer in result["answers"]
            if trials[answer["trial"]].kind == "test" and trials[answer["trial"]].method == method.method
        ]
        assert method.trials == len(chosen_real) == 36
        assert method.fooled == sum(chosen_real)
        assert method.fooling_rate == pytest.approx(100 * np.mean(chosen_real))
        assert method.participants == 9
    assert found.trials == 108
    assert sum(pair.shown for pair in found.pairs) == 108


def test_who_is_never_and_who_is_always_fooled_gives_0_and_100_percent(key: Key, tmp_path: Path) -> None:
    for fooled, rate in ((False, 0), (True, 100)):
        results = simulate(key, np.random.default_rng(4), 3, FOOLING)
        for result in results:
            answer_all(result, key, {"test": fooled, "vigilance": False})
        found = measured(key, results, tmp_path / str(rate))
        assert [method.fooling_rate for method in found.methods] == [rate] * 3
        assert found.alpha is None
        assert "n/a" in score_text(found)


def test_who_misses_obvious_fakes_is_excluded_with_the_reason(key: Key, tmp_path: Path) -> None:
    """4 vigilance trials: one miss is 75 %, and counts."""
    results = simulate(key, np.random.default_rng(5), 3, FOOLING | {None: 0.0})
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    for result, misses in zip(results, (0, 1, 2), strict=True):
        obvious = [a for a in result["answers"] if trials[a["trial"]].kind == "vigilance"]
        for answer in obvious[:misses]:
            answer["chosen"] = trials[answer["trial"]].real
    found = measured(key, results, tmp_path)
    assert excluded(found) == {results[2]["participant"]: "recognised 2 of 4 obvious fakes, less than 75 %"}
    assert found.trials == 24
    assert found.vigilance == (9, 12)


def test_who_stops_early_counts_from_half_of_the_test_trials_on(key: Key, tmp_path: Path) -> None:
    results = simulate(key, np.random.default_rng(6), 3, FOOLING | {None: 0.0})
    tests = {trial.trial for form in key.forms for trial in form.trials if trial.kind == "test"}
    for result, num_tests in zip(results, (12, 6, 5), strict=True):
        left_out = [answer for answer in result["answers"] if answer["trial"] in tests][num_tests:]
        result["answers"] = [answer for answer in result["answers"] if answer not in left_out]
    found = measured(key, results, tmp_path)
    assert excluded(found) == {results[2]["participant"]: "answered 5 of 12 test trials, less than half"}
    assert found.trials == 18
    assert "2 of 3 participants count, 18 test trials; 1 of the participants did not finish" in score_text(
        found
    )


def test_a_participant_with_contradicting_files_is_excluded_with_the_reason(key: Key, tmp_path: Path) -> None:
    first, second = simulate(key, np.random.default_rng(7), 2, FOOLING | {None: 0.0})
    sheet = read_answers(
        [
            save(first, tmp_path, "a.json"),
            save(second | {"participant": first["participant"]}, tmp_path, "b.json"),
        ],
        key,
    )
    counted, reasons = split_participants(sheet, key, 0.75)
    assert not counted
    assert reasons == {first["participant"]: "files that contradict each other"}


def test_a_crowd_worker_counts_with_a_single_trial(key: Key, tmp_path: Path) -> None:
    tests = {trial.trial for form in key.forms for trial in form.trials if trial.kind == "test"}
    rows = crowd_rows(key, simulate(key, np.random.default_rng(8), 1, FOOLING))
    single = next(row for row in rows if row["trial"] in tests)
    sheet = read_answers([save_table([single], tmp_path / "crowd-answers.csv")], key)
    counted, reasons = split_participants(sheet, key, 0.75)
    assert not reasons
    found = measure_fooling(sheet, key, counted, reasons, seed=0)
    assert found.trials == 1
    assert "n/a, no pair has two answers" in score_text(found)
    assert "n/a" in next(line for line in score_text(found).splitlines() if "obvious" in line)


def test_response_times_are_told_apart_by_whether_the_participant_was_fooled(
    key: Key, tmp_path: Path
) -> None:
    results = simulate(key, np.random.default_rng(9), 6, FOOLING)
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    for result in results:
        for index, answer in enumerate(result["answers"]):
            fooled = answer["chosen"] == trials[answer["trial"]].real
            answer["seconds"] = (10.0 if fooled else 1.0) + 0.001 * index
    results[0]["answers"][-1]["seconds"] = None
    found = measured(key, results, tmp_path, min_vigilance=0.0)
    assert found.seconds_fooled is not None
    assert found.seconds_not_fooled is not None
    assert 10 <= found.seconds_fooled.lower <= found.seconds_fooled.median <= found.seconds_fooled.upper < 11
    assert 1 <= found.seconds_not_fooled.lower <= found.seconds_not_fooled.upper < 2
    missing = trials[results[0]["answers"][-1]["trial"]].kind == "test"
    assert found.seconds_fooled.num + found.seconds_not_fooled.num == 72 - missing


def test_a_participant_who_always_says_left_shows_as_a_side_bias(key: Key, tmp_path: Path) -> None:
    results = simulate(key, np.random.default_rng(10), 2, FOOLING)
    for result in results:
        for answer in result["answers"]:
            answer["chosen"] = answer["left"]
    found = measured(key, results, tmp_path, min_vigilance=0.0)
    assert found.left_share == 100
    assert [p.said_left for p in found.participants] == [12, 12]


def test_pairs_are_ranked_by_how_often_they_fooled(key: Key, tmp_path: Path) -> None:
    found = measured(key, simulate(key, np.random.default_rng(11), 12, FOOLING), tmp_path)
    rates = [pair.fooled / pair.shown for pair in found.pairs]
    assert rates == sorted(rates, reverse=True)
    assert len(found.pairs) == 36


def score_answers(test: Path, answers: Path, out: Path, **options: Any) -> None:
    score(TuringScoreConfig(answers=[answers], key=test / "key.json", out=out, **options))


def test_the_command_writes_its_tables_and_figures(
    key: Key, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_key(key, tmp_path / "key.json")
    results = simulate(key, np.random.default_rng(13), 9, FOOLING)
    for result in results:
        save(result, tmp_path / "sent")
    (tmp_path / "sent" / "cut.json").write_text('{"format": 1,')
    score_answers(tmp_path, tmp_path / "sent", tmp_path / "out", min_vigilance=0.0)

    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "score.json").read_text())
    for method in found["methods"]:
        assert f"{method['fooling_rate']:.1f} %" in printed
    assert "cut.json: is truncated" in printed
    assert len(found["problems"]) == 1
    published = found["published"]
    assert published["fooling_rates"]["full method"] == 32.3
    assert "full method" not in published["quoted from memory"]
    for method in published["quoted from memory"]:
        assert f"{published['fooling_rates'][method]:.1f} %†" in printed
    assert "32.3 %\n" in printed
    assert "† Quoted from memory: no readable source was at hand." in printed
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == found["trials"] == 108
    assert sum(int(row["fooled"]) for row in trials) == sum(method["fooled"] for method in found["methods"])
    with (tmp_path / "out" / "per_image.csv").open(newline="") as file:
        pairs = list(csv.DictReader(file))
    assert sum(int(pair["shown"]) for pair in pairs) == 108
    assert [int(pair["rank"]) for pair in pairs] == list(range(1, 37))
    for figure in ("fooling_rates", "response_times"):
        with Image.open(tmp_path / "out" / f"{figure}.png") as image:
            assert min(image.size) > 200
        assert (tmp_path / "out" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_answers_and_seed_give_the_same_score_byte_for_byte(key: Key, tmp_path: Path) -> None:
    write_key(key, tmp_path / "key.json")
    for result in simulate(key, np.random.default_rng(14), 6, FOOLING):
        save(result, tmp_path / "sent")
    for out in ("first", "second"):
        score_answers(tmp_path, tmp_path / "sent", tmp_path / out, min_vigilance=0.0, seed=3)
    first, second = ((tmp_path / out / "score.json").read_bytes() for out in ("first", "second"))
    assert first == second


def test_names_that_a_spreadsheet_takes_for_formulas_are_made_harmless(tmp_path: Path) -> None:
    key = make_key(np.random.default_rng(15), ("=cmd()", "+grey"), test=4)
    write_key(key, tmp_path / "key.json")
    rows = crowd_rows(
        key, simulate(key, np.random.default_rng(16), 1, {"=cmd()": 0.5, "+grey": 0.5, None: 0})
    )
    table = save_table([row | {"participant": '=HYPERLINK("x")'} for row in rows], tmp_path / "answers.csv")
    score_answers(tmp_path, table, tmp_path / "out")
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert '\'=HYPERLINK("x")' in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_nothing_left_to_count_is_an_error_after_the_reasons_were_told(
    key: Key, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_key(key, tmp_path / "key.json")
    (result,) = simulate(key, np.random.default_rng(17), 1, FOOLING)
    answer_all(result, key, {"vigilance": True})
    save(result, tmp_path / "sent")
    (tmp_path / "sent" / "cut.json").write_text("")
    with pytest.raises(RunFailedError, match="no answer is left to count: participants read 1, excluded 1"):
        score_answers(tmp_path, tmp_path / "sent", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "recognised 0 of 4 obvious fakes" in printed
    assert "cut.json: is truncated" in printed
    assert not (tmp_path / "out").exists()


def test_a_share_of_vigilance_trials_beyond_1_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="min_vigilance is a share between 0 and 1 but is 75"):
        score_answers(tmp_path, tmp_path, tmp_path, min_vigilance=75.0)
