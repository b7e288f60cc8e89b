from transfer.finetuning.protocols import FINETUNE_PROTOCOLS


def test_voc07_halves_its_learning_rate_every_10000_steps_and_a_shorter_one_keeps_the_shares():
    protocol = FINETUNE_PROTOCOLS["voc07"]
    for length in (80_000, 80):
        rates = [
            protocol.lr_at(length * eighth // 8 - before, length)
            for eighth in range(1, 8)
            for before in (1, 0)
        ]
        assert rates == [1e-3 * 0.5 ** (n // 2) for n in range(1, 15)]


def test_semi_supervised_on_one_percent_of_imagenet_takes_20_epochs_of_12811_images():
    assert FINETUNE_PROTOCOLS["semi_supervised"].num_steps(12_811) == 1001
