import pytest
import torch

from pretext.schedule import learning_rate


def test_the_step_schedule_follows_the_papers_rates():
    lr_steps = {200_000: 1e-5, 375_000: 3e-6}
    rates = [
        learning_rate(step, base=3e-5, schedule="step", num_steps=450_000, lr_steps=lr_steps)
        for step in (0, 199_999, 200_000, 374_999, 375_000, 449_999)
    ]
    assert rates == [3e-5, 3e-5, 1e-5, 1e-5, 3e-6, 3e-6]


def test_the_cosine_schedule_equals_torchs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert learning_rate(step, base=0.1, schedule="cosine", num_steps=20) == pytest.approx(
            reference.get_last_lr()[0]
        )
        optimizer.step()
        reference.step()


def test_warm_up_rises_linearly_and_ends_at_the_scheduled_rate():
    rates = [learning_rate(s, base=1.0, schedule="step", num_steps=100, warmup_steps=4) for s in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
