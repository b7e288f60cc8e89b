"""What the contract of a task gives to one that defines nothing but its loss."""

import torch

from pretext.tasks.task import Losses, Task


class Brightness(Task):
    """Tell how bright an image is."""

    def split(self, images, network):
        return network.see(images / 255), images.float().mean((1, 2, 3))

    def losses(self, output, targets):
        loss = (output.mean((1, 2, 3)) - targets).square()
        return Losses({"loss": loss}, counted=torch.ones_like(loss, dtype=torch.bool))


def test_the_statistics_of_a_task_that_has_none_add_to_those_on_another_device():
    summed = torch.zeros((), dtype=torch.float64, device="meta")  # in place of a GPU: the rules are the same
    assert (summed + Brightness().statistics(None)).device == summed.device
    summed += Brightness().statistics(None)
    assert summed.dtype == torch.float64


def test_images_that_are_taken_out_have_no_loss_and_do_not_count():
    losses = Losses({"loss": torch.tensor([1.0, torch.nan])}, counted=torch.tensor([True, True]))
    kept = losses.without(torch.tensor([False, True]))
    assert kept.by_name["loss"].tolist() == [1, 0]
    assert kept.counted.tolist() == [True, False]
