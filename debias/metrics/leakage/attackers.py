"""What guesses the bias from a model's outputs: a logistic regression."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor


class BiasRows(NamedTuple):
    """``(N, D)`` float features and the ``(N,)`` int64 bias of the same samples, in [0, K)."""

    features: Tensor
    bias: Tensor


class Attacker(Protocol):
    """Learns the bias from features, from the start at each call."""

    def __call__(
        self, train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
    ) -> Tensor:
        """Probabilities of the bias values.

        Args:
            train: rows to learn from; they hold at least two values of the bias.
            validation: rows to stop or choose by; one who needs none ignores them.
            features: ``(M, D)`` rows to answer for.
            generator: the only source of chance, on the CPU.

        Returns:
            ``(M, K)`` float64 on the CPU, K one more than the largest bias in ``train``; 0 for a
            value it never saw.
        """
        ...


@dataclass(frozen=True)
class LogisticAttacker:
    r"""Logistic regression in float64: the same rows give the same answer, without any chance.

    .. math:: \min_{w, b} \tfrac{1}{2} \|w\|^2 + C \sum_i \mathrm{CE}(w^\top z_i + b, a_i)

    with z standardised by the training rows' mean and deviation.

    Source: scikit-learn's ``LogisticRegression`` (solver lbfgs), which is used.

    Args:
        strength: C, the inverse of the penalty.
        standardize: whether to standardise the features; a constant one is only centred.
        tolerance: largest gradient at which the solver stops.
    """

    strength: float = 1.0
    standardize: bool = True
    tolerance: float = 1e-6

    def __call__(
        self, train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
    ) -> Tensor:
        """As :class:`Attacker`; ``validation`` and ``generator`` are not used."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        regression = LogisticRegression(C=self.strength, tol=self.tolerance, max_iter=10_000)
        steps = (StandardScaler(), regression) if self.standardize else (regression,)
        fitted = make_pipeline(*steps).fit(_array(train.features), train.bias.cpu().numpy())
        found = torch.from_numpy(fitted.predict_proba(_array(features)))
        probabilities = found.new_zeros(len(found), int(train.bias.max()) + 1)
        probabilities[:, torch.from_numpy(fitted.classes_)] = found
        return probabilities


LOGISTIC = LogisticAttacker()


def share_right(scores: Tensor, bias: Tensor) -> float:
    """Accuracy in [0, 1] of the greatest of ``(N, K)`` scores; NaN without rows."""
    return (scores.argmax(dim=1) == bias).double().mean().item()


def _array(features: Tensor) -> object:
    return features.detach().double().cpu().numpy()
