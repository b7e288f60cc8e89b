import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import recall_score, top_k_accuracy_score

from transfer.classification import (
    class_accuracies,
    class_ranks,
    classification_losses,
    confusion_matrix,
    measure,
)

RNG = np.random.default_rng(0)


def test_top_1_and_top_5_are_scikit_learns_top_k_accuracy():
    scores, labels = RNG.normal(size=(200, 12)), RNG.integers(12, size=200)
    expected = {
        f"top{k}": pytest.approx(100 * top_k_accuracy_score(labels, scores, k=k, labels=range(12)))
        for k in (1, 5)
    }
    assert measure(scores, labels, np.ones(200, bool)) == expected


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_scores_that_say_nothing_earn_nothing(value):
    assert measure(np.full((4, 10), value), np.arange(4), np.ones(4, bool)) == {"top1": 0, "top5": 0}


def test_ranks_of_several_classifiers_are_those_of_each():
    scores, labels = torch.randn(6, 2, 3, 7), torch.tensor([0, 6, 3, 3, 2, 1])
    ranks = class_ranks(scores, labels)
    assert ranks.shape == (6, 2, 3)
    assert torch.equal(ranks[:, 1, 2], class_ranks(scores[:, 1, 2], labels))


def test_images_that_are_not_kept_do_not_count():
    scores, labels = np.eye(3), np.array([0, 1, 0])
    assert measure(scores, labels, np.array([True, True, False])) == {"top1": 100}


def test_of_images_with_several_classes_perfect_scores_earn_a_mean_average_precision_of_100():
    labels = np.where(RNG.random((50, 3)) < 0.3, 1, -1).astype(np.int8)
    kept = np.ones(50, dtype=bool)
    assert measure(labels.astype(np.float32), labels, kept) == {
        "mAP": 100,
        "mAP_11_point": pytest.approx(100),
    }
    assert measure(-labels.astype(np.float32), labels, kept)["mAP"] < 50


def test_the_loss_of_multi_label_images_sums_classes_and_leaves_out_the_difficult_ones():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    labels = torch.tensor([[1, -1, 0], [0, 1, 1]], dtype=torch.int8)
    sigmoid = torch.nn.Sigmoid()
    expected = [
        -torch.log(sigmoid(torch.tensor(2.0))) - torch.log(1 - sigmoid(torch.tensor(-1.0))),
        -torch.log(sigmoid(torch.tensor(3.0))) - torch.log(sigmoid(torch.tensor(-2.0))),
    ]
    torch.testing.assert_close(classification_losses(logits, labels), torch.stack(expected))


def test_the_confusion_matrix_and_the_accuracies_of_classes_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    confusion = confusion_matrix(labels, predicted, 5)
    expected = sklearn_confusion_matrix(labels, predicted, labels=range(5))
    np.testing.assert_array_equal(confusion, expected)
    recalls = recall_score(labels, predicted, average=None)
    accuracies = class_accuracies(confusion, "abcde")
    np.testing.assert_allclose([accuracies[name] for name in "abcd"], 100 * recalls)
    assert accuracies["e"] is None
