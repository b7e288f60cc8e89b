"""`eval_colorization report`: open what is compared, measure batch by batch, report."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from threadpoolctl import threadpool_limits

from eval_colorization.assemble import assemble
from eval_colorization.collect import collect
from eval_colorization.comparison import open_comparison
from eval_colorization.config import MethodConfig, ReportConfig
from eval_colorization.gallery import choose_images_to_show, paint_gallery
from eval_colorization.images import ImageBatch, ImageSet, read_batches
from eval_colorization.learned import open_learned
from eval_colorization.manifest import identity, make_manifest
from eval_colorization.measure import Measurer
from eval_colorization.methods import all_decodings
from eval_colorization.parts import Parts
from eval_colorization.report.write import print_table, write_report
from eval_colorization.results import CONTROLS
from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import World, join_world
from pretext.runtime.progress import Progress
from pretext.runtime.run_lock import run_lock
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.whole_file import make_folder, write_whole

# On a CPU the metrics' intermediate images of a few pictures stay in its cache.
BATCH_SIZE = {"cpu": 4, "cuda": 32}


def make_report(config: ReportConfig) -> None:
    """Measure all methods of `config` on its images and write the report; goes on where an earlier call stopped.

    Started by torchrun, each process measures its share of the batches and the first one writes.

    Raises:
        ValueError: data, a method or a folder is not as it must be, or `out` holds another evaluation.
        StoppedError: Ctrl-C or SIGTERM; what was measured is kept.
    """
    out = Path(config.out)
    # On a CPU batches are measured side by side, each by one thread: with more, the order in which a convolution or a
    # sum adds up depends on their number, and with it the last bits of the report.
    num_threads = torch.get_num_threads()
    with threadpool_limits(1), join_world(config.device) as world, ExitStack() as held:
        if world.device.type == "cuda":
            num_threads = 1
        comparison = open_comparison(
            data=config.data,
            subset=config.subset,
            max_images=config.max_images,
            protocol=config.protocol,
            image_size=config.image_size,
            missing=config.missing,
            seed=config.seed,
            methods=choose_methods(config) | dict.fromkeys(CONTROLS, MethodConfig()),
            device=world.device,
        )
        images = comparison.images
        learned = open_learned(config, images.names, world.device)
        parts = Parts(out / "parts", identity(config, comparison, learned, world.device))
        world.on_main(lambda: _claim(parts, out, held))
        if world.is_main:
            write_whole(out / "config.yaml", yaml.safe_dump(asdict(config), sort_keys=False))
        measurer = Measurer(methods=comparison.methods, device=world.device, learned=learned)
        batch_size = config.batch_size or BATCH_SIZE[world.device.type]
        starts = range(0, len(images), batch_size)
        batches = [range(start, min(start + batch_size, len(images))) for start in starts]
        _measure(measurer, images, batches, parts, world, config.num_workers, num_threads)
        world.wait()
        if world.is_main:
            collected = collect(parts.read(len(batches)), comparison)
            manifest = make_manifest(config, comparison, collected)
            results = assemble(config, comparison, measurer, collected, manifest)
            shown = choose_images_to_show(results, config.gallery_images)
            gallery = paint_gallery(comparison, collected.positions[shown].tolist(), shown, world.device)
            write_report(out, results, gallery)
            print_table(results)
            print(out / "index.html")


def _claim(parts: Parts, out: Path, held: ExitStack) -> None:
    """Keep other processes out of the report's folder until `held` is closed, and see that it can be written."""
    make_folder(out)
    held.enter_context(run_lock(out))
    parts.prepare()


def choose_methods(config: ReportConfig) -> dict[str, MethodConfig]:
    """The user's methods by name.

    Raises:
        ValueError: there are none, or a name is used twice or belongs to a control.
    """
    decodings = {} if config.model is None else all_decodings(config.model)
    methods = decodings | config.methods
    for name in methods:
        if name in CONTROLS:
            raise ValueError(
                f"{name!r} is always in a report; leave it out, or give your method another name"
            )
        if name in decodings and name in config.methods:
            raise ValueError(
                f"{name!r} is one of the methods that `model` stands for; give yours another name"
            )
    if not methods:
        raise ValueError(
            "there is nothing to compare: name a trained network (eval_colorization report RUN), or a folder of "
            "painted images (--methods.NAME.folder DIR)"
        )
    return methods


def _measure(
    measurer: Measurer,
    images: ImageSet,
    batches: Sequence[range],
    parts: Parts,
    world: World,
    num_workers: int,
    num_threads: int,
) -> None:
    """Measure this process's share of the batches that are still to be measured."""
    to_do = [number for number in range(len(batches)) if not parts.is_done(number)]
    world.wait()  # nobody writes a part before everybody has looked which are missing
    mine = to_do[world.rank :: world.size]
    done = len(batches) - len(to_do)
    if done and world.is_main:
        print(f"goes on: {done} of {len(batches)} batches were measured before")

    def measure(number: int, batch: ImageBatch) -> ImageBatch:
        parts.write(number, measurer.measure(batch))
        return batch

    start = time.perf_counter()
    with (
        StopSignal(world) as stop,
        Progress(len(mine), unit="batch", visible=world.is_main) as progress,
        ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        found = read_batches(images, [batches[number] for number in mine], num_workers=num_workers)
        for count, batch in enumerate(_side_by_side(pool, num_threads, measure, mine, found), start=1):
            for position, reason in batch.left_out:
                progress.say(f"left out: {images.names[position]} ({reason})")
            for position, method in batch.other_lightness:
                progress.say(f"another lightness than the truth: {images.names[position]} of {method}")
            progress.advance()
            elapsed = time.perf_counter() - start
            rate = count * world.size * len(batches[0]) / elapsed
            progress.show(count, {"images/s": rate}, elapsed / count * (len(mine) - count))
            if stop.received:
                raise StoppedError(
                    f"stopped; {sum(map(parts.is_done, range(len(batches))))} of {len(batches)} batches are measured, "
                    "give the same command to go on",
                    stop.received,
                )


def _side_by_side(
    pool: ThreadPoolExecutor,
    num_threads: int,
    measure: Callable[[int, ImageBatch], ImageBatch],
    numbers: Sequence[int],
    batches: Iterable[ImageBatch],
) -> Iterator[ImageBatch]:
    """`measure(number, batch)` of all, in order, with one batch waiting for each that is being measured."""
    under_way: deque[Future[ImageBatch]] = deque()
    for number, batch in zip(numbers, batches, strict=True):
        under_way.append(pool.submit(measure, number, batch))
        if len(under_way) == 2 * num_threads:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
