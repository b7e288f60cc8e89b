"""What tasks share that ask which of a few answers is right: rotation, relative position, jigsaw."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pretext.networks.backbone import Backbone
from pretext.tasks.task import Losses, Panel, Task


def loss_of_frequencies(learned: Float[Tensor, " answers"], asked: Float[Tensor, " answers"]) -> float:
    """The mean cross-entropy of the answers counted in `asked`, for their frequencies in `learned`, 1e-6 at least."""
    answer = (learned / learned.sum()).clamp_min(1e-6).log()
    return -(asked / asked.sum() * answer).sum().item()


class ClassificationTask(Task):
    """One or more questions about each image, each with one right answer of `num_answers`.

    A task of this kind defines `split`, whose targets are `answers`, and a `head` that gives logits
    (images x questions, answers).

    Attributes:
        num_answers: among which is the right one.
    """

    constant_answer_name = "the training images' frequencies"
    panel = Panel("share of right answers", {"validation_accuracy": "validation"})
    num_answers: int

    @abstractmethod
    def answers(self, images: UInt8[Tensor, "batch *sample"]) -> Int64[Tensor, "batch questions"]:
        """The right answers about a batch of samples."""

    def losses(
        self,
        output: Float[Tensor, "questions_of_all answers"],
        targets: Int64[Tensor, "batch questions"],
    ) -> Losses:
        """Cross-entropy in nats, of each image the mean over its questions."""
        losses = F.cross_entropy(output.float(), targets.flatten(), reduction="none")
        loss = losses.unflatten(0, targets.shape).mean(1)
        return Losses({"loss": loss}, counted=torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: Int64[Tensor, "batch questions"]) -> Float[Tensor, " answers"]:
        """How often each answer is right (float64)."""
        return F.one_hot(targets.flatten(), self.num_answers).sum(0).double()

    def constant_answer(
        self, learned: Float[Tensor, " answers"], asked: Float[Tensor, " answers"]
    ) -> dict[str, float]:
        """The loss on `asked` of answering the frequencies of `learned`; an unseen answer has probability 1e-6."""
        return {"constant_answer": loss_of_frequencies(learned, asked)}

    def measure(
        self,
        images: UInt8[Tensor, "batch *sample"],
        output: Float[Tensor, "questions_of_all answers"],
        network: Backbone,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """The share of each image's questions that is answered right."""
        answers = self.answers(images)
        right = output.argmax(1).unflatten(0, answers.shape) == answers
        return {"accuracy": right.float().mean(1)}
