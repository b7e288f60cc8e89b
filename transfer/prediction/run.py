"""`transfer predict`: the classes that a trained linear probe sees in images."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretext.html_page import render_page, thumbnail_uri
from pretext.images.image_source import ImageSource
from pretext.images.loader import batches_in_order
from pretext.images.sources import open_source
from pretext.runtime.command_line import read_yaml
from pretext.runtime.distributed import choose_device
from pretext.runtime.run_dir import RunDir
from pretext.runtime.whole_file import make_folder, write_whole
from pretext.spelling import first_few, unknown_name
from transfer.backbone import AnyBackbone, open_backbone
from transfer.classification import mean_over_crops
from transfer.config import BackboneConfig
from transfer.features.protocols import resolve
from transfer.linear_probes.probes import Probe, ProbesCard, load_probes
from transfer.prediction.config import PredictConfig
from transfer.stages import TransferBackbone

PAGE = Path(__file__).parent / "templates" / "predictions.html"
MAX_SHOWN = 200  # images on the page
THUMBNAIL = 160  # pixels of a picture's long side


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a probe sees in an image.

    Attributes:
        name: of the image in its source.
        classes: the most probable ones, the first first.
        probabilities: theirs: a share of 1 among all classes; where an image may show several, of each by itself.
        error: why the image could not be read; then there are no classes.
    """

    name: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None


def run(config: PredictConfig) -> None:
    """Write predictions.csv and index.html into `config.out`; raises as `predict`."""
    predictor = Predictor(config.results, stage=config.stage, device=config.device)
    source = open_source(config.images, split="validation")
    predictions = list(
        predictor.predict(
            source, top=config.top, batch_size=config.batch_size, num_workers=config.num_workers
        )
    )
    make_folder(config.out)
    write_whole(config.out / "predictions.csv", _table(predictions, config.top))
    write_whole(config.out / "index.html", _page(predictor, source, predictions))
    broken = [of.name for of in predictions if of.error]
    if broken:
        print(f"{len(broken)} of {len(predictions)} images could not be read: {first_few(broken)}")
    print(f"{config.out / 'predictions.csv'}\nthe page: {config.out / 'index.html'}")


def predict(
    results: str | Path,
    images: Any,
    *,
    backbone: AnyBackbone | None = None,
    stage: str | None = None,
    top: int = 5,
    batch_size: int = 64,
    num_workers: int = 2,
    device: str = "auto",
) -> list[Prediction]:
    """Say which classes a trained linear probe sees in images.

    Args:
        results: folder of a finished `transfer linear` run, or the `out` of `linear`.
        images: what `pretext.train` takes as images.
        backbone: the one that the probes were trained on, as `open_backbone` takes it; None opens what the run names.
        stage: whose probe; None takes the one that the run chose on its validation images.
        top: classes of each image that are kept.
        batch_size: images in one forward pass.
        num_workers: processes that read images.
        device: auto, cpu or cuda.

    Returns:
        A prediction for each image, in their order.

    Raises:
        FileNotFoundError: the run has no probes.
        ValueError: the backbone has other weights than the probes were trained on, there is no such stage, or the run
            chose none.
    """
    predictor = Predictor(results, backbone=backbone, stage=stage, device=device)
    source = open_source(images, split="validation")
    return list(predictor.predict(source, top=top, batch_size=batch_size, num_workers=num_workers))


class Predictor:
    """A backbone and the probe of one of its stages.

    Attributes:
        stage: the probe's.
        card: of the run's probes.
    """

    def __init__(
        self,
        results: str | Path,
        *,
        backbone: AnyBackbone | None = None,
        stage: str | None = None,
        device: str = "auto",
    ) -> None:
        """Arguments and errors are those of `predict`."""
        folder = Path(results)
        probes, self.card = load_probes(folder)
        self.stage = _choose(folder, probes, self.card, stage)
        config = read_yaml(RunDir(folder).config)
        named = BackboneConfig(**config["backbone"])
        if backbone is None and (named.rescale or named.initialisation == "kmeans"):
            raise ValueError(
                f"{folder} tested a backbone whose weights were made on its training images, which cannot be opened "
                "again; run `transfer linear` without backbone.rescale and kmeans"
            )
        opened = open_backbone(named if backbone is None else backbone, config["seed"])
        if opened.sha256 != self.card.weights:
            raise ValueError(
                f"the probes in {folder} were trained on {self.card.backbone} with the weights "
                f"{self.card.weights[:12]}, but {opened.name} has {opened.sha256[:12]}; give the same weights"
            )
        self._device = choose_device(device)
        self._network: TransferBackbone = opened.network.to(self._device)
        self._probe = probes[self.stage].to(self._device)
        self._protocol = resolve(self.card.protocol, self.card.image_size, self.card.crop_size)

    @torch.inference_mode()
    def predict(
        self, source: ImageSource, *, top: int, batch_size: int, num_workers: int
    ) -> Iterator[Prediction]:
        """A prediction for each image, in order."""
        if top < 1:
            raise ValueError(f"top is {top}, expected at least 1")
        batches = batches_in_order(
            source,
            self._protocol.test_cut(),
            short_side=self._protocol.image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )
        for batch in batches:
            errors = iter(batch.errors)
            shares, places = self._probabilities(batch.rgb).topk(min(top, len(self.card.classes)))
            for index, broken, share, place in zip(
                batch.indices, batch.broken, shares.tolist(), places.tolist(), strict=True
            ):
                name = source.name(int(index))
                if broken:
                    yield Prediction(name=name, error=next(errors)[1])
                else:
                    classes = tuple(self.card.classes[number] for number in place)
                    yield Prediction(name=name, classes=classes, probabilities=tuple(share))

    def _probabilities(self, rgb: Tensor) -> Tensor:
        """(images, classes) of crops in 0..255: of several crops the mean, as in the test."""
        spec = self._network.specs[self.stage]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.card.precision == "bfloat16"):
            maps = self._network.forward_stages(rgb.flatten(0, -4).to(self._device) / 255, [self.stage])
        logits = self._probe(self._protocol.pool(self.stage, spec, maps[self.stage]))
        scores = mean_over_crops(logits, len(rgb), multi_label=self.card.multi_label)
        return (scores.sigmoid() if self.card.multi_label else scores).cpu()


def _choose(folder: Path, probes: dict[str, Probe], card: ProbesCard, asked: str | None) -> str:
    if asked is not None and asked not in probes:
        raise ValueError(unknown_name("stage", asked, probes))
    chosen = asked or card.stage or (next(iter(probes)) if len(probes) == 1 else None)
    if chosen is None:
        raise ValueError(
            f"{folder} has probes of {', '.join(probes)} and chose none, as it had no validation images; give --stage"
        )
    return chosen


def _table(predictions: list[Prediction], top: int) -> str:
    """A line for each image: its classes and their probabilities, empty where it could not be read."""
    most = max((len(of.classes) for of in predictions), default=top)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbered = [f"_{number}" if number > 1 else "" for number in range(1, most + 1)]
    writer.writerow(["image", *(f"{column}{end}" for end in numbered for column in ("class", "probability"))])
    for of in predictions:
        pairs = zip(of.classes, of.probabilities, strict=True)
        cells = [cell for name, share in pairs for cell in (name, f"{share:.6f}")]
        writer.writerow([of.name, *(cells or [""] * (2 * most))])
    return text.getvalue()


def _page(predictor: Predictor, source: ImageSource, predictions: list[Prediction]) -> str:
    shown = [(index, of) for index, of in enumerate(predictions) if not of.error][:MAX_SHOWN]
    return render_page(
        PAGE,
        files=("style.css",),
        policy="img-src data:; style-src-attr 'unsafe-inline'",
        rows=[(of, thumbnail_uri(source.open(index, THUMBNAIL), THUMBNAIL)) for index, of in shown],
        card=predictor.card,
        stage=predictor.stage,
        num_images=len(predictions),
        broken=[of for of in predictions if of.error],
        zip=zip,
    )
