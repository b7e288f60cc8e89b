"""The answers of a visual Turing test, checked against its key. No fault is silent, none stops the rest."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval_colorization.turing.answer_files import Submission, UnreadableError, find_files, read_submissions
from eval_colorization.turing.database import MAX_SECONDS
from eval_colorization.turing.key import Key, Trial

COLUMNS = (
    "participant", "form", "trial", "kind", "position", "photo", "method",
    "left", "right", "chosen", "fooled", "seconds",
)  # fmt: skip


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # of a spreadsheet program


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something in a file that does not count, or not as it stands."""

    file: Path
    what: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One trial as one participant answered it; `chosen` is the image said to be the fake."""

    trial: Trial
    form: str
    position: int | None  # in the participant's order, from 0; None: the platform does not say
    left: str
    right: str
    chosen: str
    seconds: float | None  # from the images' appearance to the answer; None: unknown or impossible

    @property
    def fooled(self) -> bool:
        """Whether the real photo was taken for the fake."""
        return self.chosen == self.trial.real


@dataclass(frozen=True, kw_only=True)
class Participant:
    """Someone's valid answers, in the order of the files."""

    name: str
    form: str | None  # None: a crowd worker, who takes trials of any form
    files: tuple[Path, ...]
    answers: tuple[Answer, ...]
    contradicted: bool = False  # by another file of the same participant; then there are no answers

    def of_kind(self, kind: str) -> tuple[Answer, ...]:
        """The answers to practice, test or vigilance trials."""
        return tuple(answer for answer in self.answers if answer.trial.kind == kind)

    def rows(self, *kinds: str) -> list[dict[str, Any]]:
        """The answers to trials of these kinds, by the names of COLUMNS."""
        return [
            {
                "participant": self.name,
                "form": answer.form,
                "trial": answer.trial.trial,
                "kind": answer.trial.kind,
                "position": answer.position,
                "photo": answer.trial.photo,
                "method": answer.trial.method,
                "left": answer.left,
                "right": answer.right,
                "chosen": answer.chosen,
                "fooled": int(answer.fooled),
                "seconds": answer.seconds,
            }
            for answer in self.answers
            if answer.trial.kind in kinds
        ]


@dataclass(frozen=True, kw_only=True)
class AnswerSheet:
    """Everyone who answered, and what was wrong with the files."""

    participants: tuple[Participant, ...]
    problems: tuple[Problem, ...]


def read_answers(paths: Sequence[Path], key: Key) -> AnswerSheet:
    """Read result files, databases, crowd CSVs, and folders of them.

    What happens to faulty answers:
    - An answer to an unknown trial or one of another form, or with an image that is not the trial's, is left out.
    - Of several answers to a trial in one file one counts if they agree, none if not.
    - An impossible time is left out, its answer counts.
    - Several files of one participant that agree (copies, or an early one and a later one) are joined; if they
      contradict each other or are of different forms, the participant is `contradicted` and none counts.
    - A crowd worker who saw a photo in several forms: its first test trial in the file counts, because the
      image that comes again is the real one.

    Raises ValueError for a path that cannot hold answers, and where all answers are of another test.
    """
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    forms = {trial.trial: form.form for form in key.forms for trial in form.trials}
    form_names = {form.form for form in key.forms}
    problems = [
        Problem(file=path, what="is a folder without any answer file")
        for path in paths
        if path.is_dir() and not find_files([path])
    ]
    foreign: list[str] = []
    by_name: dict[str, list[Participant]] = {}
    for file in find_files(paths):
        try:
            submissions = read_submissions(file, trials)
        except UnreadableError as error:
            problems.append(Problem(file=file, what=str(error)))
            continue
        for submission in submissions:
            if submission.test_id not in (None, key.test_id):
                foreign.append(str(submission.test_id))
                problems.append(Problem(file=file, what=f"is of another test, {submission.test_id}"))
            elif not submission.participant:
                what = f"{_num_answers(len(submission.answers))} not counted: no participant named"
                problems.append(Problem(file=file, what=what))
            elif submission.form is not None and submission.form not in form_names:
                problems.append(Problem(file=file, what=f"is of form {submission.form!r}, not in the key"))
            else:
                participant, faults = _check(submission, trials, forms)
                by_name.setdefault(participant.name, []).append(participant)
                problems += faults
    if foreign and not by_name:
        raise ValueError(
            f"key file does not fit the answers: key is test {key.test_id}, the answers are of test "
            f"{', '.join(sorted(set(foreign)))}; name the key.json of the folder that they were made from"
        )
    participants = [_join(copies, problems) for copies in by_name.values()]
    problems += [p for participant in participants for p in _missing(participant, key)]
    return AnswerSheet(participants=tuple(participants), problems=tuple(dict.fromkeys(problems)))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of these columns under a header; texts are `harmless`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: harmless(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue()


def harmless(field: str) -> str:
    """`field`, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{field}" if field.lstrip(" ").startswith(FORMULA_STARTS) else field


def _check(
    submission: Submission, trials: Mapping[str, Trial], forms: Mapping[str, str]
) -> tuple[Participant, list[Problem]]:
    """The valid answers of a submission. Faults of single answers are told together, by kind."""
    faults: dict[str, list[Any]] = {}
    answers: dict[str, Answer] = {}
    contradictions: set[str] = set()
    for raw in submission.answers:
        if (fault_of_answer := _fault(raw, submission.form, trials, forms)) is not None:
            fault, value = fault_of_answer
            faults.setdefault(f"not counted: {fault}", []).append(value)
            continue
        seconds = raw.get("seconds")
        if seconds is not None and not _is_time(seconds):
            faults.setdefault("counted without the time: impossible", []).append(seconds)
            seconds = None
        answer = Answer(
            trial=trials[raw["trial"]],
            form=forms[raw["trial"]],
            position=raw.get("position"),
            left=raw["left"],
            right=raw["right"],
            chosen=raw["chosen"],
            seconds=None if seconds is None else float(seconds),
        )
        first = answers.setdefault(raw["trial"], answer)
        if first is not answer and first.chosen == answer.chosen:
            faults.setdefault("not counted: repeated", []).append(raw["trial"])
        elif first is not answer:
            faults.setdefault("not counted, nor the first: contradiction", []).append(raw["trial"])
            contradictions.add(raw["trial"])
    participant = Participant(
        name=submission.participant,
        form=submission.form,
        files=(submission.file,),
        answers=tuple(answer for name, answer in answers.items() if name not in contradictions),
    )
    return participant, [
        Problem(
            file=submission.file,
            what=f"participant {submission.participant!r}: {_num_answers(len(values))} {fault} "
            f"({values[0]!r:.60}{', ...' if len(values) > 1 else ''})",
        )
        for fault, values in faults.items()
    ]


def _fault(
    raw: Any, form: str | None, trials: Mapping[str, Trial], forms: Mapping[str, str]
) -> tuple[str, Any] | None:
    """Why this answer cannot count and the value that shows it, or None."""
    if not isinstance(raw, dict):
        return "not an answer", raw
    name, chosen, position = raw.get("trial"), raw.get("chosen"), raw.get("position")
    if not isinstance(name, str) or name not in trials:
        return "unknown trial", name
    if form is not None and forms[name] != form:
        return f"trial of {forms[name]}, while the file is of {form}", name
    images = (trials[name].real, trials[name].fake)
    if chosen not in images:
        return "not one of the trial's images", chosen
    if (raw.get("left"), raw.get("right")) not in (images, images[::-1]):
        return "not the trial's two images", (raw.get("left"), raw.get("right"))
    if position is not None and (type(position) is not int or position < 0):
        return "position is not a whole number from 0", position
    if raw.get("rejected"):
        return "rejected on the platform", name
    return None


def _is_time(seconds: Any) -> bool:
    # True is no time, and NaN fails the comparison.
    return type(seconds) in (int, float) and 0 <= seconds <= MAX_SECONDS


def _join(copies: Sequence[Participant], problems: list[Problem]) -> Participant:
    """One participant's files as one, and what is wrong between them into `problems`."""
    first, *others = copies
    answers = {answer.trial.trial: answer for answer in first.answers}
    for other in others:
        again = {answer.trial.trial: answer for answer in other.answers}
        agree = all(answers[name].chosen == again[name].chosen for name in answers.keys() & again.keys())
        if other.form != first.form or not agree:
            what = f"participant {first.name!r}: contradicts {first.files[0]}, so neither counts"
            problems.append(Problem(file=other.files[0], what=what))
            files = tuple(file for copy in copies for file in copy.files)
            return replace(first, files=files, answers=(), contradicted=True)
        if first.form is not None:
            what = f"participant {first.name!r}: again, after {first.files[0]}; joined and counted once"
            problems.append(Problem(file=other.files[0], what=what))
        answers |= {name: again[name] for name in again if name not in answers}
    joined = replace(
        first,
        files=tuple(dict.fromkeys(file for copy in copies for file in copy.files)),
        answers=tuple(_one_a_photo(answers.values())),
    )
    if repeats := len(answers) - len(joined.answers):
        what = f"participant {first.name!r}: {_num_answers(repeats)} not counted: photo seen before"
        problems.append(Problem(file=first.files[0], what=what))
    return joined


def _one_a_photo(answers: Iterable[Answer]) -> Iterator[Answer]:
    seen: set[str] = set()
    for answer in answers:
        if answer.trial.kind != "test":
            yield answer
        elif answer.trial.photo not in seen:
            seen.add(answer.trial.photo)
            yield answer


def _missing(participant: Participant, key: Key) -> list[Problem]:
    """What a participant left open; a crowd worker may take as few trials as they like."""
    num_trials = sum(len(form.trials) for form in key.forms if form.form == participant.form)
    if participant.contradicted or len(participant.answers) >= num_trials:
        return []
    what = f"participant {participant.name!r}: incomplete, {len(participant.answers)} of {num_trials} trials count"
    return [Problem(file=participant.files[0], what=what)]


def _num_answers(num: int) -> str:
    return f"{num} answer" if num == 1 else f"{num} answers"
