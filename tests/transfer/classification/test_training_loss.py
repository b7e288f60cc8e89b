import torch

from transfer.classification.training_loss import classification_losses


def test_the_loss_of_multi_label_images_sums_classes_and_leaves_out_the_difficult_ones():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    labels = torch.tensor([[1, -1, 0], [0, 1, 1]], dtype=torch.int8)
    sigmoid = torch.nn.Sigmoid()
    expected = [
        -torch.log(sigmoid(torch.tensor(2.0))) - torch.log(1 - sigmoid(torch.tensor(-1.0))),
        -torch.log(sigmoid(torch.tensor(3.0))) - torch.log(sigmoid(torch.tensor(-2.0))),
    ]
    torch.testing.assert_close(classification_losses(logits, labels), torch.stack(expected))
