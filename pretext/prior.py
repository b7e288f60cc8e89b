"""`pretext prior`: the colours of a data set as ab bins and their prior, in one streaming pass."""

import json
from pathlib import Path

import torch

from pretext.broken_files import BrokenFiles
from pretext.color.bins import AbBins, AbHistogram, empirical_prior, fit_bins
from pretext.color.lab import rgb_to_lab
from pretext.figures import draw_prior
from pretext.images.loader import validation_batches
from pretext.images.sources import ImageSource, open_source
from pretext.runtime.progress import Progress
from pretext.runtime.whole_file import write_whole


def measure_prior(
    *,
    data: str,
    out: Path,
    kmeans: int | None = None,
    neighbours: int = 5,
    sigma: float = 5.0,
    image_size: int = 256,
    num_workers: int = 4,
    seed: int = 0,
) -> AbBins:
    """Read every image of `data` once and write the bins and their prior to `out`, and a picture beside it.

    One pass fills a histogram over cells of one ab unit; k-means and prior are computed from that, so memory does
    not grow with the number of images.

    Args:
        data: an address as for data.train.
        out: JSON file; the picture is `out` with .png.
        kmeans: number of bins to fit; None takes the 313 published centres.
        neighbours, sigma: of the soft encoding that smooths the prior.
        image_size: side of the central squares that are read.
        num_workers: processes that read images.
        seed: of the k-means.

    Raises:
        ValueError: no such data, fewer colours in it than bins asked for, or no readable image.
    """
    source = open_source(data, split="train")
    broken = BrokenFiles({}, num_images=len(source), max_share=1.0)
    histogram = measure_colours(source, broken, image_size=image_size, num_workers=num_workers)
    num_images = len(source) - len(broken.reasons)
    if not num_images:
        raise ValueError(f"no image of {data} could be read: {broken.listing()}")
    centres = AbBins.published().centres if kmeans is None else fit_bins(histogram, kmeans, seed)
    bins = AbBins(centres=centres, prior=empirical_prior(histogram, centres, neighbours, sigma))
    save_bins(
        bins, out, data=data, images=num_images, image_size=image_size, neighbours=neighbours, sigma=sigma
    )
    picture = out.with_suffix(".png")
    draw_prior(bins, picture, f"prior of {num_images} images of {data}")
    perplexity = float(torch.exp(-(bins.prior * bins.prior.clamp_min(1e-30).log()).sum()))
    likeliest = bins.centres[bins.prior.argmax()].tolist()
    print(
        f"{len(centres)} bins from {num_images} images, {len(broken.reasons)} broken files skipped: perplexity "
        f"{perplexity:.1f}, likeliest bin ab = ({likeliest[0]:.0f}, {likeliest[1]:.0f}) "
        f"with p = {bins.prior.max():.3f}\n"
        f"{out}\n{picture}"
    )
    return bins


def measure_colours(
    source: ImageSource, broken: BrokenFiles, *, image_size: int, num_workers: int, visible: bool = True
) -> AbHistogram:
    """The colours of the central squares of all images, in one pass, with progress where `visible`."""
    histogram = AbHistogram()
    with Progress(len(source), unit="image", visible=visible) as progress:
        for batch in validation_batches(source, size=image_size, batch_size=32, num_workers=num_workers):
            for line in broken.add(batch.errors):
                progress.say(line)
            histogram.add(rgb_to_lab(batch.rgb[~batch.broken] / 255)[:, 1:])
            progress.advance(len(batch.rgb))
    return histogram


def save_bins(bins: AbBins, path: Path, **provenance: object) -> None:
    """Write bins and prior as JSON, with where they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**provenance, "centres": bins.centres.tolist(), "prior": bins.prior.tolist()}
    write_whole(path, json.dumps(content))


def load_bins(bins: str) -> AbBins:
    """The bins that `objective.bins` names: `imagenet` (published), or a file of `pretext prior`.

    Raises:
        ValueError: the file is missing or not one of `pretext prior`.
    """
    if bins == "imagenet":
        return AbBins.published()
    try:
        content = json.loads(Path(bins).read_text())
        return AbBins(centres=torch.tensor(content["centres"]), prior=torch.tensor(content["prior"]))
    except FileNotFoundError:
        raise ValueError(
            f"objective.bins names {bins!r}, which is not there; make it with `pretext prior DATA --out {bins}`, "
            "or use imagenet"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{bins} is not a file of `pretext prior` (JSON with centres and prior): {error!r}"
        ) from error
