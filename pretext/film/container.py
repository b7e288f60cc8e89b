"""Films in and out, through PyAV: frames as RGB, segments of colorized frames, and the whole with its sound."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from pretext.optional import missing_package
from pretext.runtime.whole_file import whole_file

SUFFIXES = frozenset(
    [
        ".3gp",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    ]
)
KEPT_SUFFIXES = frozenset(
    [".m4v", ".mkv", ".mov", ".mp4"]
)  # they hold H.264 and most sound; others become .mkv
# No frame refers to a later one, so that segments follow each other without overlap; and a fixed number of threads, on
# which the bits depend.
ENCODER = {"crf": "16", "preset": "medium", "bf": "0", "x264-params": "threads=4"}
# Transfer characteristics of H.273, beyond the standard range of displays.
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}


def is_film(path: Path) -> bool:
    """Whether the file's name is that of a film."""
    return path.suffix.lower() in SUFFIXES


def film_target(source: Path) -> Path:
    """The name of the file that a film becomes."""
    return source if source.suffix.lower() in KEPT_SUFFIXES else source.with_name(f"{source.name}.mkv")


class Frame(NamedTuple):
    """A frame: its pixels in 0..255, upright, and when it is shown, in units of the film's time base."""

    rgb: UInt8[np.ndarray, "height width 3"]
    time: int
    duration: int


class Film:
    """A film that is read.

    Args:
        path: of the file.

    Attributes:
        num_frames: how many the file says it has, or its length and rate; 0 if it says nothing.
        remarks: what will be otherwise in the film that is written.
        broken: why its end was not reached, once `frames` has ended; empty where all is well.

    Raises:
        ValueError: PyAV is not installed, the file is no film that can be read, has no video stream, or is of high
            dynamic range.
    """

    def __init__(self, path: Path) -> None:
        try:
            import av
        except ModuleNotFoundError as error:
            raise ValueError(str(missing_package("a film", error, "film"))) from error
        self._av, self.path, self.broken = av, path, ""
        try:
            self._container = av.open(str(path))
        except av.error.FFmpegError as error:
            raise ValueError(f"{path} is not a film that can be read: {error.strerror}") from error
        videos = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & stream.disposition.attached_pic
        ]
        if not videos:
            kinds = ", ".join(stream.type for stream in self._container.streams) or "nothing"
            raise ValueError(f"{path} has no video stream; it holds {kinds}")
        video: Any = videos[0]
        self._video = video
        self._video.thread_type = "AUTO"
        self._first = self._first_frame()
        self.rate: Fraction = self._video.average_rate or Fraction(25)
        seconds = (self._video.duration or 0) * self._video.time_base
        self.num_frames = self._video.frames or round(seconds * self.rate)
        self.remarks = self._find_remarks(videos)

    def _first_frame(self) -> Any:
        try:
            first = next(self._container.decode(self._video))
        except (StopIteration, self._av.error.FFmpegError) as error:
            reason = getattr(error, "strerror", None) or "it holds no frame"
            raise ValueError(f"{self.path} is not a film that can be read: {reason}") from error
        if first.color_trc in HIGH_DYNAMIC_RANGE:
            raise ValueError(
                f"{self.path} is of high dynamic range ({HIGH_DYNAMIC_RANGE[first.color_trc]}), whose brightness means "
                "something else here; convert it to standard range first"
            )
        return first

    def _find_remarks(self, videos: Sequence[Any]) -> list[str]:
        remarks = []
        depth = max(component.bits for component in self._first.format.components)
        if depth > 8:
            remarks.append(f"its {depth} bits become 8")
        if self._first.rotation:
            remarks.append(f"turned upright, by {self._first.rotation} degrees")
        others = [stream for stream in self._container.streams if stream.type not in ("video", "audio")]
        others += videos[1:]
        if others:
            remarks.append(f"left out: {', '.join(stream.type for stream in others)}")
        return remarks

    def frames(self, start: int) -> Iterator[Frame]:
        """The frames from number `start` on. Where the file breaks off, they end, and `broken` says so."""
        self._container.seek(0)
        number = 0
        try:
            for number, frame in enumerate(self._container.decode(self._video), start=1):
                if number > start:
                    yield self._read(frame)
        except self._av.error.FFmpegError as error:
            self.broken = f"breaks off after frame {number}: {error.strerror}"
            return
        if number < self._video.frames:
            self.broken = f"breaks off after frame {number} of {self._video.frames}"
        elif "matroska" in self._container.format.name and self._container.duration:
            # It tells its length, not its frames, and a file that ends early reads like one that ends.
            ends = [frame.time, *(packet.dts * packet.time_base for packet in self._sound())]
            stated = self._container.duration / self._av.time_base
            if stated - max(ends) > 1:
                self.broken = f"breaks off after frame {number}, {max(ends):.0f} s of {stated:.0f}"

    def _read(self, frame: Any) -> Frame:
        rgb = frame.reformat(
            format="rgb24", src_colorspace=self._matrix, src_color_range=frame.color_range, threads=1
        ).to_ndarray()
        turned = np.ascontiguousarray(np.rot90(rgb, self._first.rotation // 90))
        return Frame(turned, frame.pts, frame.duration or 0)

    @property
    def _matrix(self) -> Any:
        """Of Y'CbCr, as swscale calls it: where the file does not say, that of its size, as players take it."""
        spaces = self._av.video.reformatter.Colorspace
        said = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020", 10: "BT2020"}
        usual = "ITU709" if self._first.height >= 720 else "ITU601"
        return spaces[said.get(self._first.colorspace, usual)]

    def write_segment(self, path: Path, frames: Iterable[Frame]) -> int:
        """Encode frames as H.264 in a file of their own, with the film's times and tags of colours; how many.

        Without frames there is no file.
        """
        av, count, frames = self._av, 0, iter(frames)
        first = next(frames, None)
        if first is None:
            return 0
        with whole_file(path) as temporary, av.open(str(temporary), "w", format="nut") as container:
            stream = self._add_video(container, *first.rgb.shape[:2])
            for frame in itertools.chain([first], frames):
                count += 1
                picture = av.VideoFrame.from_ndarray(frame.rgb, "rgb24")
                picture = picture.reformat(
                    format=stream.pix_fmt,
                    dst_colorspace=self._matrix,
                    dst_color_range=stream.codec_context.color_range,
                    threads=1,
                )
                picture.pts, picture.time_base = frame.time, self._video.time_base
                picture.duration = frame.duration
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return count

    def _add_video(self, container: Any, height: int, width: int) -> Any:
        stream = container.add_stream("libx264", rate=self.rate, options=ENCODER)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        context, first = stream.codec_context, self._first
        context.time_base = stream.time_base = self._video.time_base
        context.flags |= self._av.codec.context.Flags.global_header
        ratio = self._video.sample_aspect_ratio
        if ratio:
            context.sample_aspect_ratio = 1 / ratio if first.rotation % 180 else ratio
        full = first.color_range == 2 or first.format.name.startswith("yuvj")
        context.color_range = 2 if full else 1
        context.colorspace, context.color_primaries, context.color_trc = (
            first.colorspace,
            first.color_primaries,
            first.color_trc,
        )
        return stream

    def join(self, segments: Sequence[Path], target: Path) -> None:
        """Write the segments one after the other, with the film's sound, packet by packet as it was."""
        av = self._av
        with whole_file(target) as temporary:
            kind = {".mkv": "matroska", ".mov": "mov"}.get(target.suffix.lower(), "mp4")
            with av.open(str(temporary), "w", format=kind) as out, av.open(str(segments[0])) as first:
                video = out.add_stream_from_template(first.streams.video[0])
                video.time_base = self._video.time_base
                tracks = {
                    stream.index: out.add_stream_from_template(stream)
                    for stream in self._container.streams.audio
                }
                written = (
                    "encoder",
                    "major_brand",
                    "minor_version",
                    "compatible_brands",
                )  # by every muxer itself
                said = self._container.metadata.items()
                out.metadata.update({name: text for name, text in said if name not in written})
                pictures = ((packet, video) for path in segments for packet in self._packets(path))
                heard = ((packet, tracks[packet.stream.index]) for packet in self._sound())
                for packet, stream in heapq.merge(
                    pictures, heard, key=lambda pair: pair[0].dts * pair[0].time_base
                ):
                    packet.stream = stream
                    out.mux_one(packet)

    def _packets(self, path: Path) -> Iterator[Any]:
        with self._av.open(str(path)) as container:
            yield from (packet for packet in container.demux(video=0) if packet.dts is not None)

    def _sound(self) -> Iterator[Any]:
        """The packets of the sound, as far as the file goes."""
        streams = self._container.streams.audio
        if not streams:
            return
        self._container.seek(0)
        try:
            yield from (packet for packet in self._container.demux(*streams) if packet.dts is not None)
        except self._av.error.FFmpegError:
            return  # where the pictures break off too

    def close(self) -> None:
        """Close the file."""
        self._container.close()
