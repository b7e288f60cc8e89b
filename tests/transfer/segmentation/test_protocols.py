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

    from transfer.segmentation.runner import scheduler_configs

    protocol = resolve_protocol(changed(protocol=name, **changes))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=protocol.schedule.lr)
    schedulers = [PARAM_SCHEDULERS.build(of | {"optimizer": optimizer}) for of in scheduler_configs(protocol)]
    rates = []
    for _ in range(protocol.schedule.steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def test_the_learning_rate_of_dinov2s_linear_head_rises_and_falls_linearly():
    rates = learning_rates("dinov2_linear", train_from="head")
    assert len(rates) == 40_000
    assert rates[0] == pytest.approx(1e-9)  # the warm-up starts at 1e-6 of 1e-3
    assert max(rates) == pytest.approx(1e-3, rel=1e-3)
    assert rates.index(max(rates)) in range(1499, 1502)
    for step in (10_000, 20_000, 39_000):
        assert rates[step] == pytest.approx(1e-3 * (1 - (step - 1500) / 38_500), rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"head": "linear"},
            "a linear head probes a frozen backbone, but train_from is 'all'; give --train_from head",
        ),
        ({"stages": ["conv4", "conv5"]}, "stages are for a linear head, and this one is 'fcn'; give --stage"),
        ({"head": "linear", "train_from": "head", "stages": []}, "stages is an empty list"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        resolve_protocol(changed(**changes))


def test_a_head_that_is_not_the_protocols_is_a_setting():
    config = changed(head="linear", train_from="head")
    assert resolve_protocol(config).changes_from(SEGMENTATION_PROTOCOLS["plain"])["head"] == "linear"


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
