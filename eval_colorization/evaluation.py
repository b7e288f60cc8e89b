"""Measure how good the colours of methods are: open what is compared, measure batch by batch, put together."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from eval_colorization.assemble import assemble, collect
from eval_colorization.comparison import Comparison, open_comparison
from eval_colorization.config import MethodConfig, Protocol, ReportConfig, Subset
from eval_colorization.images import ImageBatch, Images, ImageSet, describe_images, read_batch, read_batches
from eval_colorization.learned import open_learned
from eval_colorization.manifest import identity, make_manifest
from eval_colorization.measure import Measurer
from eval_colorization.methods import Canvas, LiveMethod, all_decodings, method_config
from eval_colorization.metrics.metric import Metric, open_metrics
from eval_colorization.metrics.table import METRICS
from eval_colorization.parts import Parts, fingerprint
from eval_colorization.report.write import print_table, write_report
from eval_colorization.results import CONTROLS, GalleryImage, Results
from pretext.outside import modules_to_copy
from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import World, choose_device, join_world
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir
from pretext.runtime.stop_signal import StopSignal

# On a CPU the metrics' intermediate images of a few pictures stay in its cache.
BATCH_SIZE = {"cpu": 4, "cuda": 32}


def evaluate(
    methods: Mapping[str, str | Path | MethodConfig | LiveMethod],
    images: Images,
    *,
    resume_dir: str | Path | None = None,
    world: World | None = None,
    metrics: Sequence[str | Metric] = (),
    subset: Subset = "all",
    max_images: int | None = None,
    protocol: Protocol = "central_crop",
    image_size: int = 256,
    missing: Literal["error", "leave_out"] = "error",
    labels: str | None = None,
    classifier: str | None = None,
    classifier_weights: str | None = None,
    title: str | None = None,
    gallery_images: int = 24,
    resamples: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
    num_workers: int = 2,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Results:
    """Measure all methods, and the controls grey, random colours and truth, on the same images.

    Args:
        methods: name -> what colorizes: the name or place of weights (see `load_pretrained`), a folder of pictures that
            were colorized before, a `MethodConfig`, a `Pretrained` network, a `Colorizer`, or any function from a grey
            PIL image to a colorized one of the same size, called in one thread at a time.
        images: an address as for data.train of `pretext train`, a data source, or PIL images.
        resume_dir: run directory that keeps what was measured: a call with the same arguments resumes it. None keeps
            nothing.
        world: processes that share the work, and a `resume_dir`; None is this one alone. Each returns the results.
        metrics: your own, beside the built-in ones: `module:Name` addresses or `Metric`s.
        subset: this and all that follow are those of `ReportConfig`; a `Pretrained` network is moved to `device`.

    Raises:
        ValueError: images, a method, a metric or a folder is not as it must be, or `resume_dir` holds another
            evaluation.
        StoppedError: Ctrl-C or SIGTERM; what was measured is kept in `resume_dir`.
    """
    if not methods:
        raise ValueError(
            "there is nothing to compare: name a trained network (eval_colorization report RUN), or a folder of "
            "colorized images (--methods.NAME.folder DIR)"
        )
    for name in methods:
        if name in CONTROLS:
            raise ValueError(
                f"{name!r} is always in a report; leave it out, or give your method another name"
            )
    opened_metrics = open_metrics(metrics, METRICS)
    chosen = {
        name: method_config(method) if isinstance(method, str | Path) else method
        for name, method in methods.items()
    }
    config = ReportConfig(
        data=describe_images(images),
        out=str(resume_dir),
        metrics=[name for name in opened_metrics if name not in METRICS],
        subset=subset,
        max_images=max_images,
        protocol=protocol,
        image_size=image_size,
        missing=missing,
        labels=labels,
        classifier=classifier,
        classifier_weights=classifier_weights,
        title=title,
        gallery_images=gallery_images,
        resamples=resamples,
        seed=seed,
        batch_size=batch_size,
        num_workers=num_workers,
        device=device,
    )
    world = world or World(0, 1, choose_device(device))
    # On a CPU batches are measured side by side, each by one thread: no slower than one batch by all threads, and the
    # report does not depend on their number. With more, the order in which a sum adds up would.
    num_threads = torch.get_num_threads() if world.device.type == "cpu" else 1
    with threadpool_limits(1), ExitStack() as held:
        comparison = open_comparison(
            images,
            chosen | dict.fromkeys(CONTROLS, MethodConfig()),
            config,
            image_size=image_size,
            device=world.device,
        )
        learned = open_learned(comparison.images.names, config, world.device)
        described = {
            name: asdict(method) if isinstance(method, MethodConfig) else comparison.methods[name].description
            for name, method in chosen.items()
        }
        settings = {key: value for key, value in vars(config).items() if key not in ("out", "model")}
        settings |= {"methods": described}
        own_metrics = {
            metric: fingerprint(
                [file.read_text(encoding="utf-8") for file in modules_to_copy(metric).values()]
            )
            for metric in metrics
            if isinstance(metric, str)
        }
        if resume_dir is None:
            folder = Path(held.enter_context(TemporaryDirectory(prefix="evaluate-")))
        else:
            folder = Path(resume_dir)
            stored = {"out": str(folder), **settings}
            world.on_main(lambda: RunDir(folder).prepare(stored, held, free=ReportConfig.FREE_KEYS))
        parts = Parts(folder / "parts", identity(comparison, learned, own_metrics, world.device))
        world.on_main(parts.prepare)
        measurer = Measurer(
            methods=comparison.methods, metrics=opened_metrics, device=world.device, learned=learned
        )
        batch_size = batch_size or BATCH_SIZE[world.device.type]
        starts = range(0, len(comparison.images), batch_size)
        batches = [range(start, min(start + batch_size, len(comparison.images))) for start in starts]
        _measure(measurer, comparison.images, batches, parts, world, num_workers, num_threads)
        world.wait()
        collected = collect(parts.read(len(batches)), comparison)
        results = assemble(
            config=config,
            comparison=comparison,
            measurer=measurer,
            collected=collected,
            manifest=make_manifest(settings, comparison, collected),
        )
        # By a colour difference made for eyes and defined for every image; controls have no say.
        differences = results.values["ciede2000"][: len(chosen)]
        shown = best_worst_median(differences, gallery_images)
        gallery = _colorize_gallery(comparison, shown, collected.positions[shown].tolist(), world.device)
        return replace(results, gallery=gallery)


def make_report(config: ReportConfig) -> None:
    """`evaluate` what `config` says and write the report; resumes what an earlier call measured.

    Started by torchrun, each process measures its share of the batches and the first one writes.

    Raises:
        ValueError: data, a method or a folder is not as it must be, a name is used twice, or `out` holds another
            evaluation.
        StoppedError: Ctrl-C or SIGTERM; what was measured is kept.
    """
    out = Path(config.out)
    settings = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name not in ("data", "out", "model", "methods")
    }
    decodings = {} if config.model is None else all_decodings(config.model)
    if twice := decodings.keys() & config.methods.keys():
        raise ValueError(
            f"{min(twice)!r} is one of the methods that `model` stands for; give yours another name"
        )
    with join_world(config.device) as world:
        results = evaluate(decodings | config.methods, config.data, resume_dir=out, world=world, **settings)
        if world.is_main:
            write_report(results, out)
            print_table(results)
            print(out / "index.html")


def best_worst_median(differences: Float[np.ndarray, "methods images"], num_images: int) -> list[int]:
    """At most `num_images` images, in order: all, or in turn each method's best, worst and median ones."""
    if differences.shape[1] <= num_images:
        return list(range(differences.shape[1]))
    orders = np.argsort(differences, axis=1, kind="stable")
    middle_out = sorted(range(orders.shape[1]), key=lambda rank: abs(rank - orders.shape[1] // 2))
    chosen: dict[int, None] = {}
    for step in range(orders.shape[1]):
        for order in orders:
            for rank in (step, -1 - step, middle_out[step]):
                if len(chosen) < num_images:
                    chosen[int(order[rank])] = None
    return sorted(chosen)


def _colorize_gallery(
    comparison: Comparison, shown: Sequence[int], positions: Sequence[int], device: torch.device
) -> tuple[GalleryImage, ...]:
    """The pictures of the images at the places `shown`, which are at `positions` of the comparison's set."""
    gallery = []
    for index, position in zip(shown, positions, strict=True):
        canvas = Canvas(read_batch(comparison.images, [position]), device)
        pictures = {
            name: method.colorize(canvas)[0].permute(1, 2, 0).cpu().numpy()
            for name, method in comparison.methods.items()
        }
        gallery.append(GalleryImage(index=index, pictures=pictures))
    return tuple(gallery)


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
        print(f"resumes: {done} of {len(batches)} batches were measured before")

    def measure(number: int, batch: ImageBatch) -> ImageBatch:
        parts.write(number, measurer.measure(batch))
        return batch

    start = time.perf_counter()
    with (
        StopSignal(world) as stop,
        Progress(len(mine), unit="batch", visible=world.is_main) as progress,
        ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        read = read_batches(images, [batches[number] for number in mine], num_workers=num_workers)
        futures = (pool.submit(measure, number, batch) for number, batch in zip(mine, read, strict=True))
        for count, batch in enumerate(_in_order(futures, 2 * num_threads), start=1):
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
                    "the same command resumes",
                    stop.received,
                )


def _in_order(futures: Iterable[Future[ImageBatch]], num_ahead: int) -> Iterator[ImageBatch]:
    """Their results; `num_ahead` are under way at a time, so that one batch waits for each that is being measured."""
    under_way: deque[Future[ImageBatch]] = deque()
    for future in futures:
        under_way.append(future)
        if len(under_way) == num_ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
