"""Feature split: half of the features learns a label without its context, the other half both."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias import processes
from debias.errors import InputError, check_at_least, check_between
from debias.losses.contexts import exclusive_entries, exclusive_weight
from debias.models.layers import layer_shape
from debias.strategies.contexts import counts_of, mean_of_entries, named_pairs
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class FeatureSplit(Strategy):
    r"""Hide the half of the features that may hold the context, where a label occurs without it.

    The features are :math:`x = [x_o, x_s]`. For a pair (b, c) and an image with b without c,

    .. math:: z_b = W_o^b x_o + W_s^b \bar x_s, \qquad
              L = \frac{1}{NL} \sum_{il} \alpha_{il}\, \mathrm{BCE}(\sigma(z_{il}), t_{il})

    with :math:`\bar x_s` the mean of :math:`x_s` over the images of the last batches in which no
    label occurs without its context. No gradient flows through it, so these images train
    :math:`W_o`, :math:`W_s` and :math:`x_o`, but not :math:`x_s`. :math:`\alpha` is
    :func:`debias.losses.contexts.exclusive_weight` there, and 1 elsewhere. All other logits are the
    usual ones, and so is evaluation. Start from a trained model: ``model.weights=RUN``, or
    ``recipe.name=contextual``.

    Source: Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome Contextual
    Bias", CVPR 2020; reference code of a replication, princetonvisualai/ContextualBias.

    Args:
        groups: the groups of the data, with several labels.
        row: ``(M, L)`` int64 target row of each label of each training image.
        model: the classifier, with a linear head.
        image: ``(1, 3, H, W)`` float, an example that gives the number of features.
        pairs: names [label, context] of each pair. ``None`` means the contexts of the data set.
        split: share of the features that are :math:`x_o`, in (0, 1).
        least_weight: smallest :math:`\alpha`: 3 on COCO-Stuff and AwA, 5 on DeepFashion.
        batches: number of batches over which :math:`x_s` is averaged, with the current one.

    Raises:
        ValueError: the data has one label per image, no pair is known or one is no pair of labels,
            ``split`` is outside (0, 1) or leaves no feature in one part, ``least_weight`` is
            negative, or ``batches`` is below 1.

    Differs from the reference: as long as there was no image for the mean, the own :math:`x_s` is
    used; there it becomes NaN.
    """

    several_labels = True
    alpha: Tensor
    sums: Tensor
    counts: Tensor
    seen: Tensor

    def __init__(
        self,
        groups: Groups,
        row: Tensor,
        model: nn.Module,
        image: Tensor,
        *,
        pairs: list[list[str]] | None = None,
        split: float = 0.5,
        least_weight: float = 3.0,
        batches: int = 10,
    ) -> None:
        super().__init__(groups)
        check_between("(0, 1)", {"split": split}, of="FeatureSplit")
        check_at_least(0, {"least_weight": least_weight}, of="FeatureSplit")
        check_at_least(1, {"batches": batches}, of="FeatureSplit")
        self.pairs = named_pairs(groups, pairs, of="feature_split")
        (features,) = layer_shape(model, None, image)
        self.own = round(split * features)
        if self.own in (0, features):
            raise InputError(
                f"strategy.split={split} leaves no feature in one part: the model has {features}"
            )
        alpha = [
            exclusive_weight(each.cooccurring, each.exclusive, least=least_weight)
            for each in counts_of(row, self.pairs)
        ]
        self.register_buffer("alpha", torch.tensor(alpha), persistent=False)
        self.register_buffer("sums", torch.zeros(batches, features - self.own))
        self.register_buffer("counts", torch.zeros(batches))
        self.register_buffer("seen", torch.tensor(0))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean weighted loss, with the split features where a label lacks its context."""
        logits, features = model(batch.image)
        exclusive, weights = self._entries(batch.target)
        hidden = self.hidden(features.detach(), ~exclusive.any(dim=1))
        head = model.get_submodule("head")
        alone = head(torch.cat((features[:, : self.own], hidden.expand(len(features), -1)), dim=1))
        entries = F.binary_cross_entropy_with_logits(
            torch.where(exclusive, alone, logits).float(), batch.target.float(), reduction="none"
        )
        return Loss(mean_of_entries(weights * entries, batch), {})

    def _entries(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, L)``: which labels lack their context in each image, and the weight of each."""
        alone = exclusive_entries(target, self.pairs)
        exclusive = torch.zeros_like(target, dtype=torch.bool)
        weights = torch.ones(target.shape, device=target.device)
        for place, pair in enumerate(self.pairs):
            exclusive[:, pair.label] |= alone[:, place]
            weights[alone[:, place], pair.label] = self.alpha[place]
        return exclusive, weights

    @torch.no_grad()
    def hidden(self, features: Tensor, usual: Tensor) -> Tensor:
        r"""The mean :math:`\bar x_s` of the last batches. In training, this batch enters first.

        Args:
            features: ``(N, D)`` float.
            usual: ``(N,)`` bool, the images in which no label lacks its context.

        Returns:
            ``(1, D_s)``, or the own ``(N, D_s)`` if no image has entered the mean yet.
        """
        shared, place = features[:, self.own :].float(), int(self.seen) % len(self.counts)
        entered = torch.cat((shared[usual].sum(dim=0), usual.sum()[None].float()))
        entered = processes.summed(entered)
        if self.training:
            self.sums[place], self.counts[place] = entered[:-1], entered[-1]
            self.seen += 1
        if float(self.counts.sum()) == 0:
            return shared.to(features.dtype)
        return (self.sums.sum(dim=0) / self.counts.sum())[None].to(features.dtype)
