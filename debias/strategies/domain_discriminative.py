"""Domain-discriminative training: predict class and bias jointly, then sum over the bias."""

from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_one_of
from debias.losses.domain_inference import joint_score
from debias.strategies.objectives import mean_where_known, weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs

INFERENCES = ("sum", "max")


class DomainDiscriminative(Strategy):
    r"""Predict class and bias jointly; at test time sum over the bias.

    .. math:: L = \mathrm{CE}(f(x), (y, b)), \qquad
              \hat y = \arg\max_y \sum_b \frac{p(y, b \mid x)}{\pi_{yb}} \quad\text{or}\quad
              \arg\max_y \max_b \frac{p(y, b \mid x)}{\pi_{yb}}

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation.

    Args:
        groups: the groups of the data, with single-label targets.
        frequencies: ``(G,)`` number of training samples in each group.
        inference: "sum" or "max" over the bias values.
        divide_by_prior: whether :math:`\pi` is the share of each group in training, which makes all
            groups equally likely. Groups without training samples are left out. Otherwise
            :math:`\pi` is 1.

    Raises:
        ValueError: ``inference`` is unknown, or ``divide_by_prior`` is set and a class is empty.

    Differs from the reference: the prior is computed from the training split; there it is a
    constant in the code.
    """

    requires = ("bias",)
    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        frequencies: Tensor,
        *,
        inference: str = "sum",
        divide_by_prior: bool = False,
    ) -> None:
        super().__init__(groups)
        check_one_of(INFERENCES, {"inference": inference}, of="DomainDiscriminative")
        if divide_by_prior and not bool((frequencies.view(groups.rows, -1) > 0).any(dim=1).all()):
            raise InputError(
                "divide_by_prior needs a training image of known bias in every class; got "
                f"{frequencies.tolist()}: set divide_by_prior=false"
            )
        self.groups, self.greatest = groups, inference == "max"
        self.divide_by_prior = divide_by_prior
        self.corrects_prior = "group" if divide_by_prior else ""
        prior = (frequencies.float() / frequencies.sum().clamp(min=1)).log()
        self.register_buffer("log_prior", prior.view(groups.rows, groups.biases))
        self.log_prior: Tensor

    @staticmethod
    def model_outputs(groups: Groups) -> int:
        """One logit per group, in the order of ``Groups.encode``."""
        return groups.count

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean cross-entropy to the group, over the samples with a bias label."""
        group = self.groups.encode(batch.target, batch.bias)
        losses = F.cross_entropy(
            model(batch.image).logits.float(), group.clamp(min=0), reduction="none"
        )
        return Loss(mean_where_known(weighted(losses, batch), batch.bias), {})

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """One score per class: the sum or the maximum over its bias values."""
        outputs: Outputs = model(image)
        joint = outputs.logits.view(-1, self.groups.rows, self.groups.biases)
        prior = self.log_prior if self.divide_by_prior else None
        return Outputs(
            joint_score(joint, log_prior=prior, greatest=self.greatest), outputs.features
        )
