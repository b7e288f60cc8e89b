"""Colorizing films and numbered frames: segment by segment, so that what was done is kept."""

import itertools
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pretext.film.container import Film, Frame
from pretext.film.progress import describe_flicker, load_progress, open_record, save_progress
from pretext.film.smoothing import ColourSmoother, colorized_in_order
from pretext.images.image_file import file_stamp
from pretext.picture_colorizer import PictureColorizer
from pretext.runtime.command_line import RunFailedError, StoppedError
from pretext.runtime.progress import Progress

SEGMENT = 240  # frames
AT_ONCE = 8  # frames that the network sees together


def colorize_film(
    colorizer: PictureColorizer,
    smoother: ColourSmoother,
    source: Path,
    target: Path,
    described: Mapping[str, object],
) -> list[str]:
    """Colorize a film into `target`, with its sound; what is to be said of it.

    What is done lies in segments beside the target until all is there: the same call resumes, to the same bits.

    Args:
        smoother: a new one.
        described: what decides the colours, such as the hash of the weights.

    Raises:
        ValueError: the film cannot be read (see `Film`), or the segments there are of another colorization.
        RunFailedError: the film breaks off; what comes before is in the target.
        StoppedError: Ctrl-C came; the segments that were done stay.
    """
    film = Film(source)
    parts = target.with_name(f"{target.name}.parts")
    open_record(parts, {**described, "film": [source.name, file_stamp(source)]})
    done = _num_done(parts)
    start = finished = load_progress(_state(parts, done - 1), smoother, colorizer) if done else 0
    clock = time.monotonic()
    with Progress(film.num_frames, initial=finished, unit="frame") as progress:
        frames = _colorized(colorizer, smoother, film.frames(finished), progress.advance)
        for number in itertools.count(done):
            try:
                count = film.write_segment(_segment(parts, number), itertools.islice(frames, SEGMENT))
            except KeyboardInterrupt:
                kept = f"{finished} of {film.num_frames} frames of {source} are kept in {parts}"
                raise StoppedError(
                    f"stopped; {kept}: the same command resumes there", signal.SIGINT
                ) from None
            finished += count
            save_progress(_state(parts, number), finished, smoother)
            if count < SEGMENT:
                break
            speed = (finished - start) / (time.monotonic() - clock)
            left = max(0, film.num_frames - finished) / speed
            progress.show(finished, {"frames_per_second": speed}, seconds_left=left)
    segments = [_segment(parts, index) for index in range(number + 1)]
    film.join(segments if count else segments[:-1], target)
    film.close()
    shutil.rmtree(parts)
    if film.broken:
        raise RunFailedError(f"{film.broken}; what comes before it is in {target}")
    return [*film.remarks, f"{finished} frames, {describe_flicker(smoother)}"]


def _colorized(
    colorizer: PictureColorizer,
    smoother: ColourSmoother,
    frames: Iterator[Frame],
    advance: Callable[[int], None],
) -> Iterator[Frame]:
    while batch := list(itertools.islice(frames, AT_ONCE)):
        pixels = np.stack([frame.rgb for frame in batch])
        for frame, rgb in zip(batch, colorized_in_order(colorizer, smoother, pixels), strict=True):
            yield frame._replace(rgb=rgb)
        advance(len(batch))


def _num_done(parts: Path) -> int:
    """How many whole segments there are."""
    return next(number for number in itertools.count() if not _state(parts, number).exists())


def _segment(parts: Path, number: int) -> Path:
    return parts / f"segment_{number:05d}.nut"


def _state(parts: Path, number: int) -> Path:
    return parts / f"segment_{number:05d}.npz"
