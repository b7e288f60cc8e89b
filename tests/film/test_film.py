"""Films through `pretext colorize`: times, sound, size and tags stay, a killed one resumes, bad ones say why."""

import struct
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

import pretext
from pretext.__main__ import main
from pretext.color.lab import rgb_to_lab
from pretext.film import colorize as film_colorize
from pretext.film.container import Film
from pretext.film.frames import FrameSequence
from pretext.film.smoothing import ColourSmoother
from tests.film.made_films import make_film, pictures, read_film


def colorize(*files, out, **options):
    """Exit status of the command."""
    flags = [f"--{name}={value}" for name, value in ({"size": 32, "device": "cpu"} | options).items()]
    return main(["colorize", *map(str, files), f"--out={out}", *flags])


def mean_lightness_difference(frames, others):
    lightness = [rgb_to_lab(torch.from_numpy(of).permute(0, 3, 1, 2) / 255)[:, 0] for of in (frames, others)]
    return (lightness[0] - lightness[1]).abs().mean().item()


@pytest.fixture(scope="module")
def half_a_minute(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", seconds=30)


@pytest.fixture(scope="module")
def colorized(half_a_minute, tmp_path_factory):
    out = tmp_path_factory.mktemp("colorized")
    assert colorize(half_a_minute, out=out) == 0
    return out / "film.mp4"


@pytest.mark.slow
def test_half_a_minute_with_sound_keeps_length_times_size_lightness_and_sound(half_a_minute, colorized):
    frames, times, sound, length = read_film(half_a_minute)
    new_frames, new_times, new_sound, new_length = read_film(colorized)
    assert new_length == length
    assert new_times == times == [number / 10 for number in range(300)]
    assert new_frames.shape == frames.shape == (300, 64, 96, 3)
    assert new_sound == sound
    assert len(sound) > 100
    assert mean_lightness_difference(frames, new_frames) < 2
    assert not np.array_equal(frames, new_frames)
    assert [path.name for path in colorized.parent.iterdir()] == ["film.mp4"]


@pytest.mark.slow
def test_a_film_killed_in_the_middle_and_resumed_is_identical(
    half_a_minute, colorized, tmp_path, monkeypatch, capsys
):
    seen = 0

    def killed(*args):
        nonlocal seen
        for frame in in_order(*args):
            seen += 1
            if seen == 250:
                raise KeyboardInterrupt
            yield frame

    in_order = film_colorize.colorized_in_order
    with monkeypatch.context() as patched:
        patched.setattr(film_colorize, "colorized_in_order", killed)
        assert colorize(half_a_minute, out=tmp_path) == 130
    assert "stopped; 240 of " in capsys.readouterr().err
    parts = tmp_path / "film.mp4.parts"
    assert {path.name for path in parts.iterdir()} == {
        "colorization.json",
        "segment_00000.nut",
        "segment_00000.npz",
    }
    assert colorize(half_a_minute, out=tmp_path, smoothing=0.5) == 1  # parts of another colorization
    assert parts.exists()
    assert colorize(half_a_minute, out=tmp_path) == 0
    assert (tmp_path / "film.mp4").read_bytes() == colorized.read_bytes()
    assert not parts.exists()


def test_no_more_frames_are_held_than_the_network_sees_together(tmp_path, monkeypatch):
    film = make_film(tmp_path / "film.mp4", seconds=5, sound=False)
    held, most = 0, 0

    def read(self, frame):
        nonlocal held, most
        held += 1
        most = max(most, held)
        return read_frame(self, frame)

    def written(*args):
        nonlocal held
        for frame in colorized_frames(*args):
            held -= 1
            yield frame

    read_frame, colorized_frames = Film._read, film_colorize._colorized
    monkeypatch.setattr(Film, "_read", read)
    monkeypatch.setattr(film_colorize, "_colorized", written)
    assert colorize(film, out=tmp_path / "out") == 0
    assert held == 0
    assert most == film_colorize.AT_ONCE


@pytest.mark.slow
def test_a_film_of_whole_segments_has_all_its_frames(tmp_path):
    film = make_film(tmp_path / "film.mkv", seconds=24, sound=False)
    assert colorize(film, out=tmp_path / "out") == 0
    assert len(read_film(tmp_path / "out" / "film.mkv")[0]) == film_colorize.SEGMENT


def test_smoothing_lowers_the_flicker_and_off_is_each_picture_for_itself(tmp_path, capsys):
    # A still that is lit and compressed a little differently in each frame: what stays should keep its colours.
    rng = np.random.default_rng(0)
    still = np.array(next(iter(pictures(1))), float)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(12):
        noisy = (still + rng.normal(0, 4, still.shape[:2])[..., None]).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"frame_{number}.png")
    flicker = {}
    for smoothing in (0.0, 0.8):
        assert colorize(folder, out=tmp_path / f"{smoothing}", frames=True, smoothing=smoothing) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if "ab units" in line)
        assert line.startswith("12 frames, 1 shot;")
        flicker[smoothing] = [
            float(word) for word in line.replace(",", "").split() if word.replace(".", "", 1).isdigit()
        ][-2:]
    assert flicker[0.0][0] == flicker[0.0][1] == flicker[0.8][1] > 0
    assert flicker[0.8][0] < 0.5 * flicker[0.8][1]
    (alone,) = pretext.colorize([folder / "frame_7.png"], size=32, device="cpu")
    assert np.array_equal(np.array(Image.open(tmp_path / "0.0" / "frame_7.png")), np.array(alone))


def test_numbered_frames_are_taken_in_order_and_resume_to_the_same_files(tmp_path, monkeypatch):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, rgb in enumerate(pictures(12), start=1):
        Image.fromarray(rgb).save(folder / f"{number}.png")
    assert colorize(folder, out=tmp_path / "whole", frames=True) == 0
    order = []

    def killed(self):
        order.append(self.num_done)
        if len(order) == 6:
            raise KeyboardInterrupt
        record(self)

    record = FrameSequence.record
    with monkeypatch.context() as patched:
        patched.setattr(FrameSequence, "record", killed)
        assert colorize(folder, out=tmp_path / "resumed", frames=True) == 130
    assert colorize(folder, out=tmp_path / "resumed", frames=True) == 0
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "resumed" / path.name).read_bytes()
    assert len(list((tmp_path / "resumed").iterdir())) == 12


# ---------------------------------------------------------------------------------------------------------- smoothing
def test_colours_follow_those_before_where_lightness_stays():
    smoother = ColourSmoother(0.75)
    grey = torch.full((1, 1, 2, 2), 50.0)
    first, second = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    assert torch.equal(smoother(first, grey), first)
    moved = grey.clone()
    moved[..., 0, 0] = 80.0  # 15 deviations: other things are there
    result = smoother(second, moved)
    assert result[0, 0].tolist() == [[1.0, 0.25], [0.25, 0.25]]
    before, after = smoother.flicker
    assert before == pytest.approx(2**0.5)
    assert after == pytest.approx(0.25 * 2**0.5)


def test_nothing_is_carried_over_a_cut():
    smoother = ColourSmoother(0.9)
    smoother(torch.zeros(1, 2, 2, 2), torch.full((1, 1, 2, 2), 20.0))
    colours = torch.rand(1, 2, 2, 2)
    assert torch.equal(smoother(colours, torch.full((1, 1, 2, 2), 60.0)), colours)
    assert smoother.num_shots == 2
    assert smoother.flicker == (0.0, 0.0)


@pytest.mark.parametrize("strength", [1.0, -0.1])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(ValueError, match="smoothing must be at least 0 and less than 1"):
        ColourSmoother(strength)


# ------------------------------------------------------------------------------------------------- all kinds of films
def test_frames_at_uneven_times_keep_them(tmp_path):
    times = [0, 3000, 9000, 10500, 30000, 45000, 47000, 90000]
    film = make_film(tmp_path / "film.mp4", times=times, sound=False)
    assert colorize(film, out=tmp_path / "out") == 0
    assert read_film(tmp_path / "out" / "film.mp4")[1] == [time / 90_000 for time in times]


def test_tags_of_colours_stay(tmp_path):
    tags = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2}
    film = make_film(tmp_path / "film.mp4", **tags)
    assert colorize(film, out=tmp_path / "out") == 0
    with av.open(str(tmp_path / "out" / "film.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert {name: getattr(context, name) for name in tags} == tags
    frames, others = read_film(film)[0], read_film(tmp_path / "out" / "film.mp4")[0]
    assert mean_lightness_difference(frames, others) < 2


@pytest.mark.parametrize(
    ("name", "options", "becomes", "remark"),
    [
        ("silent.mp4", {"sound": False}, "silent.mp4", None),
        ("odd.mkv", {"width": 95, "height": 63, "pixels": "yuv444p"}, "odd.mkv", None),
        ("deep.mkv", {"pixels": "yuv420p10le"}, "deep.mkv", "its 10 bits become 8"),
        ("old.avi", {"codec": "mpeg4", "sound": False}, "old.avi.mkv", None),
        ("web.webm", {"codec": "libvpx-vp9", "sound": False}, "web.webm.mkv", None),
    ],
)
def test_films_of_many_kinds_come_out_whole(name, options, becomes, remark, tmp_path, capsys):
    film = make_film(tmp_path / name, seconds=1, **options)
    assert colorize(film, out=tmp_path / "out") == 0
    frames, times, sound, _ = read_film(film)
    new_frames, new_times, new_sound, _ = read_film(tmp_path / "out" / becomes)
    assert new_frames.shape == frames.shape
    assert new_times == pytest.approx(times, abs=0.001)
    assert new_sound == sound
    assert mean_lightness_difference(frames, new_frames) < 2.5
    if remark:
        assert f"{film}: {remark}" in capsys.readouterr().out


def test_a_film_that_lies_on_its_side_is_turned_upright(tmp_path, capsys):
    film = make_film(tmp_path / "film.mp4", seconds=1, sound=False)
    unity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    quarter = struct.pack(
        ">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30
    )  # clockwise, as phones write it
    contents = film.read_bytes()
    place = contents.index(unity, contents.index(b"tkhd"))
    film.write_bytes(contents[:place] + quarter + contents[place + len(unity) :])
    assert colorize(film, out=tmp_path / "out") == 0
    frames, upright = read_film(film)[0], read_film(tmp_path / "out" / "film.mp4")[0]
    assert upright.shape == (10, 96, 64, 3)
    assert mean_lightness_difference(np.rot90(frames, -1, (1, 2)).copy(), upright) < 2
    assert "turned upright" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------- bad input
def test_a_film_that_breaks_off_keeps_what_comes_before(tmp_path, capsys):
    film = make_film(tmp_path / "film.mkv", seconds=10)
    contents = film.read_bytes()
    film.write_bytes(contents[: len(contents) // 2])
    status = colorize(film, out=tmp_path / "out")
    frames = read_film(tmp_path / "out" / "film.mkv")[0]
    assert 10 < len(frames) < 90
    assert status == 1
    assert f"breaks off after frame {len(frames)}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("no film"), "is not a film that can be read"),
        (
            lambda path: path.write_bytes(make_film(path).read_bytes()[:2000]),
            "is not a film that can be read",
        ),
        (lambda path: make_sound(path), "has no video stream; it holds audio"),
        (lambda path: make_film(path, seconds=1, color_trc=16), "is of high dynamic range (PQ)"),
    ],
)
def test_what_is_no_film_is_one_line_and_the_others_are_colorized(make, message, tmp_path, capsys):
    bad, good = tmp_path / "bad.mp4", make_film(tmp_path / "good.mp4", seconds=1, sound=False)
    make(bad)
    assert colorize(bad, good, out=tmp_path / "out") == 1
    error = capsys.readouterr().err.strip()
    assert f"1 of 2 images were not colorized: {bad}: {bad} {message}" in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.mp4"]


def make_sound(path):
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=16_000)
        track.layout = "mono"
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        heard.sample_rate = 16_000
        container.mux(track.encode(heard))
        container.mux(track.encode(None))


def test_without_pyav_a_film_says_how_to_get_it(tmp_path, monkeypatch):
    film = make_film(tmp_path / "film.mp4", seconds=1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"a film needs the package av.*colorization-benchmark\[film\]"):
        Film(Path(film))
