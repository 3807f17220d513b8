"""Weights against contextual bias: on a label without its usual context, or on that context."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import check_between, check_one_of, check_positive
from debias.losses.contexts import cell_weights, cooccurring_entries, exclusive_entries
from debias.strategies.contexts import counts_of, mean_of_entries, named_pairs
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss

RULES = ("label", "context", "balanced")


class ContextWeighting(Strategy):
    r"""Weight the loss of a label where its usual context is absent, or the loss of the context.

    .. math:: L = \frac{1}{NL} \sum_{il} w_{il}\, \mathrm{BCE}(\sigma(z_{il}), t_{il})

    For each pair (b, c) of a label and its context, and with w = 1 elsewhere:

    - "label": :math:`w_{ib}` is ``strength`` in images with b without c ("weighted");
    - "context": :math:`w_{ic}` is ``strength`` there, so that a wrongly found context is expensive
      ("negative penalty");
    - "balanced": :math:`w_{ib}` is :func:`debias.losses.contexts.cell_weights` of images with b
      without c, with both, and without b ("class-balancing").

    Source: baselines of Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome
    Contextual Bias", CVPR 2020; reference code of a replication, princetonvisualai/ContextualBias.

    Args:
        groups: the groups of the data, with several labels.
        row: ``(M, L)`` int64 target row of each label of each training image.
        pairs: names [label, context] of each pair. ``None`` means the contexts of the data set.
        rule: "label", "context" or "balanced".
        strength: the weight of the first two rules.
        beta: of the rule "balanced", in (0, 1).

    Raises:
        ValueError: the data has one label per image, no pair is known or one is no pair of labels,
            ``rule`` is unknown, ``strength`` is not positive, or ``beta`` is outside (0, 1).
    """

    several_labels = True
    weights: Tensor

    def __init__(
        self,
        groups: Groups,
        row: Tensor,
        *,
        pairs: list[list[str]] | None = None,
        rule: str = "label",
        strength: float = 10.0,
        beta: float = 0.99,
    ) -> None:
        super().__init__(groups)
        check_one_of(RULES, {"rule": rule})
        check_positive({"strength": strength}, of="ContextWeighting")
        check_between("(0, 1)", {"beta": beta}, of="ContextWeighting")
        self.pairs, self.rule = named_pairs(groups, pairs, of="context_weighting"), rule
        table = [cell_weights(*counts, beta=beta) for counts in counts_of(row, self.pairs)]
        fixed = torch.tensor([[strength, 1.0, 1.0]] * len(self.pairs))
        weights = torch.stack(table).float() if rule == "balanced" else fixed
        self.register_buffer("weights", weights, persistent=False)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean weighted loss of all images and labels."""
        logits = model(batch.image).logits
        entries = F.binary_cross_entropy_with_logits(
            logits.float(), batch.target.float(), reduction="none"
        )
        return Loss(mean_of_entries(self.entry_weights(batch.target) * entries, batch), {})

    def entry_weights(self, target: Tensor) -> Tensor:
        """``(N, L)`` weight of each image and label.

        A label of several pairs has the weight of the last one that says something about an image.
        """
        weights = torch.ones(target.shape, device=target.device)
        alone = exclusive_entries(target, self.pairs)
        beside = cooccurring_entries(target, self.pairs)
        for place, pair in enumerate(self.pairs):
            column = pair.context if self.rule == "context" else pair.label
            exclusive, together, other = self.weights[place]
            found = torch.where(beside[:, place], together, other)
            own = weights[:, column] if self.rule != "balanced" else found
            weights[:, column] = torch.where(alone[:, place], exclusive, own)
        return weights
