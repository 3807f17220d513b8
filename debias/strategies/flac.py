"""FLAC: make features similar where the features of a bias network differ."""

from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least, check_positive
from debias.losses.flac import flac_loss
from debias.models.copies import twin
from debias.strategies.biased_network import BesideBiasedNetwork
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss, Outputs


class FLAC(BesideBiasedNetwork):
    r"""Make features similar within a class where a bias network's features differ.

    1. In the first ``warmup`` steps, only a bias network B is trained, on the cross-entropy to the
       bias labels. Then B is frozen.
    2. After that, the model f is trained on :math:`w\, \mathrm{CE}(f) + \alpha\, \mathrm{FLAC}(z_f,
       z_B, y)` (:func:`debias.losses.flac.flac_loss`). The FLAC term pulls together features of one
       class with different biases. It pushes apart features of different classes with the same
       bias. The features z are scaled to length 1.

    Evaluation uses f alone. The FLAC term is a mean over pairs of small shares, so :math:`\alpha`
    must be in the hundreds or more.

    Source: Sarridis et al., "FLAC: Fairness-Aware Representation Learning by Suppressing
    Attribute-Class Associations", 2023; reference code gsarridis/FLAC.

    Args:
        groups: the groups of the data, with single-label targets.
        frequencies: ``(groups.count,)`` number of training samples in each group. Groups may be
            empty. Samples of unknown bias are in no group, and B does not learn from them.
        model: the classifier f; B starts as its copy, with a newly drawn head for the bias.
        warmup: number of steps that train B, at least 1. Add the epochs of these steps to the
            epochs of the model.
        strength: :math:`\alpha \ge 0`.
        exponent: exponent of the distances, positive. The code has 0.5 for Biased-MNIST and CelebA,
            and 1 for UTKFace.
        task_weight: w >= 0; the code has 0.01 for CelebA and UTKFace.

    Raises:
        ValueError: ``warmup`` is below 1, ``exponent`` is not positive, ``strength`` or
            ``task_weight`` is negative, or no training sample has a bias label.

    Differs from the reference: B is trained in the same run, on the bias labels of the training
    data. There it comes from a separate run on other data, so the training data needs no bias
    labels. :func:`debias.losses.flac.flac_loss` accepts the features of any B.
    """

    player = "bias"
    learns_bias = True
    requires = ("some bias",)
    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        frequencies: Tensor,
        model: nn.Module,
        *,
        warmup: int = 1000,
        strength: float = 1000.0,
        exponent: float = 0.5,
        task_weight: float = 1.0,
    ) -> None:
        super().__init__(groups)
        if not bool(frequencies.any()):
            raise InputError(
                "FLAC trains a network on bias labels, and no training image has a bias label: "
                "add bias labels"
            )
        check_at_least(1, {"warmup": warmup}, of="FLAC")
        check_positive({"exponent": exponent}, of="FLAC")
        check_at_least(0, {"strength": strength, "task_weight": task_weight}, of="FLAC")
        self.warmup, self.strength = warmup, strength
        self.exponent, self.task_weight = exponent, task_weight
        self.network = twin(model, outputs=groups.biases)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the model: weighted task loss plus weighted FLAC term; both terms are logged."""
        bias_features = self.biased_outputs(batch.image).features
        outputs: Outputs = model(batch.image)
        error = task_loss(outputs.logits, batch)
        directions = [
            F.normalize(features.float(), dim=1) for features in (outputs.features, bias_features)
        ]
        penalty = flac_loss(directions[0], directions[1], batch.target, exponent=self.exponent)
        terms = {"cross_entropy": error.detach(), "flac": penalty.detach()}
        total = self.task_weight * error + self.strength * penalty
        return Loss(total, terms, {"flac": self.strength})
