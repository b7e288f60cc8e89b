"""Class rebalancing: rare colours count more (paper, section 2.2, equation 4)."""

from jaxtyping import Float
from torch import Tensor


def class_weights(prior: Float[Tensor, "bins"], uniform_share: float = 0.5) -> Float[Tensor, "bins"]:
    """The loss weight of each bin: the inverse of the prior mixed with a uniform distribution.

    w = 1 / ((1 - lambda) p + lambda / Q), scaled so that the expected weight sum(p w) is 1. `uniform_share`
    is the paper's lambda, in [0, 1]; 1 switches the rebalancing off. Above 0 every weight is finite, also
    that of a bin with no mass. Raises ValueError for a share outside [0, 1], or 0 with an empty bin.
    """
    if not 0 <= uniform_share <= 1:
        raise ValueError(f"uniform_share must lie in [0, 1] but is {uniform_share}: the paper's is 0.5")
    num_empty = int((prior <= 0).sum())
    if uniform_share == 0 and num_empty:
        raise ValueError(
            f"uniform_share is 0 and {num_empty} bins of the prior are empty, which makes their weight "
            "infinite: choose a share above 0 (the paper's is 0.5)"
        )
    prior64 = prior.double()
    weights = 1 / ((1 - uniform_share) * prior64 + uniform_share / len(prior))
    return (weights / (prior64 * weights).sum()).float()
