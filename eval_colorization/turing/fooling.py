"""From checked answers to fooling rates: who counts, how often each method fooled them, how far they agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from eval_colorization.bootstrap import participants_trials_interval
from eval_colorization.turing.answers import Answer, AnswerSheet, Participant
from eval_colorization.turing.key import Key

MIN_ANSWERED = 0.5  # share of a form's test trials


@dataclass(frozen=True, kw_only=True)
class Quartiles:
    """Quartiles of response times, in seconds."""

    num: int
    lower: float
    median: float
    upper: float


@dataclass(frozen=True, kw_only=True)
class MethodScore:
    """Rates in percent; None where no trial of the method counts."""

    method: str
    fooled: int
    trials: int
    participants: int
    fooling_rate: float | None
    low: float | None
    high: float | None
    seconds_fooled: Quartiles | None
    seconds_not_fooled: Quartiles | None


@dataclass(frozen=True, kw_only=True)
class PairScore:
    """How often one colorized image was taken for the photo."""

    photo: str
    method: str
    form: str
    trial: str
    real: str
    fake: str
    fooled: int
    shown: int


@dataclass(frozen=True, kw_only=True)
class ParticipantScore:
    """One participant's own account. Counts are (right, answered)."""

    participant: str
    form: str | None
    files: tuple[str, ...]
    excluded: str | None  # why
    test_trials: int
    test_trials_of_form: int | None  # None: a crowd worker
    fooled: int
    said_left: int  # of the test trials
    practice: tuple[int, int]
    vigilance: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FoolingScore:
    """All figures of the test. What has no value (no time known, no vigilance trial, ...) is None.

    `practice` and `vigilance` are (right, answered) of everybody, also of those excluded: they say what the
    exclusion rests on. Everything else is of the test trials of the participants who count.
    """

    methods: tuple[MethodScore, ...]
    pairs: tuple[PairScore, ...]  # those that fooled most first
    participants: tuple[ParticipantScore, ...]
    trials: int
    seconds_fooled: Quartiles | None
    seconds_not_fooled: Quartiles | None
    left_share: float  # percent of the answers that said "the left one is the fake"
    alpha: float | None  # Krippendorff's
    pairs_with_two_answers: int
    practice: tuple[int, int]
    vigilance: tuple[int, int]


def split_participants(
    sheet: AnswerSheet, key: Key, min_vigilance: float
) -> tuple[list[Participant], dict[str, str]]:
    """The participants who count, and why each of the others does not.

    Excluded is who is contradicted by another file of their own; who answered less than half of their form's
    test trials (crowd workers take as few as they like); and who recognised a share below `min_vigilance` of
    the obvious fakes. Who met no obvious fake before stopping counts.
    """
    counted, excluded = [], {}
    for participant in sheet.participants:
        answered, num_trials = len(participant.of_kind("test")), _num_test_trials(key, participant.form)
        right, shown = _num_right(participant.of_kind("vigilance"))
        if participant.contradicted:
            excluded[participant.name] = "files that contradict each other"
        elif num_trials is not None and answered < MIN_ANSWERED * num_trials:
            excluded[participant.name] = f"answered {answered} of {num_trials} test trials, less than half"
        elif shown and right < min_vigilance * shown:
            excluded[participant.name] = (
                f"recognised {right} of {shown} obvious fakes, less than {100 * min_vigilance:g} %"
            )
        elif answered:
            counted.append(participant)
        else:
            excluded[participant.name] = "answered no test trial"
    return counted, excluded


def measure_fooling(
    sheet: AnswerSheet,
    key: Key,
    counted: Sequence[Participant],
    excluded: dict[str, str],
    *,
    seed: int,
) -> FoolingScore:
    """Score the test trials of `counted`, of whom there must be one at least."""
    answers = [answer for participant in counted for answer in participant.of_kind("test")]
    pairs = _score_pairs(key, answers)
    judged = np.array([[pair.fooled, pair.shown - pair.fooled] for pair in pairs])
    return FoolingScore(
        methods=_score_methods(key, counted, answers, seed),
        pairs=pairs,
        participants=tuple(_score_participant(p, key, excluded.get(p.name)) for p in sheet.participants),
        trials=len(answers),
        seconds_fooled=_quartiles([answer for answer in answers if answer.fooled]),
        seconds_not_fooled=_quartiles([answer for answer in answers if not answer.fooled]),
        left_share=100 * _num_left(answers) / len(answers),
        alpha=krippendorff_alpha(judged),
        pairs_with_two_answers=int((judged.sum(axis=1) >= 2).sum()),
        practice=_num_right([a for p in sheet.participants for a in p.of_kind("practice")]),
        vigilance=_num_right([a for p in sheet.participants for a in p.of_kind("vigilance")]),
    )


def krippendorff_alpha(counts: Int[np.ndarray, "units categories"]) -> float | None:
    """Krippendorff's alpha for nominal data: 1 is perfect agreement, 0 what chance gives, below 0 opposition.

    Args:
        counts: how many observers put each unit into each category. Units differ in their number of observers
            where answers are missing; those of fewer than two say nothing and are left out.

    None where it is not defined: no unit has two observers, or only one category was ever used.
    Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C.
    """
    observers = counts.sum(axis=1)
    pairable = counts[observers >= 2]
    observers = observers[observers >= 2, None]
    category_counts = pairable.sum(axis=0)
    num_values = category_counts.sum()
    if np.count_nonzero(category_counts) < 2:
        return None
    observed = (pairable * (observers - pairable) / (observers - 1)).sum() / num_values
    expected = (category_counts * (num_values - category_counts)).sum() / (num_values * (num_values - 1))
    return float(1 - observed / expected)


def _score_methods(
    key: Key, counted: Sequence[Participant], answers: Sequence[Answer], seed: int
) -> tuple[MethodScore, ...]:
    column = {method: index for index, method in enumerate(key.methods)}
    trials = np.zeros((len(counted), len(column)), dtype=np.int64)
    fooled = np.zeros_like(trials)
    for row, participant in enumerate(counted):
        for answer in participant.of_kind("test"):
            place = row, column[str(answer.trial.method)]
            trials[place] += 1
            fooled[place] += answer.fooled
    low, high = participants_trials_interval(fooled, trials, seed=seed)
    scores = []
    for method, index in column.items():
        num_fooled, num_trials = int(fooled[:, index].sum()), int(trials[:, index].sum())
        method_answers = [answer for answer in answers if answer.trial.method == method]
        scores.append(
            MethodScore(
                method=method,
                fooled=num_fooled,
                trials=num_trials,
                participants=int((trials[:, index] > 0).sum()),
                fooling_rate=100 * num_fooled / num_trials if num_trials else None,
                low=100 * float(low[index]) if num_trials else None,
                high=100 * float(high[index]) if num_trials else None,
                seconds_fooled=_quartiles([answer for answer in method_answers if answer.fooled]),
                seconds_not_fooled=_quartiles([answer for answer in method_answers if not answer.fooled]),
            )
        )
    return tuple(scores)


def _score_pairs(key: Key, answers: Sequence[Answer]) -> tuple[PairScore, ...]:
    """Every pair that was shown, those that fooled most first, among equals those shown most."""
    shown = Counter(answer.trial.trial for answer in answers)
    fooled = Counter(answer.trial.trial for answer in answers if answer.fooled)
    scores = [
        PairScore(
            photo=trial.photo,
            method=str(trial.method),
            form=form.form,
            trial=trial.trial,
            real=trial.real,
            fake=trial.fake,
            fooled=fooled[trial.trial],
            shown=shown[trial.trial],
        )
        for form in key.forms
        for trial in form.trials
        if shown[trial.trial]
    ]
    return tuple(sorted(scores, key=lambda s: (-s.fooled / s.shown, -s.shown, s.photo, s.method)))


def _score_participant(participant: Participant, key: Key, excluded: str | None) -> ParticipantScore:
    test = participant.of_kind("test")
    return ParticipantScore(
        participant=participant.name,
        form=participant.form,
        files=tuple(str(file) for file in participant.files),
        excluded=excluded,
        test_trials=len(test),
        test_trials_of_form=_num_test_trials(key, participant.form),
        fooled=sum(answer.fooled for answer in test),
        said_left=_num_left(test),
        practice=_num_right(participant.of_kind("practice")),
        vigilance=_num_right(participant.of_kind("vigilance")),
    )


def _num_test_trials(key: Key, name: str | None) -> int | None:
    form = next((form for form in key.forms if form.form == name), None)
    return None if form is None else sum(trial.kind == "test" for trial in form.trials)


def _num_right(answers: Sequence[Answer]) -> tuple[int, int]:
    return sum(not answer.fooled for answer in answers), len(answers)


def _num_left(answers: Sequence[Answer]) -> int:
    return sum(answer.chosen == answer.left for answer in answers)


def _quartiles(answers: Sequence[Answer]) -> Quartiles | None:
    seconds = [answer.seconds for answer in answers if answer.seconds is not None]
    if not seconds:
        return None
    lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
    return Quartiles(num=len(seconds), lower=lower, median=median, upper=upper)
