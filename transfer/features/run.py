"""`transfer features`: features of a frozen backbone for tools of one's own."""

from pathlib import Path

from pretext.runtime.distributed import World
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig, DataConfig
from transfer.data.labelled import LabelledImages, open_any
from transfer.features.config import FeaturesConfig, ImagesConfig
from transfer.features.extraction import FeatureExtractor
from transfer.features.folder import INDEX, write_index
from transfer.features.protocols import resolve
from transfer.runs import start_run


def run(config: FeaturesConfig) -> None:
    """Extract the features into `config.out`, or finish it.

    Raises:
        ValueError: a key means nothing, or the folder holds another run.
        RunFailedError: too many images are unreadable, a feature is NaN, infinite or larger than float16 holds, or the
            disk is full.
        StoppedError: SIGINT or SIGTERM came; what is extracted is kept.
    """
    images = open_images(config, config.labels)
    with start_run(config) as run:
        extractor = make_extractor(config, config.backbone, images, run.world, config.dtype)
        run.take_folder()
        folder = Path(config.out)
        names = [images.source.name(index) for index in range(len(images.source))]
        run.world.on_main(
            lambda: write_index(folder, names, images.classes, images.labels if images.classes else None)
        )
        features = extractor.extract(images, folder, images.fingerprint())
        if run.world.is_main:
            for stage, of_stage in features.items():
                array = of_stage.open()
                print(f"{of_stage.path}  {len(array)} x {array.shape[1]} {array.dtype}  {stage}")
            print(f"images      {folder / INDEX}")


def open_images(config: ImagesConfig, labels: str | None = None) -> LabelledImages:
    """The images of a configuration, whether or not they have classes.

    Args:
        labels: a CSV file of image,class.

    Raises:
        ValueError: they cannot be found, or are features already.
    """
    data = DataConfig(
        train=config.images,
        test="",
        train_labels=labels,
        name=config.name,
        torchvision_root=config.torchvision_root,
        download=config.download,
    )
    images = open_any(data, config.split)
    if images.features:
        raise ValueError(f"{config.images} is a folder of features already; give images")
    return images


def make_extractor(
    config: ImagesConfig,
    backbone: BackboneConfig,
    images: LabelledImages,
    world: World,
    dtype: str = "float32",
) -> FeatureExtractor:
    """What extracts the features of `images` by a network, as `config` says.

    Raises:
        ValueError: there is no such backbone, or the crop does not fit into the image.
    """
    recipe = resolve(config.protocol, config.image_size, config.crop_size)
    opened = open_backbone(
        backbone, config.seed, lambda: images.random_crops(recipe.train_cut(), config.seed)
    )
    return FeatureExtractor(
        backbone=opened,
        protocol=recipe,
        stages=config.stages,
        batch_size=config.batch_size,
        precision=config.precision,
        dtype=dtype,
        num_workers=config.num_workers,
        max_broken_share=config.max_broken_share,
        world=world,
    )
