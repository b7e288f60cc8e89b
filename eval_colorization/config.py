"""Every key of an evaluation's and of a Turing test's configuration, with its default.

This module imports neither torch nor anything that does, so that `--help` and a misspelt key answer at once.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pretext.config import Decoding

Subset = Literal["all", "ctest10k", "val5k"]
Protocol = Literal["central_crop", "resize"]


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Something that colorizes: a trained network (`model`), or a folder of what another system has colorized.

    Args:
        model: shipped network (eccv16-photographs), run directory, checkpoint, .safetensors, or published .pth.
        folder: colorized images, matched by their path and name, if need be without the extension; of the original's
            size, of another size in its proportions (it is resized, and the report says so), or squares as `protocol`
            makes them.
        decoding: of a network's distribution.
        temperature: of the annealed mean; null takes the run's, else 0.38.
        top_k: bins of top_k_mean.
        size: pixels at which colours are predicted; null takes the run's image_size.
    """

    model: str | None = None
    folder: str | None = None
    decoding: Decoding = "annealed_mean"
    temperature: float | None = None
    top_k: int = 5
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Compare methods on a set of images. Grey, random colours and the truth are always among them.

    Args:
        data: the images, as for data.train of `pretext train`: a folder, shards, sample, torchvision:NAME.
        out: folder of the report; the same command on the same folder resumes it. With `model` it is
            reports/NAME_OF_MODEL by default.
        model: a run or weights file that joins in with every decoding: shorthand for four methods.
        methods: name -> method.
        metrics: metrics of your own, beside the built-in ones: [module:Name, ...].
        subset: all images, or of ImageNet's validation images the 10,000 of ctest10k or the first 5,000 (val5k).
        max_images: at most so many images, spread evenly over the set; null takes all.
        protocol: what of a photograph is compared: its central square (central_crop: Zhang, Isola, Efros 2016; the
            val5k of CT2 and DDColor), or the whole one squeezed into a square (resize: DDColor's val50k, COCO-Stuff and
            ADE20K).
        image_size: side in pixels of the squares that are compared.
        missing: what happens when a folder lacks an image: error, or leave_out to compare all methods without it.
        labels: `folders` (an image's first folder is its class), or a CSV file of image,class; null knows no classes.
        classifier: recognises the colorized images: torchvision:NAME or timm:NAME; needs labels.
        classifier_weights: its weights file; null takes the library's pretrained ones.
        title: heading of the report; null makes one of `data`.
        gallery_images: how many images the page shows: best, worst and median ones.
        resamples: of the bootstrap.
        seed: of the random colours and the bootstrap.
        batch_size: images that are measured together; null takes 4 on a CPU, 32 on a GPU.
        num_workers: processes that read images, for each process.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (
        "out",
        "title",
        "gallery_images",
        "resamples",
        "num_workers",
        "device",
    )

    data: str
    out: str = ""
    model: str | None = None
    methods: dict[str, MethodConfig] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    subset: Subset = "all"
    max_images: int | None = None
    protocol: Protocol = "central_crop"
    image_size: int = 256
    missing: Literal["error", "leave_out"] = "error"
    labels: str | None = None
    classifier: str | None = None
    classifier_weights: str | None = None
    title: str | None = None
    gallery_images: int = 24
    resamples: int = 1000
    seed: int = 0
    batch_size: int | None = None
    num_workers: int = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if not self.out:
            if self.model is None:
                raise ValueError("out is missing: name the report's folder, as in --out reports/NAME")
            object.__setattr__(self, "out", f"reports/{Path(self.model).resolve().name}")


@dataclass(frozen=True, kw_only=True)
class TuringConfig:
    """A visual Turing test after Zhang, Isola, Efros (2016), section 3.1: which of two images has the fake colours?

    Args:
        data: the photographs, as for `eval_colorization report`.
        out: folder of the test; must be new.
        methods: name -> method; random, the colours of another photograph, may be named without model or folder.
        subset: as for `eval_colorization report`.
        max_images: at most so many photographs, spread evenly over the set; null takes all. A test needs those of
            practice and vigilance, and a multiple of test_trials.
        protocol: as for `eval_colorization report`.
        missing: as for `eval_colorization report`.
        practice_trials: with feedback, not counted.
        test_trials: counted trials of one participant.
        vigilance_trials: trials with an obvious fake, mixed among the others, that show who pays attention.
        display_seconds: how long a pair is shown.
        base_url: where the folder will be on the web, for crowd.csv.
        seed: decides which photograph is used for what.
        device: auto takes a GPU where there is one.
    """

    data: str
    out: str
    methods: dict[str, MethodConfig]
    subset: Subset = "all"
    max_images: int | None = 54
    protocol: Protocol = "central_crop"
    missing: Literal["error", "leave_out"] = "error"
    practice_trials: int = 10
    test_trials: int = 40
    vigilance_trials: int = 4
    display_seconds: float = 1.0
    base_url: str = ""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class TuringServeConfig:
    """Put a test of turing-export to people by links; answers are stored as they come.

    Args:
        folder: what turing-export wrote.
        database: SQLite file of invitations and answers, made where it is missing; null takes answers.sqlite in
            `folder`.
        host: address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 all of its addresses.
        port: 0 takes a free one.
        invitations: links to make now.
        admin_token: opens the admin page, 16 to 128 letters, digits, - and _; null takes that of the database, where
            it is kept once drawn.
    """

    folder: Path
    database: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    invitations: int = 0
    admin_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class TuringScoreConfig:
    """Fooling rates with intervals, from result files, the server's database or crowd answers.

    Args:
        answers: result files, databases of turing-serve, crowd CSVs, and folders of them.
        key: key.json of the test.
        out: folder for scores, trials and figures.
        min_vigilance: share of the vigilance trials, in [0, 1], that a participant must get right to count.
        seed: of the bootstrap.
    """

    answers: list[Path]
    key: Path
    out: Path
    min_vigilance: float = 0.75
    seed: int = 0
