"""A loader that ends a training as SIGKILL would: nothing is saved where it stops."""

from pretext.images.loader import shuffled_batches


def killed_before(step):
    """In place of `shuffled_batches`: raises KeyboardInterrupt where the batch of `step` (from 0) would come."""

    def batches(*args, **options):
        for number, batch in enumerate(shuffled_batches(*args, **options)):
            if number == step:
                raise KeyboardInterrupt
            yield batch

    return batches
