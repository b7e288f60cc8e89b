"""The Fréchet distance of two sets of features, as in the FID (Heusel et al. 2017), from exact streaming sums."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from pretext.optional import NotAvailableError

# Features are rounded to multiples of 2^-16 (an Inception feature is about 0.4). Products of two are then multiples
# of 2^-32, which float64 adds up without rounding to a sum of 2^21: millions of images.
STEPS_PER_UNIT = 2**16


@dataclass(eq=False)
class GaussianStatistics:
    """Count, sum and sum of outer products of a set's features, from which mean and covariance follow.

    The sums are exact: the same, bit for bit, however the set is cut into batches.
    """

    count: int
    total: Float64[Tensor, "features"]
    outer: Float64[Tensor, "features features"]

    @classmethod
    def empty(cls, num_features: int = 2048, device: torch.device | str = "cpu") -> "GaussianStatistics":
        """Sums over no image yet."""
        total = torch.zeros(num_features, dtype=torch.float64, device=device)
        return cls(0, total, torch.zeros(num_features, num_features).to(total))

    def add(self, features: Float[Tensor, "batch features"]) -> None:
        """Take in a batch, on the device of the sums."""
        rounded = (features.double() * STEPS_PER_UNIT).round_().div_(STEPS_PER_UNIT)
        self.count += len(rounded)
        self.total += rounded.sum(dim=0)
        self.outer.addmm_(rounded.T, rounded)

    def mean_and_covariance(
        self,
    ) -> tuple[Float64[Tensor, "features"], Float64[Tensor, "features features"]]:
        """Mean and unbiased covariance of the set's features. Raises NotAvailableError for fewer than two images."""
        if self.count < 2:
            raise NotAvailableError(
                f"a covariance needs at least 2 images but there are {self.count}", "measure more images"
            )
        mean = self.total / self.count
        return mean, (self.outer - self.count * mean.outer(mean)) / (self.count - 1)


def frechet_distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """||mean_a - mean_b||^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), at least 0.

    With no more images than features the covariances are singular; the distance is defined all the same but biased
    upwards, so compare sets of one size only. Raises NotAvailableError for fewer than two images.
    """
    (mean_a, covariance_a), (mean_b, covariance_b) = a.mean_and_covariance(), b.mean_and_covariance()
    # With C = R R^T the trace of the root is the sum of the singular values of R_a^T R_b. Unlike the eigenvalues of
    # C_a C_b, of which the root is taken, these lose no digits where they are small.
    product = _square_root(covariance_a).T @ _square_root(covariance_b)
    distance = (mean_a - mean_b).square().sum() + covariance_a.trace() + covariance_b.trace()
    return max(0.0, (distance - 2 * torch.linalg.svdvals(product).sum()).item())


def _square_root(covariance: Float64[Tensor, "features features"]) -> Float64[Tensor, "features rank"]:
    """R with R R^T = `covariance`, without the directions in which it is 0 up to rounding."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    return vectors[:, kept] * values[kept].sqrt()
