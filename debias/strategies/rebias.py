"""ReBias: be independent of the features of a network of small receptive field."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least, check_one_of, check_positive
from debias.losses.classification import classification_losses
from debias.losses.hsic import HSIC, median_distance
from debias.strategies.biased_network import biased_network
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn

BANDWIDTHS = ("fixed", "median")


class ReBias(Strategy):
    r"""Make the features independent (HSIC) of those of a network that can only see texture.

    The model f and biased networks g play against each other over HSIC(f, g), the dependence of
    their features.

    For each batch, in this order, from the same images:

    1. ``biased_updates`` times, g moves on :math:`\mathrm{CE}(g) - \lambda_g \mathrm{HSIC}(f, g)`,
       f standing still;
    2. once, f moves on :math:`\mathrm{CE}(f) + \lambda_f \mathrm{HSIC}(f, g)`, the moved g standing
       still.

    Several biased networks are summed over. Needs no bias labels, but batches of 4 at least; the
    biased networks are not used in evaluation. Batch normalisation of either side follows the
    batches of both turns, as in the code.

    Source: Bahng et al., "Learning De-biased Representations with Biased Representations", ICML
    2020; reference code clovaai/rebias.

    Args:
        groups: the groups of the data.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        biased_networks: how many networks g there are, each from its own new weights.
        biased_updates: steps of g for one of f.
        lambda_f: :math:`\lambda_f \ge 0`, weight of HSIC for the model.
        lambda_g: :math:`\lambda_g \ge 0`, weight of HSIC for the biased networks.
        kernel: "rbf" or "linear".
        estimator: "unbiased" or "biased" HSIC.
        bandwidth: "median": the bandwidth of each RBF kernel is ``sigma`` times the median distance
            of the network's own features, as estimated last; "fixed": it is ``sigma``. The authors
            have 1, fixed, for their networks. A kernel of bandwidth 1 is zero where features lie
            ten or more apart, as those of EfficientNet or ResNet-50.
        sigma: positive.
        median_every: with "median", steps between two estimates: the batches of an epoch, for one
            estimate an epoch.

    Raises:
        ValueError: a number of networks, updates or steps is below 1, ``sigma`` is not positive, a
            lambda is negative, or a name is unknown.

    Differs from the reference: the paper minimises over g before each step of f, the code (as here)
    takes a step or ``biased_updates``. The median is that of one batch and of each biased network
    by itself, there of a quarter of the epoch and of all biased networks together; each kernel has
    the bandwidth of its own network, where the code's g step swaps the two. With several biased
    networks the code passes a batch through f once for each of them in g's turn, here once, which
    the running means of f's batch normalisation follow. The linear kernel is right, see
    :func:`debias.losses.hsic.hsic_unbiased`. HSIC is that of the joined batch of all processes.
    """

    smallest_batch = 4  # the unbiased estimator divides by m (m - 3)

    def __init__(
        self,
        groups: Groups,
        *,
        biased: str = "simple_conv_k1",
        biased_networks: int = 1,
        biased_updates: int = 1,
        lambda_f: float = 1.0,
        lambda_g: float = 1.0,
        kernel: str = "rbf",
        estimator: str = "unbiased",
        bandwidth: str = "median",
        sigma: float = 1.0,
        median_every: int = 200,
    ) -> None:
        super().__init__()
        counts = {"biased_networks": biased_networks, "biased_updates": biased_updates}
        check_at_least(1, counts | {"median_every": median_every}, of="ReBias")
        check_positive({"sigma": sigma}, of="ReBias")
        check_at_least(0, {"lambda_f": lambda_f, "lambda_g": lambda_g}, of="ReBias")
        check_one_of(BANDWIDTHS, {"bandwidth": bandwidth}, of="ReBias")
        self.biased_updates, self.lambda_f, self.lambda_g = biased_updates, lambda_f, lambda_g
        self.bandwidth, self.sigma, self.median_every = bandwidth, sigma, median_every
        self.hsic = HSIC(kernel=kernel, estimator=estimator)
        networks = (biased_network(groups, biased) for _ in range(biased_networks))
        self.networks = nn.ModuleList(networks)
        self.register_buffer("sigma_model", torch.tensor(float(sigma)))
        self.register_buffer("sigma_biased", torch.full((biased_networks,), float(sigma)))
        self.sigma_model: Tensor
        self.sigma_biased: Tensor

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The biased networks, and the model."""
        return {"biased": list(self.networks.parameters()), "model": list(model.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """The biased networks move first, then the model; a due bandwidth is estimated before."""
        due = self.bandwidth == "median" and step % self.median_every == 0
        first = Turn("biased", partial(self.biased_loss, estimate=due))
        again = [Turn("biased", self.biased_loss)] * (self.biased_updates - 1)
        return (first, *again, Turn("model", self.model_loss))

    def biased_loss(self, model: nn.Module, batch: Batch, *, estimate: bool = False) -> Loss:
        """Objective of the biased networks: classify, and depend on what the model sees."""
        biased = [network(batch.image) for network in self.networks]
        with torch.no_grad():
            features = model(batch.image).features
        if estimate:
            self._estimate(features, biased)
        errors = [classification_losses(g.logits, batch.target).mean() for g in biased]
        error, hsic = sum_of(errors), self._dependence(features, biased)
        terms = {"biased_cross_entropy": error.detach(), "biased_hsic": hsic.detach()}
        return Loss(error - self.lambda_g * hsic, terms, {"biased_hsic": self.lambda_g})

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model: classify, and do not depend on what the biased networks see."""
        outputs: Outputs = model(batch.image)
        with torch.no_grad():
            biased = [network(batch.image) for network in self.networks]
        error = task_loss(outputs.logits, batch)
        hsic = self._dependence(outputs.features, biased)
        terms = {"cross_entropy": error.detach(), "hsic": hsic.detach()}
        return Loss(error + self.lambda_f * hsic, terms, {"hsic": self.lambda_f})

    def _dependence(self, features: Tensor, biased: list[Outputs]) -> Tensor:
        bandwidths = zip(biased, self.sigma_biased, strict=True)
        return sum_of(
            [
                self.hsic(features, g.features, sigma_x=self.sigma_model, sigma_y=sigma)
                for g, sigma in bandwidths
            ]
        )

    def _estimate(self, features: Tensor, biased: list[Outputs]) -> None:
        self.sigma_model.copy_(self.sigma * median_distance(features))
        distances = [median_distance(g.features) for g in biased]
        self.sigma_biased.copy_(self.sigma * torch.stack(distances))


def sum_of(scalars: list[Tensor]) -> Tensor:
    """Sum of scalar tensors."""
    return torch.stack(scalars).sum()
