"""The predictions of a split, and everything else that a family of measures may need."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.scores.ranking import log_odds
from debias.parts import Parts
from debias.reports.predictions import Predictions
from debias.types import Groups


class Evidence(NamedTuple):
    """The predictions of one split, and everything else that a family of measures may need.

    Attributes:
        predictions: predictions of one split.
        groups: names and numbering of their groups.
        train: ``(groups.count,)`` training samples of each group, or ``None``.
        parts: the objects of the run that made the predictions, with its weights loaded; ``None``
            for a file of predictions.
        split: name of the predicted split.
        elsewhere: predictions of other images, such as the validation split, on which thresholds
            and pairs of labels are chosen; or ``None``.
        scored: true if the logits are scores of a model, false if they only encode its decisions.
        progress: show progress bars.
        positive: which of two classes is the positive one; ``None`` is the second.
        attribute: position of the one bias attribute that the evidence is about, if the data have
            several.
        kept: list that keeps the features of the split for further attributes; ``None`` keeps none.
    """

    predictions: Predictions
    groups: Groups
    train: Tensor | None = None
    parts: Parts | None = None
    split: str = "test"
    elsewhere: Predictions | None = None
    scored: bool = True
    progress: bool = True
    positive: str | None = None
    attribute: int | None = None
    kept: list[Tensor] | None = None

    @property
    def facts(self) -> tuple[Tensor, Tensor, Tensor, Groups]:
        """Prediction, target, bias and groups: the arguments of most measures."""
        rows = self.predictions
        return rows.prediction(self.groups), rows.target, rows.bias, self.groups

    @property
    def probabilities(self) -> Tensor:
        """The probabilities of the predictions; see :func:`probabilities_of`."""
        return probabilities_of(self.predictions, self.groups)

    @property
    def ranked(self) -> Tensor:
        """``(N, outputs)`` float64 scores to rank images by: given probabilities, or log-odds."""
        rows, given = self.predictions.logits.double(), self.predictions.probabilities
        if given is not None:
            return given
        return rows if self.groups.multi_label else log_odds(rows)

    @property
    def positive_last(self) -> Evidence:
        """The same evidence with the positive class second of two, as the measures expect it."""
        groups, rows = self.groups, self.predictions
        if self.positive in (None, groups.target_names[-1]):
            return self
        given = rows.probabilities
        swapped = replace(
            rows,
            target=1 - rows.target,
            logits=rows.logits.flip(1),
            probabilities=None if given is None else given.flip(1),
        )
        groups = Groups(groups.target_names[::-1], groups.bias_names)
        return self._replace(predictions=swapped, groups=groups, positive=None)

    @property
    def facts_positive_last(self) -> tuple[Tensor, Tensor, Tensor, Groups]:
        """The facts of :attr:`positive_last`. An image whose scores tie keeps its decision."""
        ordered = self.positive_last
        decided = self.facts[0]
        return (decided if ordered is self else 1 - decided, *ordered.facts[1:])

    def of_attribute(self, position: int) -> Evidence:
        """The evidence about one of several bias attributes, by its position."""
        rows, others = (
            each and replace(each, bias=self.groups.decode(each.bias)[:, position])
            for each in (self.predictions, self.elsewhere)
        )
        assert rows is not None
        train = None if self.train is None else self.groups.marginal(self.train, position)
        groups = self.groups.alone(position)
        own = self._replace(predictions=rows, elsewhere=others, groups=groups, train=train)
        return own._replace(attribute=position)

    @property
    def run(self) -> Parts:
        """The objects of the run; only for families that need a run, for which ``parts`` is set."""
        assert self.parts is not None
        return self.parts


def probabilities_of(predictions: Predictions, groups: Groups) -> Tensor:
    """``(N, outputs)`` float64 probabilities of predictions: those of a file, or of the logits."""
    if predictions.probabilities is not None:
        return predictions.probabilities
    logits = predictions.logits.to(torch.float64)
    return logits.sigmoid() if groups.multi_label else logits.softmax(dim=1)
