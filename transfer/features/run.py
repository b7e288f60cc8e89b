"""`transfer features`: features of a frozen backbone for tools of one's own."""

from pathlib import Path

from transfer.backbone import open_backbone
from transfer.config import DataConfig
from transfer.data.labelled import open_any
from transfer.features.config import FeaturesConfig
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
    recipe = resolve(config.protocol, config.image_size, config.crop_size)
    data = DataConfig(
        train=config.images,
        test="",
        train_labels=config.labels,
        name=config.name,
        torchvision_root=config.torchvision_root,
        download=config.download,
    )
    images = open_any(data, config.split)
    if images.features:
        raise ValueError(f"{config.images} is a folder of features already; give images")
    with start_run(config) as run:
        backbone = open_backbone(
            config.backbone, config.seed, lambda: images.random_crops(recipe.train_cut(), config.seed)
        )
        extractor = FeatureExtractor(
            backbone=backbone,
            protocol=recipe,
            stages=config.stages,
            batch_size=config.batch_size,
            precision=config.precision,
            dtype=config.dtype,
            num_workers=config.num_workers,
            max_broken_share=config.max_broken_share,
            world=run.world,
        )
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
