"""Partition-and-Debias: pairs of a debiased and a biased expert per stage, and a gate (PnD)."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least, check_between, check_positive
from debias.losses.classification import classification_losses
from debias.losses.experts import successive_similarity, swap_contrast
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.sample_memory import RelativeDifficulty
from debias.models.copies import twin
from debias.models.experts import Gate, StageExperts, StageFeatures, stage_layers
from debias.models.layers import early_parameters, read_layers, unwrapped
from debias.strategies.objectives import step_key
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn


class Swaps(NamedTuple):
    """Rows of a batch: ``(A,)`` anchors, ``(A,)`` partners, and ``(A, J)`` rows for negatives."""

    anchors: Tensor
    partners: Tensor
    negatives: Tensor


class PartitionAndDebias(Strategy):
    r"""Divide several shortcuts among pairs of experts after the stages, and mix the debiased ones.

    A trunk learns the class, and a second one the shortcuts. After stage e, the convolutions of
    :class:`debias.models.experts.StageExperts` give class features :math:`c^e` and bias features
    :math:`b^e`. A debiased expert d and a biased expert h read both, and each trains its own trunk:
    :math:`o^e = d^e([c^e; \mathrm{sg}\, b^e])` and :math:`h^e([\mathrm{sg}\, c^e; b^e])`, where sg
    stops the gradient. The loss is a sum over the E stages:

    .. math:: L = \sum_e \left( \alpha\, W^e\, \mathrm{CE}(o^e, y) + \mathrm{GCE}(h^e, y) \right)
              + L_\text{sim}(h^1, \dots, h^E) + \frac{\beta}{E} \sum_e L^e_\text{swap}
              + \mathrm{CE}\Big( \sum_e g_e\, \mathrm{sg}[o^e], y \Big)

    All terms are means over the batch. :math:`W^e` is the weight of LfF
    (:class:`debias.losses.sample_memory.RelativeDifficulty`). :math:`L_\text{sim}` is
    :func:`debias.losses.experts.successive_similarity`, and :math:`L_\text{swap}` is
    :func:`debias.losses.experts.swap_contrast`. There, the positive of an anchor is d on its class
    features and a partner's bias features, and its negatives are h on other class features and its
    own bias features. g are the weights of the gate, :class:`debias.models.experts.Gate`. Its input
    has gradients, so the last term also trains the debiased experts. Evaluation uses the mixture.
    Needs no bias labels.

    The recipe ``pnd`` trains it in two stages. The model is the first trunk; its own last layer is
    not used.

    Source: Li, Vo, Nakayama, "Partition-and-Debias: Agnostic Biases Mitigation via a Mixture of
    Biases-Specific Experts", ICCV 2023; reference code Jiaxuan-Li/PnD.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier whose layers are the first trunk; the second starts as its copy.
        image: ``(1, 3, H, W)`` image of the size that the model is trained on.
        seed: seed of the run, which with the step determines the swaps.
        layers: dotted names of the layers that experts follow, in their order. ``None`` means the
            last four stages of a network of timm.
        width: number of class features and of bias features per stage, at least 4.
        squash: end each expert in a sigmoid, as the authors do. For K classes the cross-entropy is
            then at least :math:`\log(1 + (K - 1) / e)`, with e = 2.718.
        q: exponent of the generalized cross-entropy (GCE), in its scaled form, in (0, 1].
        momentum: momentum of the moving averages in W, see
            :class:`debias.losses.sample_memory.SampleMemory`.
        debiased_weight: :math:`\alpha \ge 0`.
        contrast_weight: :math:`\beta \ge 0`; 0 leaves the contrast out.
        anchors: number of anchors A in a batch of N images, at least 2, and N if the batch is
            smaller. An anchor has N // A negatives.
        sharpness: factor of the distances in the contrast, positive. With ``squash``, the contrast
            is within it of :math:`\log(1 + J)`, with J negatives per anchor.

    Raises:
        ValueError: a weight is negative, ``q`` is outside (0, 1], ``momentum`` is outside [0, 1),
            ``anchors``, ``width`` or ``sharpness`` is too small, or a layer is unknown or gives no
            maps.

    Differs from the reference: A and N are free; there they are 16 and 128. Seed and step determine
    the draws, and each process draws among its own samples. Layers after the last stage are
    computed, but not trained. With another number of stages than four, the sum has more or fewer
    terms.
    """

    single_label = True
    hard_targets = True
    smallest_batch = 2  # the experts have batch normalisation on vectors

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        image: Tensor,
        seed: int = 0,
        *,
        layers: tuple[str, ...] | None = None,
        width: int = 512,
        squash: bool = True,
        q: float = 0.7,
        momentum: float = 0.7,
        debiased_weight: float = 2.0,
        contrast_weight: float = 4.0,
        anchors: int = 16,
        sharpness: float = 0.1,
    ) -> None:
        super().__init__(groups)
        weights = {"debiased_weight": debiased_weight, "contrast_weight": contrast_weight}
        check_at_least(0, weights, of="PartitionAndDebias")
        check_at_least(2, {"anchors": anchors}, of="PartitionAndDebias")
        check_at_least(4, {"width": width}, of="PartitionAndDebias")
        check_between("(0, 1]", {"q": q}, of="PartitionAndDebias")
        check_positive({"sharpness": sharpness}, of="PartitionAndDebias")
        self.debiased_weight, self.contrast_weight = debiased_weight, contrast_weight
        self.q, self.anchors, self.sharpness, self.seed = q, anchors, sharpness, seed
        channels = stage_layers(model, layers, image)
        self.layers, outputs = list(channels), groups.outputs
        self.layer = self.layers[-1]
        trained = [early_parameters(model, layer, image) for layer in channels]
        self.trunk = list(dict.fromkeys(name for names in trained for name in names))
        self.network = twin(model)
        self.experts = nn.ModuleList(
            StageExperts(each, outputs, width=width, squash=squash) for each in channels.values()
        )
        self.gate = Gate(len(channels), outputs)
        self.difficulty = nn.ModuleList(
            RelativeDifficulty(samples, groups.rows, momentum=momentum) for _ in channels
        )

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """One player: both trunks up to the last stage, the experts and the gate."""
        trunks = (unwrapped(model), self.network)
        shared = [trunk.get_parameter(name) for trunk in trunks for name in self.trunk]
        return {"model": [*shared, *self.experts.parameters(), *self.gate.parameters()]}

    def begin(self, model: nn.Module, earlier: nn.Module) -> None:
        """Continue with the second trunk, experts, gate and memories of an earlier stage."""
        if isinstance(earlier, PartitionAndDebias):
            self.load_state_dict(earlier.state_dict())

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn that trains everything. Seed and step determine the swaps."""
        return (Turn("model", partial(self.objective, key=step_key(self.seed, step))),)

    def objective(self, model: nn.Module, batch: Batch, *, key: int) -> Loss:
        """The loss L.

        Args:
            model: the first trunk.
            batch: a training batch.
            key: seed of the swaps of the contrast.
        """
        features = self._features(model, batch.image)
        debiased, biased = self._debiased(features), self._biased(features)
        mixture = self.gate(debiased, debiased.detach())
        task = classification_losses(mixture, batch.target).mean()
        similarity = successive_similarity(biased)
        own, terms = self._expert_loss(debiased, biased, batch)
        total = own + similarity + task
        terms |= {"cross_entropy": task.detach(), "similarity": similarity.detach()}
        if not self.contrast_weight:
            return Loss(total, terms)
        contrast = self._contrast(features, debiased, key)
        terms["contrast"] = contrast.detach()
        weight = self.contrast_weight
        return Loss(total + weight * contrast, terms, {"contrast": weight})

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """The mixture of the debiased experts; the features are all that these experts read."""
        features = self._features(model, image)
        debiased = self._debiased(features)
        parts = [part for stage in features for part in stage]
        return Outputs(self.gate(debiased, debiased), torch.cat(parts, dim=1))

    def _features(self, model: nn.Module, image: Tensor) -> list[StageFeatures]:
        maps = zip(
            self._experts(),
            read_layers(model, self.layers, image),
            read_layers(self.network, self.layers, image),
            strict=True,
        )
        return [experts.features(*both) for experts, *both in maps]

    def _debiased(self, features: list[StageFeatures]) -> Tensor:
        pairs = zip(self._experts(), features, strict=True)
        return torch.stack([experts.debiased(*stage) for experts, stage in pairs])

    def _biased(self, features: list[StageFeatures]) -> Tensor:
        pairs = zip(self._experts(), features, strict=True)
        return torch.stack([experts.biased(*stage) for experts, stage in pairs])

    def _expert_loss(
        self, debiased: Tensor, biased: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses of both kinds of experts, summed over the stages, and their terms."""
        target, index = batch.target, batch.index
        losses = torch.stack([classification_losses(each, target) for each in debiased])
        amplified = [
            generalized_cross_entropy(each, target, q=self.q, scaled=True) for each in biased
        ]
        with torch.no_grad():
            of_bias = torch.stack([classification_losses(each, target) for each in biased])
            stages = zip(self.difficulty, of_bias, losses, strict=True)
            weights = torch.stack([memory(b, d, index, target) for memory, b, d in stages])
        own = self.debiased_weight * (weights * losses).mean(dim=1).sum()
        terms = {
            "debiased_cross_entropy": losses.mean().detach(),
            "biased_cross_entropy": of_bias.mean(),
            "sample_weight": weights.mean(),
        }
        return own + torch.stack(amplified).mean(dim=1).sum(), terms

    def _contrast(self, features: list[StageFeatures], debiased: Tensor, key: int) -> Tensor:
        """Mean over the stages of the contrast with swapped features."""
        losses = []
        for number, experts in enumerate(self._experts()):
            of_class, of_bias = features[number]
            stage_key = key * len(features) + number
            swaps = draw_swaps(len(of_class), self.anchors, key=stage_key)
            swaps = Swaps(*(rows.to(of_class.device) for rows in swaps))
            count, each = swaps.negatives.shape
            positives = experts.debiased(of_class[swaps.anchors], of_bias[swaps.partners])
            negatives = experts.biased(
                of_class[swaps.negatives.flatten()],
                of_bias[swaps.anchors].repeat_interleave(each, dim=0),
            )
            losses.append(
                swap_contrast(
                    debiased[number, swaps.anchors],
                    positives,
                    negatives.view(count, each, -1),
                    sharpness=self.sharpness,
                )
            )
        return torch.stack(losses).mean()

    def _experts(self) -> list[StageExperts]:
        return cast(list[StageExperts], list(self.experts))


def draw_swaps(count: int, anchors: int, *, key: int) -> Swaps:
    """Draw the rows of a contrast, on the CPU; the key is the seed.

    Anchors are drawn without replacement. Partners are the anchors in another order. No row is in
    two negatives.

    Args:
        count: number N of images in the batch.
        anchors: number of anchors A; N if it is larger. An anchor has N // A negatives.
        key: seed of the draw.

    Example:
        >>> [rows.shape for rows in draw_swaps(7, 3, key=0)]
        [torch.Size([3]), torch.Size([3]), torch.Size([3, 2])]
    """
    generator = torch.Generator().manual_seed(key)
    anchors = min(anchors, count)
    rows = torch.randperm(count, generator=generator)[:anchors]
    partners = rows[torch.randperm(anchors, generator=generator)]
    negatives = torch.randperm(count, generator=generator)[: count // anchors * anchors]
    return Swaps(rows, partners, negatives.view(anchors, -1))
