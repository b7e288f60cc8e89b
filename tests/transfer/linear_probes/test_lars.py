"""LARS, against timm's."""

import torch
from timm.optim import Lars as TimmLars

from transfer.linear_probes.lars import Lars


def test_a_weight_moves_as_timms_moves_it_and_a_bias_by_its_gradient():
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(5, 7, generator=generator), torch.randn(5, generator=generator)
    pairs = [(weight.clone(), bias.clone()) for _ in range(2)]
    ours = Lars([{"params": list(pairs[0]), "lr": 0.3}])
    # timm scales every parameter, so that its bias moves by plain SGD here.
    theirs = TimmLars([pairs[1][0]], lr=0.3, momentum=0.9, always_adapt=True)
    plain = torch.optim.SGD([pairs[1][1]], lr=0.3, momentum=0.9)
    for _ in range(5):
        gradients = torch.randn(5, 7, generator=generator), torch.randn(5, generator=generator)
        for parameters in pairs:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
        for optimizer in (ours, theirs, plain):
            optimizer.step()
        for one, other in zip(*pairs, strict=True):
            torch.testing.assert_close(one, other)


def test_a_weight_of_zeros_moves_by_its_gradient():
    weight = torch.zeros(2, 2)
    weight.grad = torch.ones(2, 2)
    Lars([{"params": [weight], "lr": 0.5}]).step()
    assert torch.equal(weight, torch.full((2, 2), -0.5))
