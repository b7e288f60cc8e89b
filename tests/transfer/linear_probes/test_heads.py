from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from pretext.runtime.distributed import World
from transfer.features.protocols import LINEAR_PROTOCOLS
from transfer.linear_probes.heads import LinearHeads
from transfer.linear_probes.lars import Lars

ALONE = World(rank=0, size=1, device=torch.device("cpu"))
GRIDS = {"conv1": (8, 3), "conv2": (16, 2)}
GOYAL19 = LINEAR_PROTOCOLS["goyal19"]  # Nesterov, weight decay, BatchNorm
RATES = (0.01, 0.3)


def made_batches(count, size=6, classes=4):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        features = {
            stage: 3 * torch.randn(size, channels, grid, grid, generator=generator) + 1
            for stage, (channels, grid) in GRIDS.items()
        }
        yield features, torch.randint(classes, (size,), generator=generator)


def made_heads(grids=GRIDS, rates=RATES, protocol=GOYAL19, classes=4, seed=0):
    return LinearHeads(grids, classes, rates, protocol, seed=seed, world=ALONE)


def trained_heads(steps=5, **options):
    heads = made_heads(**options)
    for step, (features, labels) in enumerate(made_batches(steps)):
        heads.train_step(
            features, labels, torch.ones(len(labels), dtype=torch.bool), 0.5 if step > 2 else 1.0
        )
    return heads


@pytest.mark.parametrize("protocol", LINEAR_PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_each_classifier_is_trained_as_torchs_own_layers_alone(protocol):
    heads = trained_heads(protocol=protocol)
    features, labels = list(zip(*made_batches(5), strict=True))
    probe = next(made_batches(1))[0]
    answers = heads.eval()(probe)
    for place, (stage, (channels, grid)) in enumerate(GRIDS.items()):
        for rate, lr in enumerate(RATES):
            linear = nn.Linear(channels * grid**2, 4)
            linear.load_state_dict(first_weights(protocol, place))
            of_torch = nn.BatchNorm2d(channels, affine=False, eps=protocol.batch_norm_eps)
            network = nn.Sequential(of_torch if protocol.batch_norm else nn.Identity(), nn.Flatten(), linear)
            options = {"momentum": 0.9, "nesterov": protocol.nesterov, "weight_decay": protocol.weight_decay}
            optimizer = torch.optim.SGD(linear.parameters(), lr=lr, **options)
            if protocol.optimizer == "lars":  # see test_lars
                optimizer = Lars([{"params": list(linear.parameters()), "lr": lr}])
            for step in range(5):
                optimizer.param_groups[0]["lr"] = lr * (0.5 if step > 2 else 1)
                optimizer.zero_grad()
                F.cross_entropy(network(features[step][stage]), labels[step]).backward()
                optimizer.step()
            expected = network.eval()(probe[stage])
            torch.testing.assert_close(answers[:, place, rate], expected, rtol=2e-5, atol=2e-5)
            copied = heads.probe(stage, lr)(probe[stage])
            torch.testing.assert_close(copied, expected, rtol=2e-5, atol=2e-5)


def first_weights(protocol, place):
    parameters = list(made_heads(protocol=protocol).parameters())
    return {"weight": parameters[2 * place][0], "bias": parameters[2 * place + 1][0]}


def test_weights_begin_as_small_gaussians_and_biases_at_zero():
    weight, bias = list(made_heads({"conv1": (96, 10)}, classes=50).parameters())
    assert weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-4)
    assert torch.equal(weight[0], weight[1])
    assert not bias.any()


def test_a_stage_and_rate_trained_alone_gives_what_it_gives_among_others():
    features = next(made_batches(1))[0]
    joint = trained_heads().eval()(features)
    alone = trained_heads(grids={"conv2": GRIDS["conv2"]}, rates=[0.3]).eval()(features)
    torch.testing.assert_close(joint[:, 1, 1], alone[:, 0, 0], rtol=1e-6, atol=1e-6)


def test_the_seed_decides_everything():
    features = next(made_batches(1))[0]
    answers = [trained_heads(seed=seed).eval()(features) for seed in (0, 0, 1)]
    assert torch.equal(answers[0], answers[1])
    assert not torch.allclose(answers[0], answers[2])


def test_an_unreadable_image_weighs_nothing():
    (features, labels), readable = next(made_batches(1)), torch.tensor([True] * 5 + [False])
    without_norm = LINEAR_PROTOCOLS["deepcluster18"]
    heads, others = made_heads(protocol=without_norm), made_heads(protocol=without_norm)
    sums = heads.train_step(features, labels, readable, 1.0)
    changed = {stage: maps.clone() for stage, maps in features.items()}
    for maps in changed.values():
        maps[5] = 100
    torch.testing.assert_close(others.train_step(changed, labels, readable, 1.0), sums)
    for parameter, other in zip(heads.parameters(), others.parameters(), strict=True):
        torch.testing.assert_close(parameter, other)


def test_of_several_classes_the_binary_cross_entropies_of_those_that_count_are_added():
    features, _ = next(made_batches(1))
    labels = torch.tensor([[1, -1, 0, 1]] * 6, dtype=torch.int8)
    heads = made_heads()
    before = [parameter.detach().clone() for parameter in heads.parameters()]
    sums = heads.train_step(features, labels, torch.ones(6, dtype=torch.bool), 1.0)
    normalised = nn.BatchNorm2d(8, affine=False)(features["conv1"]).flatten(1)
    logits = F.linear(normalised, before[0][0], before[1][0])
    counted, targets = torch.tensor([0, 1, 3]), torch.tensor([[1.0, 0.0, 1.0]] * 6)
    expected = F.binary_cross_entropy_with_logits(logits[:, counted], targets, reduction="sum")
    torch.testing.assert_close(sums[0, 0], expected)
    weight, bias = list(heads.parameters())[:2]
    assert torch.equal(bias[:, 2], before[1][:, 2])  # the ignored class has no gradient, and no bias to decay
    assert not torch.equal(weight[:, 0], before[0][:, 0])


def test_training_goes_on_from_a_checkpoint_bit_for_bit():
    undisturbed, first, second = trained_heads(steps=5), trained_heads(steps=3), made_heads()
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    for features, labels in list(made_batches(5))[3:]:
        second.train_step(features, labels, torch.ones(6, dtype=torch.bool), 0.5)
    for name, tensor in undisturbed.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_a_converged_classifier_is_scikit_learns_logistic_regression():
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    maps = torch.from_numpy(generator.normal(size=(60, 8, 1, 1)).astype(np.float32))
    maps[torch.arange(60), torch.from_numpy(labels)] += 2
    # scikit-learn adds ||w||^2 / 2 to C times the sum of the losses; weight decay adds it to their mean, and decays the
    # bias too, which is then the weight of a feature that is always 1.
    decay, images = 0.01, len(labels)
    protocol = replace(LINEAR_PROTOCOLS["deepcluster18"], weight_decay=decay)
    heads = made_heads({"conv5": (8, 1)}, rates=[0.3], protocol=protocol, classes=3)
    for _ in range(600):
        sums = heads.train_step(
            {"conv5": maps}, torch.from_numpy(labels), torch.ones(images, dtype=torch.bool), 1.0
        )
    features = np.hstack([maps.flatten(1).double().numpy(), np.ones((images, 1))])
    solution = LogisticRegression(C=1 / (decay * images), fit_intercept=False, tol=1e-8).fit(features, labels)
    weight, bias = (parameter[0].detach() for parameter in heads.parameters())
    np.testing.assert_allclose(torch.cat([weight, bias[:, None]], 1).numpy(), solution.coef_, atol=1e-4)
    probabilities = solution.predict_proba(features)
    loss = -np.log(probabilities[np.arange(images), labels]).sum()
    assert sums.item() == pytest.approx(loss, rel=1e-4)
    answers = heads.eval()({"conv5": maps})[:, 0, 0].argmax(1).numpy()
    np.testing.assert_array_equal(answers, solution.predict(features))
