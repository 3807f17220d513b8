"""FLAC: the model's features are alike where those of a network of the bias are not."""

from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least, check_positive
from debias.losses.flac import flac_loss
from debias.models.copies import twin
from debias.strategies.biased_network import BesideBiasedNetwork
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss, Outputs


class FLAC(BesideBiasedNetwork):
    r"""Make features alike within a class where a bias network's features differ.

    The model f learns beside a frozen network B that was trained to tell the bias.

    1. In the first ``warmup`` steps B alone moves, on the cross-entropy to the bias labels; then it
       is frozen.
    2. From then on f moves on :math:`w\, \mathrm{CE}(f) + \alpha\, \mathrm{FLAC}(z_f, z_B, y)`
       (:func:`debias.losses.flac.flac_loss`), which draws together the features of a class whose
       biases differ, and apart those of different classes whose bias is one. z are features of
       length 1.

    In evaluation f stands alone. FLAC is a mean over pairs of small shares: :math:`\alpha` is in
    the hundreds or more.

    Source: Sarridis et al., "FLAC: Fairness-Aware Representation Learning by Suppressing
    Attribute-Class Associations", 2023; reference code gsarridis/FLAC.

    Args:
        groups: the groups of the data; single-label.
        frequencies: ``(groups.count,)`` training samples of each group. Groups may be empty;
            samples of unknown bias, which B does not learn from, are in none.
        model: the classifier f; B starts as its copy, with a newly drawn head for the bias.
        warmup: steps in which B is trained; at least 1. The epochs they take are to be added to the
            model's own.
        strength: :math:`\alpha \ge 0`.
        exponent: of the distances, positive; the code has 0.5 for Biased-MNIST and CelebA, and 1
            for UTKFace.
        task_weight: w >= 0; the code has 0.01 for CelebA and UTKFace.

    Raises:
        ValueError: ``warmup`` is below 1, ``exponent`` not positive, ``strength`` or
            ``task_weight`` negative, or no bias is known.

    Differs from the reference: B is trained in the same run, on the bias labels of the training
    data; there it comes from a run of its own on other data, so that the training data needs none.
    :func:`debias.losses.flac.flac_loss` takes the features of any B.
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
                "FLAC trains a network to tell the bias, and no training image has a bias label: "
                "add some"
            )
        check_at_least(1, {"warmup": warmup}, of="FLAC")
        check_positive({"exponent": exponent}, of="FLAC")
        check_at_least(0, {"strength": strength, "task_weight": task_weight}, of="FLAC")
        self.warmup, self.strength = warmup, strength
        self.exponent, self.task_weight = exponent, task_weight
        self.network = twin(model, outputs=groups.biases)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model: classify, with features that do not tell the bias."""
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
