"""Other last layers: a single logit, prototypes, additive energies, concepts, and text embeddings.

A :class:`debias.models.classifier.Classifier` has such a head in place of its ``nn.Linear``. The
names in a state dict say which head it belongs to, so loading the state dict also makes the head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.projection import ProjectedHead, head_of_state


class OneLogit(nn.Linear):
    """A head for two classes with a single score z, which gives the logits -z/2 and z/2.

    The softmax of these logits is the sigmoid of z, so that cross-entropy is binary cross-entropy.
    Copies of the network have a single score too. A linear layer that is fitted in its place has
    two logits.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features, 1)
        self.out_features = 2

    def forward(self, features: Tensor) -> Tensor:
        """``(N, 2)`` logits of ``(N, D)`` features."""
        half = super().forward(features) / 2
        return torch.cat([-half, half], dim=1)


@torch.no_grad()
def linear_layer(head: nn.Module) -> nn.Module:
    """The head itself, or in place of a :class:`OneLogit` the linear layer of the same logits.

    Example:
        >>> head = OneLogit(1)
        >>> _ = nn.init.constant_(head.weight, 3.0), nn.init.constant_(head.bias, 1.0)
        >>> linear_layer(head).weight.tolist(), linear_layer(head).bias.tolist()
        ([[-1.5], [1.5]], [-0.5, 0.5])
    """
    if not isinstance(head, OneLogit):
        return head
    two = nn.Linear(head.in_features, 2).to(head.weight)
    for own, single in zip(two.parameters(), head.parameters(), strict=True):
        own.copy_(torch.cat([-single, single]) / 2)
    return two


class FittedHead(nn.Module):
    """Base class of last layers that are made of fitted tensors.

    Attributes:
        names: names of the tensors, in the order of the constructor's arguments.
    """

    names: ClassVar[tuple[str, ...]] = ()

    @property
    def in_features(self) -> int:
        """Number of features D."""
        raise NotImplementedError

    @property
    def out_features(self) -> int:
        """Number of classes C."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw all weights from a normal distribution of deviation :math:`1/\\sqrt{D}`."""
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=1 / math.sqrt(self.in_features))

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C)`` logits, such as log-probabilities, of ``(N, D)`` features."""
        raise NotImplementedError


class PrototypeEnsemble(FittedHead):
    r"""The head of DPE: the mean of the class probabilities of T heads of prototypes.

    .. math:: f = \log \frac{1}{T} \sum_t \mathrm{softmax}(f^t)

    :math:`f^t` are the :func:`prototype_logits` of member t.

    Source: To et al., "Diverse Prototypical Ensembles Improve Robustness to Subpopulation Shift",
    ICML 2025.

    Args:
        prototypes: ``(T, C, D)`` float.
        scales: ``(T,)`` float.
    """

    names = ("prototypes", "scales")

    def __init__(self, prototypes: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.prototypes, self.scales = nn.Parameter(prototypes), nn.Parameter(scales)

    @property
    def in_features(self) -> int:
        """Number of features D."""
        return self.prototypes.shape[2]

    @property
    def out_features(self) -> int:
        """Number of classes C."""
        return self.prototypes.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C)`` log-probabilities of ``(N, D)`` features."""
        directions = centred_directions(features)
        members = prototype_logits(directions, self.prototypes, self.scales).log_softmax(dim=2)
        return members.logsumexp(dim=0) - math.log(len(self.scales))


def centred_directions(features: Tensor) -> Tensor:
    """``(N, D)`` features, each less its own mean and divided by its norm.

    DPE also divides by the standard deviation of the vector, which its norm then cancels.
    """
    return F.normalize(features - features.mean(dim=1, keepdim=True), dim=1)


def prototype_logits(directions: Tensor, prototypes: Tensor, scales: Tensor) -> Tensor:
    r"""Negative distances on the unit sphere to the prototypes of H heads (IsoMax+).

    .. math:: f_{hik} = -|s_h|\, \Big\| z_i - \frac{p_{hk}}{\|p_{hk}\|} \Big\|
              = -|s_h| \sqrt{2 - 2 \cos(z_i, p_{hk})}

    Source: Macêdo et al., "Enhanced Isotropy Maximization Loss", 2021, as used by DPE.

    Args:
        directions: ``(N, D)`` float unit vectors.
        prototypes: ``(H, C, D)`` float.
        scales: ``(H,)`` float.

    Returns:
        ``(H, N, C)`` logits. At a distance of 0 the gradient is 0.

    Example:
        >>> directions = torch.tensor([[1.0, 0.0]])
        >>> prototypes = torch.tensor([[[3.0, 0.0], [-1.0, 0.0]]])
        >>> prototype_logits(directions, prototypes, torch.tensor([2.0])).tolist()
        [[[-0.0, -4.0]]]
    """
    cosines = F.normalize(prototypes, dim=2).flatten(0, 1) @ directions.T
    squares = (2 - 2 * cosines).view(*prototypes.shape[:2], -1).transpose(1, 2)
    apart = squares > 0
    distances = torch.where(apart, squares, 1.0).sqrt() * apart
    return -scales.abs()[:, None, None] * distances


class AdditiveEnergies(FittedHead):
    r"""The head of CRM: energies of class and bias that add up, summed over the bias.

    .. math:: f_y = \log \sum_b \mathrm{softmax}(-E - o)_{yb}, \qquad
              E_{yb} = u_y^\top z + v_b^\top z

    The softmax goes over all C x B cells, as if all were equally frequent.

    Source: Mahajan et al., "Compositional Risk Minimization", ICML 2025.

    Args:
        weights: ``(C + B, D)`` float: the u of the classes, then the v of the bias values.
        offsets: ``(C, B)`` float, o.
    """

    names = ("weights", "offsets")

    def __init__(self, weights: Tensor, offsets: Tensor) -> None:
        super().__init__()
        self.weights, self.offsets = nn.Parameter(weights), nn.Parameter(offsets)

    @property
    def in_features(self) -> int:
        """Number of features D."""
        return self.weights.shape[1]

    @property
    def out_features(self) -> int:
        """Number of classes C."""
        return self.offsets.shape[0]

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C)`` log-probabilities of ``(N, D)`` features."""
        energies = additive_energies(features, self.weights[None], self.out_features)[0]
        cells = (-energies - self.offsets).flatten(1).log_softmax(dim=1)
        return cells.view_as(energies).logsumexp(dim=2)


def additive_energies(features: Tensor, weights: Tensor, classes: int) -> Tensor:
    r"""Energies of H heads, :math:`E_{yb} = u_y^\top z + v_b^\top z`.

    Args:
        features: ``(N, D)`` float.
        weights: ``(H, C + B, D)`` float: the u of the C classes, then the v of the B bias values.
        classes: C.

    Returns:
        ``(H, N, C, B)``.

    Example:
        >>> weights = torch.tensor([[[1.0], [2.0], [10.0], [20.0]]])
        >>> additive_energies(torch.tensor([[3.0]]), weights, 2)[0, 0]
        tensor([[33., 63.],
                [36., 66.]])
    """
    sums = (weights.flatten(0, 1) @ features.T).view(*weights.shape[:2], -1).transpose(1, 2)
    return sums[..., :classes, None] + sums[..., None, classes:]


class ConceptHead(FittedHead):
    r"""The head of KnoBo: a linear layer on the probabilities of concepts.

    .. math:: f = W\, \sigma\Big(A \frac{z}{\|z\|} + a\Big) + b

    Source: Yang et al., "A Textbook Remedy for Domain Shifts: Knowledge Priors for Medical Image
    Analysis", NeurIPS 2024.

    Args:
        concepts: ``(G, D)`` float, A: the classifiers of G concepts.
        offsets: ``(G,)`` float, a.
        weights: ``(C, G)`` float, W.
        biases: ``(C,)`` float, b.
    """

    names = ("concepts", "offsets", "weights", "biases")

    def __init__(self, concepts: Tensor, offsets: Tensor, weights: Tensor, biases: Tensor) -> None:
        super().__init__()
        self.concepts, self.offsets = nn.Parameter(concepts), nn.Parameter(offsets)
        self.weights, self.biases = nn.Parameter(weights), nn.Parameter(biases)

    @property
    def in_features(self) -> int:
        """Number of features D."""
        return self.concepts.shape[1]

    @property
    def out_features(self) -> int:
        """Number of classes C."""
        return len(self.biases)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C)`` logits of ``(N, D)`` features."""
        shown = F.linear(F.normalize(features, dim=1), self.concepts, self.offsets).sigmoid()
        return F.linear(shown, self.weights, self.biases)


class TextHead(FittedHead):
    r"""A zero-shot head: the cosine of the features to the text of each class.

    .. math:: f_c = s\, \frac{z^\top t_c}{\|z\|\, \|t_c\|}

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
    (CLIP), ICML 2021.

    Args:
        texts: ``(C, D)`` float embedding of each class.
        scale: ``()`` float, s. It is 100 in CLIP.
    """

    names = ("texts", "scale")

    def __init__(self, texts: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.texts, self.scale = nn.Parameter(texts), nn.Parameter(scale)

    @property
    def in_features(self) -> int:
        """Number of features D."""
        return self.texts.shape[1]

    @property
    def out_features(self) -> int:
        """Number of classes C."""
        return self.texts.shape[0]

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C)`` logits of ``(N, D)`` features."""
        cosines = F.normalize(features, dim=1) @ F.normalize(self.texts, dim=1).T
        return self.scale * cosines


#: The heads that a state dict can have.
HEADS: tuple[type[FittedHead], ...] = (PrototypeEnsemble, AdditiveEnergies, ConceptHead, TextHead)


def make_head_of_state(
    classifier: Any, state: Mapping[str, Tensor], prefix: str, *_: object
) -> None:
    """Give a classifier the kind of head whose tensors a state dict has.

    A hook of ``nn.Module.register_load_state_dict_pre_hook``.

    Args:
        classifier: the module with a ``head``.
        state: the state dict.
        prefix: prefix of the classifier's own names in it.
    """
    start = f"{prefix}head."
    tensors = {key.removeprefix(start): state[key] for key in state if key.startswith(start)}
    device = next(classifier.head.parameters()).device
    for kind in HEADS:
        if tensors.keys() == set(kind.names):
            classifier.head = kind(*(tensors[name].clone() for name in kind.names)).to(device)
            return
    if isinstance(classifier.head, OneLogit) and len(tensors.get("bias", ())) == 2:
        classifier.head = linear_layer(classifier.head)
    own = classifier.head
    if isinstance(own, nn.Linear) and own.bias is None and tensors.keys() == {"weight", "bias"}:
        classifier.head = nn.Linear(own.in_features, own.out_features).to(own.weight)
    head = head_of_state(tensors, isinstance(classifier.head, ProjectedHead))
    classifier.head = classifier.head if head is None else head.to(device)
