"""ShortcutProbe: learn the shortcut part of features, then refit the head to do without it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError, check_at_least, check_between, check_positive
from debias.heads.linear import FittedHeads, Heads, Rows, worst_group_accuracies

#: Added to the denominator of the ratio, as in the authors' code.
EPSILON = 1e-10


class Probed(NamedTuple):
    """The samples that a model is sure of: rightly, or wrongly.

    Attributes:
        right: ``(K,)`` int64 rows of low loss.
        wrong: ``(K,)`` int64 rows of high loss.
    """

    right: Tensor
    wrong: Tensor


@dataclass(frozen=True)
class ProbeSettings:
    r"""Settings of ShortcutProbe. Both descents use momentum 0.9.

    Args:
        size: number of vectors m of the shortcut basis, at least 1.
        confident: share r of a class among the sure samples of each kind, in [0, 0.5]. 0 takes all
            right and all wrong samples.
        length: weight :math:`\eta \ge 0` of the length of the shortcut part.
        unfit: weight :math:`\lambda > 0` of the ratio.
        epochs: epochs of each descent, at least 1.
        basis_rate: learning rate of the basis.
        learning_rate: learning rate of the head.
        weight_decay: weight decay of both, at least 0.
        batch_size: pairs of samples per step of the head; half as many of the basis.

    Raises:
        ValueError: a setting is out of range.
    """

    size: int = 2
    confident: float = 0.3
    length: float = 5.0
    unfit: float = 5.0
    epochs: int = 50
    basis_rate: float = 1e-4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_at_least(1, {"size": self.size, "epochs": self.epochs}, of="ShortcutProbe")
        check_at_least(2, {"batch_size": self.batch_size}, of="ShortcutProbe")
        least = {"length": self.length, "weight_decay": self.weight_decay}
        check_at_least(0, least, of="ShortcutProbe")
        rates = {"basis_rate": self.basis_rate, "learning_rate": self.learning_rate}
        check_positive(rates | {"unfit": self.unfit}, of="ShortcutProbe")
        check_between("[0, 0.5]", {"confident": self.confident}, of="ShortcutProbe")


def probed(logits: Tensor, target: Tensor, *, confident: float = 0.3) -> Probed:
    """Choose the samples that a model is most sure of, among those of low and of high loss.

    Of each class, the half of lower loss and the half of higher loss each give the samples of
    lowest entropy, a share ``confident`` of the class. With a share of 0, these are instead all
    samples that are classified rightly, and all others.

    Source: Zheng et al., "ShortcutProbe: Probing Prediction Shortcuts for Learning Robust Models",
    IJCAI 2025; reference code gtzheng/ShortcutProbe.

    Args:
        logits: ``(N, C)`` float.
        target: ``(N,)`` int64 class.
        confident: in [0, 0.5].

    Returns:
        Rows of both kinds, class by class.
    """
    logits = logits.double()
    if confident == 0:
        correct = logits.argmax(dim=1) == target
        return Probed(correct.nonzero().flatten(), (~correct).nonzero().flatten())
    losses = F.cross_entropy(logits, target, reduction="none")
    entropy = -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)
    right: list[Tensor] = []
    wrong: list[Tensor] = []
    for one in torch.unique(target).tolist():
        rows = (target == one).nonzero().flatten()
        rows, half = rows[losses[rows].argsort(stable=True)], len(rows) // 2
        for kind, part in ((right, rows[:half]), (wrong, rows[len(rows) - half :])):
            kind.append(part[entropy[part].argsort(stable=True)[: int(confident * len(rows))]])
    return Probed(torch.cat(right), torch.cat(wrong))


def shortcut_part(features: Tensor, basis: Tensor) -> Tensor:
    r"""The part of features that a basis of shortcuts expresses.

    .. math:: v(z) = V^\top (V V^\top + \mathbf 1)^{-1} V z

    :math:`\mathbf 1` is the matrix of ones, as in the authors' code.

    Args:
        features: ``(N, D)`` float.
        basis: ``(m, D)`` float, V.

    Returns:
        ``(N, D)``, linear in the features, in the span of the basis.

    Example:
        >>> shortcut_part(torch.tensor([[4.0, 7.0]]), torch.tensor([[1.0, 0.0]])).tolist()
        [[2.0, 0.0]]
    """
    coefficients = torch.linalg.solve(basis @ basis.T + 1, basis @ features.T)
    part: Tensor = coefficients.T @ basis
    return part


def basis_loss(
    features: Tensor, predicted: Tensor, basis: Tensor, head: Heads, *, length: float
) -> Tensor:
    r"""The loss of the basis: the shortcut part alone must give the model's predictions.

    .. math:: \operatorname{mean}_i \mathrm{CE}(h(v(z_i)), c_i)
              + \eta \operatorname{mean}_i \|v(z_i)\|

    Args:
        features: ``(N, D)`` float.
        predicted: ``(N,)`` int64 class c that the head predicts, rightly or wrongly.
        basis: ``(m, D)`` float.
        head: the single head of the model.
        length: :math:`\eta`.

    Returns:
        Scalar.
    """
    part = shortcut_part(features, basis)
    lengths: Tensor = part.norm(dim=1)
    return F.cross_entropy(head.logits(part)[0], predicted) + length * lengths.mean()


def unfit_loss(
    rows: Rows, explained: Tensor, basis: Tensor, weights: Tensor, bias: Tensor, *, unfit: float
) -> Tensor:
    r"""The loss of the head: fit the classes, but not from the shortcut part.

    .. math:: \lambda\, \frac{\operatorname{mean}_i \mathrm{CE}(h(z_i), y_i)}
              {\operatorname{mean}_i \mathrm{CE}(h(v(z_i)), c_i) + 10^{-10}}

    Args:
        rows: features and classes.
        explained: ``(N,)`` int64 class c that the shortcut part explains: the prediction of the
            first model for a wrong sample, and the class for a right one.
        basis: ``(m, D)`` float, fixed.
        weights: ``(C, D)`` float weights of the head.
        bias: ``(C,)`` float.
        unfit: :math:`\lambda`.

    Returns:
        Scalar.
    """
    whole = F.cross_entropy(F.linear(rows.features, weights, bias), rows.target)
    part = F.linear(shortcut_part(rows.features, basis), weights, bias)
    ratio: Tensor = unfit * whole / (F.cross_entropy(part, explained) + EPSILON)
    return ratio


def shortcut_head(
    fitting: Rows,
    held_out: Rows,
    start: Heads,
    generator: torch.Generator,
    *,
    settings: ProbeSettings,
) -> FittedHeads:
    """ShortcutProbe: learn a basis of shortcuts from sure samples, and refit the head against it.

    1. :func:`probed` chooses sure samples, rightly and wrongly classified.
    2. The basis descends :func:`basis_loss`. A step sees wrong samples of random classes, each with
       a right sample of the class that it was predicted as. The basis of the epoch is kept whose
       shortcut part alone classifies most held-out rows rightly.
    3. The head descends :func:`unfit_loss`. A step sees random wrong samples, each with a right
       sample of its class. The epoch with the best worst group of the held-out rows is kept.

    Source: Zheng et al., "ShortcutProbe: Probing Prediction Shortcuts for Learning Robust Models",
    IJCAI 2025; reference code gtzheng/ShortcutProbe.

    Args:
        fitting: features and classes of rows that the model was not trained on.
        held_out: rows that select both epochs. Never the test split.
        start: the single head of the model.
        generator: source of the basis and of the samples of each step.
        settings: sizes, weights and learning rates.

    Returns:
        One head, with its score and the epoch of its selection.

    Raises:
        ValueError: no sample is sure and wrong, or a class of wrong samples, by its labels or its
            predictions, has no right sample.

    Differs from the reference: unused terms of the code are left out. There, the test split is
    evaluated after every epoch, and one head per selection rule is reported.
    """
    fitting, held_out = (
        rows._replace(features=rows.features.to(start.weights)) for rows in (fitting, held_out)
    )
    logits = start.logits(fitting.features)[0]
    predicted, sure = (
        logits.argmax(dim=1),
        probed(logits, fitting.target, confident=settings.confident),
    )
    _check_pairs(sure, fitting.target, predicted)
    steps = (len(sure.right) + len(sure.wrong)) // settings.batch_size + 1
    search = _Search(fitting, held_out, sure, predicted, steps, generator, settings)
    return search.head(search.basis(start), start)


@dataclass(frozen=True)
class _Search:
    """The two descents of :func:`shortcut_head`."""

    fitting: Rows
    held_out: Rows
    sure: Probed
    predicted: Tensor
    steps: int
    generator: torch.Generator
    settings: ProbeSettings

    def basis(self, start: Heads) -> Tensor:
        """The basis of the best epoch."""
        features, settings = self.fitting.features, self.settings
        drawn = torch.randn(settings.size, features.shape[1], generator=self.generator)
        basis = (drawn.to(features) * features.std(dim=0)).requires_grad_()
        optimizer = self._descent([basis], settings.basis_rate)
        best, kept = -1.0, basis.detach().clone()
        for _ in range(settings.epochs):
            for _ in range(self.steps):
                rows = torch.cat(self._opposed(settings.batch_size // 2))
                loss = basis_loss(
                    features[rows], self.predicted[rows], basis, start, length=settings.length
                )
                _step(optimizer, loss)
            part = shortcut_part(self.held_out.features, basis.detach())
            guesses = start.logits(part)[0].argmax(dim=1)
            score = float((guesses == self.held_out.target).double().mean())
            if score > best:
                best, kept = score, basis.detach().clone()
        return kept

    def head(self, basis: Tensor, start: Heads) -> FittedHeads:
        """The head of the best epoch."""
        weights, bias = (value[0].clone().requires_grad_() for value in start)
        optimizer = self._descent([weights, bias], self.settings.learning_rate)
        explained = self.predicted.clone()
        explained[self.sure.right] = self.fitting.target[self.sure.right]
        best, kept, epoch = -1.0, start, 0
        for number in range(1, self.settings.epochs + 1):
            for _ in range(self.steps):
                rows = torch.cat(self._paired(self.settings.batch_size))
                loss = unfit_loss(
                    self.fitting.take(rows), explained[rows], basis, weights, bias,
                    unfit=self.settings.unfit,
                )  # fmt: skip
                _step(optimizer, loss)
            found = Heads(weights.detach().clone()[None], bias.detach().clone()[None])
            guesses = found.logits(self.held_out.features).argmax(dim=2)
            score = float(
                worst_group_accuracies(guesses, self.held_out.target, self.held_out.group)
            )
            if score > best:
                best, kept, epoch = score, found, number
        return FittedHeads(kept, torch.tensor([best], dtype=torch.float64), torch.tensor([epoch]))

    def _descent(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        decay = self.settings.weight_decay
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)

    def _opposed(self, count: int) -> tuple[Tensor, Tensor]:
        """Right samples, and wrong ones of random classes that were predicted as theirs."""
        classes = self.fitting.target[self.sure.wrong]
        present = torch.unique(classes)
        drawn = present[torch.randint(len(present), (count,), generator=self.generator)]
        wrong = self._of(self.sure.wrong, classes, drawn)
        right = self._of(
            self.sure.right, self.fitting.target[self.sure.right], self.predicted[wrong]
        )
        return right, wrong

    def _paired(self, count: int) -> tuple[Tensor, Tensor]:
        """Random wrong samples, and right ones of their classes."""
        drawn = torch.randint(len(self.sure.wrong), (count,), generator=self.generator)
        wrong = self.sure.wrong[drawn]
        classes = self.fitting.target[self.sure.right]
        return wrong, self._of(self.sure.right, classes, self.fitting.target[wrong])

    def _of(self, rows: Tensor, label: Tensor, wanted: Tensor) -> Tensor:
        """A random row of each wanted label."""
        chances = (label[None] == wanted[:, None]).double()
        return rows[torch.multinomial(chances, 1, generator=self.generator)[:, 0]]


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _check_pairs(sure: Probed, target: Tensor, predicted: Tensor) -> None:
    needed = torch.unique(torch.cat([target[sure.wrong], predicted[sure.wrong]]))
    missing = needed[~torch.isin(needed, target[sure.right])]
    if not len(sure.wrong) or len(missing):
        raise InputError(
            f"ShortcutProbe needs samples that the model gets wrong, got {len(sure.wrong)}, and "
            f"right ones of their classes; classes without one: {missing.tolist()}. Use another "
            "value of confident, or more validation images"
        )
