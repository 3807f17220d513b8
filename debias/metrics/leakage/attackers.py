"""Attackers, which predict the bias from features or outputs: a logistic regression."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor


class BiasRows(NamedTuple):
    """``(N, D)`` float features and ``(N,)`` int64 bias values, in [0, K), of the same samples."""

    features: Tensor
    bias: Tensor


class Attacker(Protocol):
    """A function that learns the bias from features; each call learns from scratch."""

    def __call__(
        self, train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
    ) -> Tensor:
        """Learn from some rows, and predict probabilities of the bias values for others.

        Args:
            train: rows to learn from, with at least two bias values.
            validation: rows for early stopping or model selection; an attacker may ignore them.
            features: ``(M, D)`` features of the rows to predict.
            generator: the only source of randomness, on the CPU.

        Returns:
            ``(M, K)`` float64 on the CPU, with K - 1 the largest bias value in ``train``. A value
            that ``train`` lacks has probability 0.
        """
        ...


@dataclass(frozen=True)
class LogisticAttacker:
    r"""An attacker by logistic regression in float64; it is deterministic.

    .. math:: \min_{w, b} \tfrac{1}{2} \|w\|^2 + C \sum_i \mathrm{CE}(w^\top z_i + b, a_i)

    with features z standardised by the training rows' mean and standard deviation, and a the bias.

    Source: scikit-learn's ``LogisticRegression`` (solver lbfgs), which is used.

    Args:
        strength: C, the inverse of the strength of the penalty.
        standardize: whether to standardise the features; a constant feature is only centred.
        tolerance: the solver stops when the largest gradient is at most this.
    """

    strength: float = 1.0
    standardize: bool = True
    tolerance: float = 1e-6

    def __call__(
        self, train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
    ) -> Tensor:
        """Fit and predict as in :class:`Attacker`, without ``validation`` and ``generator``."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        regression = LogisticRegression(C=self.strength, tol=self.tolerance, max_iter=10_000)
        steps = (StandardScaler(), regression) if self.standardize else (regression,)
        fitted = make_pipeline(*steps).fit(_array(train.features), train.bias.cpu().numpy())
        predicted = torch.from_numpy(fitted.predict_proba(_array(features)))
        probabilities = predicted.new_zeros(len(predicted), int(train.bias.max()) + 1)
        probabilities[:, torch.from_numpy(fitted.classes_)] = predicted
        return probabilities


LOGISTIC = LogisticAttacker()


def share_right(scores: Tensor, bias: Tensor) -> float:
    """Accuracy of predicting the bias by the highest of ``(N, K)`` scores; NaN without rows."""
    return (scores.argmax(dim=1) == bias).double().mean().item()


def _array(features: Tensor) -> object:
    return features.detach().double().cpu().numpy()
