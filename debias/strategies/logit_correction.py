"""Logit correction (LC): add the prior given a biased network's prediction to the logits."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least, check_between, check_positive
from debias.losses.classification import classification_losses
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.logit_correction import SMALLEST_SHARE, ConfidenceTable, group_partners
from debias.models.copies import twin
from debias.strategies.objectives import step_key
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class LogitCorrection(Strategy):
    r"""Add the log prior of the class, given the prediction of a biased network, to the logits.

    A biased network g and the model f are trained at the same time. g takes the first turn:

    .. math:: L_g = \frac{\beta}{N} \sum_i \mathrm{GCE}_q(g(x_i), y_i)

    Then f takes its turn, with the predictions :math:`a_i` of g from before that update:

    .. math:: L_f = \frac1N \sum_i \mathrm{CE}(f(\tilde x_i) + \log(\tilde\pi_i + 10^{-4}),\, y_i)

    The prior :math:`\pi(y \mid a_i)` (:class:`debias.losses.logit_correction.ConfidenceTable`) is
    large for the class that the shortcut suggests, so f need not learn the shortcut. Group MixUp
    mixes sample i with a partner j of its class that g gets wrong:

    .. math:: \tilde x_i = \lambda x_i + (1 - \lambda) x_j, \quad
              \tilde\pi_i = \lambda\, \pi(\cdot \mid a_i) + (1 - \lambda)\, \pi(\cdot \mid a_j),
              \quad \lambda \sim U(1 - 2\tau,\, 1 - \tau)

    Evaluation uses f alone, without prior. Needs no bias labels.

    Source: Liu et al., "Avoiding Spurious Correlations via Logit Correction", ICLR 2023; reference
    code shengliu66/LC and amazon-science/lc-loss.

    Args:
        groups: the groups of the data, with single-label targets.
        model: the classifier f; g starts as its copy, with a newly drawn head.
        seed: seed of the run, which determines the mixing.
        q: exponent of the generalized cross-entropy (GCE) of g, in (0, 1].
        momentum: m of the table of priors, in [0, 1).
        temperature: positive; the logits of g are divided by it for the table.
        mixing: :math:`\tau` in [0, 0.5] after the ramp. 0 mixes nothing.
        ramp: number of steps R over which :math:`\tau` grows, as
            :math:`\exp(-5 (1 - \text{step} / R)^2)`. 0 starts with the whole.
        biased_weight: :math:`\beta > 0`.
        separate_start: draw new weights for all of g, as the authors do for networks without
            pretrained weights; see :func:`debias.models.copies.twin`.

    Raises:
        ValueError: an option is outside its range, or targets are multi-label.

    Differs from the reference: priors are always divided by their sum. The reference does not
    divide them on its coloured digits. The authors give g a tenth of the learning rate, which is
    ``players.biased.lr`` here. For their kinds of averages, see
    :class:`debias.losses.logit_correction.ConfidenceTable`.
    """

    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        seed: int = 0,
        *,
        q: float = 0.7,
        momentum: float = 0.5,
        temperature: float = 1.0,
        mixing: float = 0.5,
        ramp: int = 0,
        biased_weight: float = 1.0,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups)
        check_between("(0, 1]", {"q": q}, of="LogitCorrection")
        check_between("[0, 0.5]", {"mixing": mixing}, of="LogitCorrection")
        positive = {"temperature": temperature, "biased_weight": biased_weight}
        check_positive(positive, of="LogitCorrection")
        check_at_least(0, {"ramp": ramp}, of="LogitCorrection")
        self.q, self.temperature, self.biased_weight = q, temperature, biased_weight
        self.mixing, self.ramp, self.seed = mixing, ramp, seed
        self.network = twin(model, redrawn=separate_start)
        self.table = ConfidenceTable(groups.rows, momentum=momentum)
        self.biased_logits = torch.zeros(0)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: the biased network, and the model."""
        return {"biased": [*self.network.parameters()], "model": [*model.parameters()]}

    def turns(self, step: int) -> Sequence[Turn]:
        """The biased network, then the model, which reads the outputs of the first turn."""
        return (
            Turn("biased", self.biased_loss),
            Turn("model", partial(self.corrected_loss, step=step)),
        )

    def biased_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of the biased network, whose logits are kept for the turn of the model."""
        logits = self.network(batch.image).logits
        self.biased_logits = logits.detach()
        amplified = generalized_cross_entropy(logits, batch.target, q=self.q, scaled=True)
        with torch.no_grad():
            losses = classification_losses(logits, batch.target)
        total = self.biased_weight * amplified.mean()
        return Loss(total, {"biased_cross_entropy": losses.mean()})

    def corrected_loss(self, model: nn.Module, batch: Batch, *, step: int) -> Loss:
        """The loss of the model on mixed images, with the prior added to its logits.

        Args:
            model: the model f.
            batch: the batch of the turn before.
            step: step of training, which with the seed determines the mixing.
        """
        probabilities = (self.biased_logits.float() / self.temperature).softmax(dim=1)
        prior, predicted = self.table(probabilities, batch.target), self.biased_logits.argmax(dim=1)
        image, prior = self._mixed(batch, prior, predicted, step)
        logits = model(image).logits
        losses = classification_losses(logits + (prior + SMALLEST_SHARE).log(), batch.target)
        wrong = (predicted != batch.target).float().mean()
        return Loss(losses.mean(), {"biased_errors": wrong})

    def _mixed(
        self, batch: Batch, prior: Tensor, predicted: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Images and priors after Group MixUp; unchanged if ``mixing`` is 0."""
        if not self.mixing:
            return batch.image, prior
        generator = torch.Generator().manual_seed(step_key(self.seed, step))
        partner = group_partners(batch.target, predicted, generator)
        tau = self.mixing * self._grown(step)
        own = 1 - tau * (1 + float(torch.rand(1, generator=generator)))
        image = own * batch.image + (1 - own) * batch.image[partner]
        return image, own * prior + (1 - own) * prior[partner]

    def _grown(self, step: int) -> float:
        return math.exp(-5 * (1 - min(step / self.ramp, 1)) ** 2) if self.ramp else 1.0
