"""`pretext prior`: the colours of a data set as ab bins and their prior, in one streaming pass."""

import json
from functools import partial
from pathlib import Path

import torch

from pretext.broken_files import BrokenFiles
from pretext.color.bins import AbBins, AbHistogram, empirical_prior, fit_bins
from pretext.color.lab import lab_to_rgb, rgb_to_lab
from pretext.config import PriorConfig
from pretext.images.crops import central_square
from pretext.images.image_source import ImageSource
from pretext.images.loader import batches_in_order
from pretext.images.sources import open_source
from pretext.runtime.progress import Progress
from pretext.runtime.whole_file import write_whole


def measure_prior(config: PriorConfig) -> None:
    """Read every image once and write the bins and their prior to `out`, and a picture of them beside it.

    One pass fills a histogram over cells of one ab unit; k-means and prior are computed from that, so memory does
    not grow with the number of images.

    Raises:
        ValueError: no such data, fewer colours in it than bins asked for, or no readable image.
    """
    source = open_source(config.data, split="train")
    histogram, broken = measure_colours(source, image_size=config.image_size, num_workers=config.num_workers)
    num_images = len(source) - len(broken.reasons)
    if not num_images:
        raise ValueError(f"no image of {config.data} could be read: {broken.listing()}")
    centres = AbBins.published().centres
    if config.kmeans is not None:
        centres = fit_bins(histogram, config.kmeans, config.seed)
    bins = AbBins(centres=centres, prior=empirical_prior(histogram, centres, config.neighbours, config.sigma))
    provenance = {"data": config.data, "images": num_images, "image_size": config.image_size}
    save_bins(bins, config.out, **provenance, neighbours=config.neighbours, sigma=config.sigma)
    picture = config.out.with_suffix(".png")
    draw_prior(bins, picture, f"prior of {num_images} images of {config.data}")
    perplexity = float(torch.exp(-(bins.prior * bins.prior.clamp_min(1e-30).log()).sum()))
    likeliest = bins.centres[bins.prior.argmax()].tolist()
    print(
        f"{len(centres)} bins from {num_images} images, {len(broken.reasons)} broken files skipped: perplexity "
        f"{perplexity:.1f}, likeliest bin ab = ({likeliest[0]:.0f}, {likeliest[1]:.0f}) "
        f"with p = {bins.prior.max():.3f}\n"
        f"{config.out}\n{picture}"
    )


def measure_colours(
    source: ImageSource, *, image_size: int, num_workers: int, visible: bool = True
) -> tuple[AbHistogram, BrokenFiles]:
    """The colours of the central squares of all images that can be read, in one pass, with progress where `visible`."""
    histogram = AbHistogram()
    broken = BrokenFiles({}, num_images=len(source), max_share=1.0)
    squares = partial(central_square, size=image_size)
    with Progress(len(source), unit="image", visible=visible) as progress:
        for batch in batches_in_order(
            source, squares, short_side=image_size, batch_size=32, num_workers=num_workers
        ):
            for line in broken.add(batch.errors):
                progress.say(line)
            histogram.add(rgb_to_lab(batch.rgb[~batch.broken] / 255)[:, 1:])
            progress.advance(len(batch.rgb))
    return histogram, broken


def save_bins(bins: AbBins, path: Path, **provenance: object) -> None:
    """Write bins and prior as JSON, with where they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**provenance, "centres": bins.centres.tolist(), "prior": bins.prior.tolist()}
    write_whole(path, json.dumps(content))


def load_bins(bins: str) -> AbBins:
    """The bins that `task_args.bins` names: `imagenet` (published), or a file of `pretext prior`.

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
            f"task_args.bins names {bins!r}, which is not there; make it with `pretext prior DATA --out {bins}`, "
            "or use imagenet"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{bins} is not a file of `pretext prior` (JSON with centres and prior): {error!r}"
        ) from error


def draw_prior(bins: AbBins, path: Path, title: str) -> None:
    """The bins on the ab plane: in their own colours, and coloured by the logarithm of their prior."""
    # Half a second that a training should not wait for.
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    from pretext.figure_style import WIDTH, house_style, literal, save_figure

    a, b = bins.centres.T.cpu().numpy()
    lab = torch.cat([torch.full((len(bins.centres), 1), 65.0), bins.centres.cpu()], dim=1)
    # A square an ab unit wide would have 0.4 points²: each bin fills the way to its nearest neighbour.
    spacing = torch.cdist(bins.centres, bins.centres).fill_diagonal_(torch.inf).amin(dim=1)
    area = (0.4 * spacing.square()).clamp(4, 40).cpu().numpy()
    with house_style():
        figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        colours, prior = figure.subplots(1, 2)
        colours.scatter(b, a, c=lab_to_rgb(lab[:, :, None, None])[:, :, 0, 0].numpy(), s=area, marker="s")
        colours.set_title(f"{len(bins.centres)} bins, in their colours at L = 65")
        probabilities = bins.prior.clamp_min(1e-8).cpu().numpy()
        shown = prior.scatter(b, a, c=probabilities, s=area, marker="s", norm=LogNorm())
        figure.colorbar(shown, ax=prior, label="prior probability")
        prior.set_title(literal(title))
        for axes in (colours, prior):
            axes.set(xlabel="b", ylabel="a", xlim=(-120, 120), ylim=(120, -120), aspect="equal")
    save_figure(figure, path.with_suffix(""), pdf=False)
