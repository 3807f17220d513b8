"""ReBias: make features independent of those of a network with a small receptive field."""

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

    HSIC(f, g) is the dependence between the features of the model f and of a biased network g. For
    each batch, in this order, on the same images:

    1. ``biased_updates`` times, g is trained on :math:`\mathrm{CE}(g) - \lambda_g \mathrm{HSIC}(f,
       g)`, with f fixed;
    2. once, f is trained on :math:`\mathrm{CE}(f) + \lambda_f \mathrm{HSIC}(f, g)`, with the
       updated g fixed.

    With several biased networks, the terms are sums over them. Evaluation uses f alone. Needs no
    bias labels, but at least 4 samples per batch. Both turns update the statistics of batch
    normalisation in f and g, as in the code.

    Source: Bahng et al., "Learning De-biased Representations with Biased Representations", ICML
    2020; reference code clovaai/rebias.

    Args:
        groups: the groups of the data.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        biased_networks: number of networks g, each with its own random weights.
        biased_updates: steps of g per step of f.
        lambda_f: :math:`\lambda_f \ge 0`, weight of HSIC for the model.
        lambda_g: :math:`\lambda_g \ge 0`, weight of HSIC for the biased networks.
        kernel: "rbf" or "linear".
        estimator: "unbiased" or "biased" HSIC.
        bandwidth: "fixed": each RBF kernel has the bandwidth ``sigma``. "median": its bandwidth is
            ``sigma`` times the last estimate of the median distance of its own network's features.
            The authors use a fixed 1 for their networks. With it, the kernel is zero for features
            at a distance of ten or more, such as those of EfficientNet or ResNet-50.
        sigma: positive.
        median_every: with "median", number of steps between two estimates. For one estimate per
            epoch, set it to the number of batches per epoch.

    Raises:
        ValueError: ``biased_networks``, ``biased_updates`` or ``median_every`` is below 1,
            ``sigma`` is not positive, a lambda is negative, or ``biased``, ``kernel``,
            ``estimator`` or ``bandwidth`` is unknown.

    Differs from the reference: the paper minimises over g before each step of f; the code takes one
    step or ``biased_updates`` steps, as here. Here the median is estimated on one batch, for each
    biased network separately. There it is estimated on a quarter of the epoch, for all biased
    networks together. Each kernel has the bandwidth of its own network; the code swaps the two in
    the step of g. With several biased networks, the code runs f once per network in the turn of g;
    here f runs once. So the running means of f's batch normalisation differ. The linear kernel is
    corrected, see :func:`debias.losses.hsic.hsic_unbiased`. HSIC is that of the joined batch of all
    processes.
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
        """Two players: the biased networks together, and the model."""
        return {"biased": list(self.networks.parameters()), "model": list(model.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """The biased networks first, then the model. The first turn may estimate the bandwidths."""
        due = self.bandwidth == "median" and step % self.median_every == 0
        first = Turn("biased", partial(self.biased_loss, estimate=due))
        repeats = [Turn("biased", self.biased_loss)] * (self.biased_updates - 1)
        return (first, *repeats, Turn("model", self.model_loss))

    def biased_loss(self, model: nn.Module, batch: Batch, *, estimate: bool = False) -> Loss:
        """Loss of the biased networks: task loss minus weighted HSIC; both are logged.

        With ``estimate``, the bandwidths of the kernels are estimated before.
        """
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
        """Loss of the model: task loss plus weighted HSIC; both are logged."""
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
    """Sum of scalar tensors, with gradient."""
    return torch.stack(scalars).sum()
