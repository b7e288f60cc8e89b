import pytest
import torch

from transfer.config import BackboneConfig
from transfer.segmentation.config import SegmentationDataConfig, SegmentConfig
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS, described, resolve_protocol

CONFIG = SegmentConfig(
    backbone=BackboneConfig(model="random:eccv16"),
    data=SegmentationDataConfig(train="voc:VOC2012:train", test="voc:VOC2012:val"),
    out="out",
    protocol="fcn_20k",
)


def settings_of(config):
    protocol = resolve_protocol(config)
    return protocol.changes_from(SEGMENTATION_PROTOCOLS[config.protocol])


def changed(data=None, **changes):
    values = vars(CONFIG) | changes
    values["data"] = SegmentationDataConfig(**(vars(CONFIG.data) | (data or {})))
    return SegmentConfig(**values)


def test_a_protocol_as_published_says_nothing_but_its_name_and_the_stage():
    assert described(CONFIG, "conv7") == "fcn_20k, conv7"
    assert settings_of(CONFIG) == {}


def test_what_the_user_changes_is_said_of_the_result():
    config = changed({"crop_size": 769, "image_size": (2048, 1024)}, batch_size=8, batch_norm="frozen")
    assert described(config, "layer4") == "fcn_20k, layer4, 769 px crops, images within 2048 x 1024 px"
    assert settings_of(config) == {"steps": 40_000, "batch_size": 8, "lr": 0.005, "batch_norm": "frozen"}


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        ({}, {"steps": 0}, "steps is 0, expected a positive number"),
        ({}, {"save_every": 0}, "save_every is 0, expected at least 1"),
        ({"crop_size": 0}, {}, "data.crop_size is 0, expected at least 1"),
        ({"image_size": (320, 0)}, {}, "data.image_size is 0, expected at least 1"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(data, changes, message):
    with pytest.raises(ValueError, match=message):
        resolve_protocol(changed(data, **changes))


def learning_rates(name, **changes):
    """Of every step, as mmengine's scheduler gives them."""
    pytest.importorskip("mmseg", reason="make segmentation")
    from mmengine.registry import PARAM_SCHEDULERS

    from transfer.segmentation.runner import scheduler_config

    protocol = resolve_protocol(changed(protocol=name, **changes))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=protocol.schedule.lr)
    scheduler = PARAM_SCHEDULERS.build(scheduler_config(protocol) | {"optimizer": optimizer})
    rates = []
    for _ in range(protocol.schedule.steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_learning_rate_of_todays_fcn_falls_as_in_mmsegmentations_schedule_20k():
    rates = learning_rates("fcn_20k")
    assert len(rates) == 20_000
    for step in (0, 1, 5_000, 10_000, 19_999):  # lr 0.01, power 0.9, down to 1e-4
        expected = (0.01 - 1e-4) * (1 - step / 19_999) ** 0.9 + 1e-4
        assert rates[step] == pytest.approx(expected, rel=1e-6), step


def test_the_learning_rate_of_zhang16_falls_to_a_tenth_every_third_of_the_training():
    schedule = SEGMENTATION_PROTOCOLS["zhang16"].schedule
    assert (schedule.steps, schedule.batch_size) == (150_000, 20)
    rates = learning_rates("zhang16", steps=1500)
    assert [rates[step] for step in (0, 499, 500, 999, 1000, 1499)] == pytest.approx(
        [1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6]
    )
