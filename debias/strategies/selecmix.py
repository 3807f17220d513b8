"""SelecMix: train on mixed images whose two parts contradict the shortcut."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least, check_between, check_positive
from debias.losses import supervised_contrastive as contrastive
from debias.losses.classification import classification_losses
from debias.losses.contradicting_pairs import contradicting_partners
from debias.models.copies import twin
from debias.processes import joined_rows
from debias.strategies.lff import LfF
from debias.strategies.objectives import step_key
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class ContradictingMixer(nn.Module):
    r"""Mixes each sample with a partner that contradicts what a contrastive network c has learnt.

    c is trained on :func:`debias.losses.supervised_contrastive.generalized_contrastive_losses` with
    the samples of the same class as positives. Easy pairs count more, so that c learns the
    shortcut. Its embeddings give the similarities of
    :func:`debias.losses.contradicting_pairs.contradicting_partners`. One draw per batch chooses
    between contradicting positives and negatives:

    .. math:: \tilde x_i = \lambda_i x_i + (1 - \lambda_i)\, x_j, \quad \tilde y_i = y_j, \quad
              \lambda_i \sim U(0, 0.5)

    The mixed image keeps up to half of sample i, but has the class of its partner j alone.

    Source: Hwang et al., NeurIPS 2022, see :class:`SelecMix`.

    Args:
        model: the classifier; c starts as its copy, with two new linear layers in place of the
            head.
        seed: seed of the run, which determines the mixing.
        q: exponent of the contrast, in (0, 1].
        temperature: temperature of the contrast, positive.
        size: size of the embeddings, at least 1.
        redrawn: draw new weights for all of c.

    Raises:
        ValueError: an option is outside its range.
    """

    def __init__(
        self, model: nn.Module, *, seed: int, q: float, temperature: float, size: int, redrawn: bool
    ) -> None:
        super().__init__()
        check_between("(0, 1]", {"q": q}, of="SelecMix")
        check_positive({"temperature": temperature}, of="SelecMix")
        check_at_least(1, {"size": size}, of="SelecMix")
        self.seed, self.q, self.temperature = seed, q, temperature
        network: Any = twin(model, redrawn=redrawn)
        inputs = network.head.in_features
        network.head = nn.Sequential(
            nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, size)
        ).to(network.head.weight)
        self.network = network
        self.similarities = torch.zeros(0)

    def contrast(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of c over the samples of all processes; the similarities are kept for mixing."""
        embeddings = self.network(batch.image).logits
        self.similarities = contrastive.cosine_similarities(embeddings.detach())
        target, similarities = (
            joined_rows(batch.target),
            contrastive.cosine_similarities(joined_rows(embeddings)),
        )
        loss = contrastive.generalized_contrastive_losses(
            similarities, target[:, None] == target, q=self.q, temperature=self.temperature
        ).mean()
        return Loss(loss, {"contrast": loss.detach()})

    def mixed_loss(self, model: nn.Module, batch: Batch, *, step: int) -> Tensor:
        """Mean cross-entropy of the model on the mixed batch, after the turn of c.

        Args:
            model: the classifier.
            batch: the batch of the turn before, with class indices.
            step: step of training, which with the seed determines the draws.
        """
        generator = torch.Generator().manual_seed(step_key(self.seed, step))
        positives = bool(torch.rand(1, generator=generator) > 0.5)
        partner = contradicting_partners(self.similarities, batch.target, positives=positives)
        own = 0.5 * torch.rand(len(partner), generator=generator)
        own = own.to(batch.image).view(-1, *[1] * (batch.image.ndim - 1))
        image = own * batch.image + (1 - own) * batch.image[partner]
        return classification_losses(model(image).logits, batch.target[partner]).mean()


class SelecMix(Strategy):
    r"""Train on mixed pairs that contradict the shortcut, found by a contrastive network (V+).

    The contrastive network c takes the first turn, and the model f the second, with the
    similarities of c from before its update (:class:`ContradictingMixer`):

    .. math:: L_f = \frac1N \sum_i \mathrm{CE}(f(\tilde x_i), y_j)

    f is trained on mixed images alone. Evaluation uses f alone, on unmixed images. Needs no bias
    labels.

    Source: Hwang et al., "SelecMix: Debiased Learning by Contradicting-pair Sampling", NeurIPS
    2022; reference code bluemoon010/SelecMix (``v_ours.cfg``).

    Args:
        groups: the groups of the data, with single-label targets.
        model: the classifier f.
        seed: seed of the run, which determines the mixing.
        q: exponent of the contrast of c, in (0, 1]. With larger values, c prefers easy pairs more.
        temperature: temperature of the contrast, positive.
        size: size of the embeddings of c, at least 1.
        separate_start: draw new weights for all of c, as the authors do; see
            :func:`debias.models.copies.twin`. ``False`` keeps the weights of f, such as pretrained
            ones.

    Raises:
        ValueError: an option is outside its range, or targets are multi-label.

    Differs from the reference: a negative always has another class; see
    :func:`debias.losses.contradicting_pairs.contradicting_partners`. c has the architecture of f;
    there it is a ResNet-18 on all data sets. Partners come from the batch of the process. There
    they come from a batch four times as large, and c finds them before the four steps on its
    quarters. f sees only mixed images. There the unmixed ones pass through f too, with a loss of
    weight 0, and enter the running statistics of its batch normalisation. The optimiser of c is
    that of f, unless ``players.contrast`` sets other options.
    """

    single_label = True
    hard_targets = True
    smallest_batch = 2  # a sample is contrasted with the others

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        seed: int = 0,
        *,
        q: float = 0.7,
        temperature: float = 0.2,
        size: int = 128,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups)
        self.mixer = ContradictingMixer(
            model, seed=seed, q=q, temperature=temperature, size=size, redrawn=separate_start
        )

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: the contrastive network, and the model."""
        return {"contrast": [*self.mixer.parameters()], "model": [*model.parameters()]}

    def turns(self, step: int) -> Sequence[Turn]:
        """The contrastive network, then the model on images that its similarities mix."""
        mixed = partial(self.mixed_loss, step=step)
        return Turn("contrast", self.mixer.contrast), Turn("model", mixed)

    def mixed_loss(self, model: nn.Module, batch: Batch, *, step: int) -> Loss:
        """The loss of the model on mixed images.

        Args:
            model: the model f.
            batch: the batch of the turn before.
            step: step of training, which with the seed determines the mixing.
        """
        return Loss(self.mixer.mixed_loss(model, batch, step=step), {})


class SelecMixLfF(LfF):
    r"""Train as LfF, and also on mixed pairs that contradict the shortcut (SelecMix, L+).

    The contrastive network c takes the first turn. Then the model f and the biased network g take
    one turn, on the loss of :class:`debias.strategies.lff.LfF` plus that of :class:`SelecMix`:

    .. math:: L = L_\mathrm{LfF} + \frac{a}{N} \sum_i \mathrm{CE}(f(\tilde x_i), y_j)

    Evaluation uses f alone. Needs no bias labels.

    Source: Hwang et al., "SelecMix: Debiased Learning by Contradicting-pair Sampling", NeurIPS
    2022; reference code bluemoon010/SelecMix (``l_ours.cfg``).

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier f; g starts as its copy, with a newly drawn head.
        seed: seed of the run, which determines the mixing.
        momentum: as for LfF.
        mixed_weight: a, not negative.
        temperature, size: as for SelecMix. Both exponents q are 0.7.
        separate_start: draw new weights for all of g and of c, as the authors do.

    Raises:
        ValueError: an option is outside its range, or targets are multi-label.

    Differs from the reference: as for LfF, and as for SelecMix. But f sees unmixed images here.
    """

    smallest_batch = 2  # a sample is contrasted with the others

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        seed: int = 0,
        *,
        momentum: float = 0.7,
        mixed_weight: float = 0.1,
        temperature: float = 0.2,
        size: int = 128,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups, samples, model, momentum=momentum, separate_start=separate_start)
        check_at_least(0, {"mixed_weight": mixed_weight}, of="SelecMixLfF")
        self.mixed_weight = mixed_weight
        self.mixer = ContradictingMixer(
            model,
            seed=seed,
            q=self.q,
            temperature=temperature,
            size=size,
            redrawn=separate_start,
        )

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: the contrastive network, and the model with the biased network."""
        both = [*model.parameters(), *self.network.parameters()]
        return {"contrast": [*self.mixer.parameters()], "model": both}

    def turns(self, step: int) -> Sequence[Turn]:
        """The contrastive network, then the model and the biased network together."""
        both = partial(self.joint_loss, step=step)
        return Turn("contrast", self.mixer.contrast), Turn("model", both)

    def joint_loss(self, model: nn.Module, batch: Batch, *, step: int) -> Loss:
        """The loss of LfF, plus that of the model on mixed images.

        Args:
            model: the model f.
            batch: the batch of the turn before.
            step: step of training, which with the seed determines the mixing.
        """
        total, terms, _ = self.loss(model, batch)
        mixed = self.mixer.mixed_loss(model, batch, step=step)
        name = "mixed_cross_entropy"
        terms = terms | {name: mixed.detach()}
        return Loss(total + self.mixed_weight * mixed, terms, {name: self.mixed_weight})
