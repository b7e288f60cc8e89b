"""Films made of moving crops of photographs and a sine."""

from fractions import Fraction

import av
import numpy as np

from pretext.images.sample import sample_source

SAMPLE_RATE = 16_000


def pictures(count, width=96, height=64):
    """Three shots, each a window that glides over a photograph."""
    photographs = [np.array(sample_source("train").open(index).resize((200, 120))) for index in range(3)]
    for number in range(count):
        shot, place = divmod(number * 3, count)
        left = round(place / count * 100)
        yield np.ascontiguousarray(photographs[shot][20 : 20 + height, left : left + width])


def make_film(
    path,
    *,
    seconds=3,
    rate=10,
    width=96,
    height=64,
    sound=True,
    codec="libx264",
    pixels="yuv420p",
    times=None,
    **tags,
):
    """Write a film; `times` are those of the frames in 1/90000 s, `tags` attributes of the encoder."""
    count = seconds * rate if times is None else len(times)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = width, height, pixels
        if codec != "mpeg4":  # whose times are whole frames
            video.codec_context.time_base = video.time_base = Fraction(1, 90_000)
        for name, value in tags.items():
            setattr(video.codec_context, name, value)
        if sound:
            track = container.add_stream("aac", rate=SAMPLE_RATE)
            track.layout = "mono"
        for number, rgb in enumerate(pictures(count, width, height)):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts = number * 90_000 // rate if times is None else times[number]
            frame.time_base = Fraction(1, 90_000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            for start in range(0, seconds * SAMPLE_RATE, 1024):
                angles = 2 * np.pi * 440 * np.arange(start, start + 1024) / SAMPLE_RATE
                heard = av.AudioFrame.from_ndarray(np.float32(0.3 * np.sin(angles))[None], "fltp", "mono")
                heard.sample_rate, heard.pts = SAMPLE_RATE, start
                container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return path


def read_film(path):
    """(frames, times in s of the frames, packets of the sound, length in s)."""
    with av.open(str(path)) as container:
        frames, times = [], []
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(frame.time)
        length = container.duration / av.time_base
    with av.open(str(path)) as container:
        sound = [bytes(packet) for packet in container.demux(audio=0)] if container.streams.audio else []
    return np.stack(frames), times, sound, length
