"""What guesses the bias from a model's outputs: a logistic regression, a perceptron."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor, nn


class Rows(NamedTuple):
    """``(N, D)`` float features and the ``(N,)`` int64 bias of the same samples, in [0, K)."""

    features: Tensor
    bias: Tensor


class Attacker(Protocol):
    """Learns the bias from features, anew at each call."""

    def __call__(
        self, train: Rows, validation: Rows, features: Tensor, generator: Generator
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
        self, train: Rows, validation: Rows, features: Tensor, generator: Generator
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


@dataclass(frozen=True)
class MLPAttacker:
    """The published attacker: three hidden layers, of which the epoch that is best on the
    validation rows is kept.

    BatchNorm of the features, three times (Linear, BatchNorm, LeakyReLU), Linear; Adam on the
    cross-entropy. The defaults are the published ones.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019,
    uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        width: units of each hidden layer.
        epochs: passes over the training rows.
        batch_size: rows of a step.
        learning_rate, weight_decay: of Adam.

    Differs from the reference: a last batch of a single row is skipped, for BatchNorm has no
    variance of it.
    """

    width: int = 300
    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 5e-5
    weight_decay: float = 1e-5

    def __call__(
        self, train: Rows, validation: Rows, features: Tensor, generator: Generator
    ) -> Tensor:
        """As :class:`Attacker`; it works on the device of the features."""
        network = self._network(train.features.shape[1], int(train.bias.max()) + 1, generator)
        network.to(train.features.device).load_state_dict(
            self._best(network, train, validation, generator)
        )
        with torch.no_grad():
            logits: Tensor = network.eval()(features.float())
        return logits.double().softmax(dim=1).cpu()

    def _best(
        self, network: nn.Module, train: Rows, validation: Rows, generator: Generator
    ) -> Mapping[str, Tensor]:
        """State of the first epoch that reaches the best accuracy on the validation rows."""
        network.to(train.features.device)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        best, kept = -1.0, {}
        for _ in range(self.epochs):
            self._epoch(network, optimizer, train, generator)
            with torch.no_grad():
                accuracy = share_right(network.eval()(validation.features.float()), validation.bias)
            if accuracy > best:
                best, kept = (
                    accuracy,
                    {name: value.clone() for name, value in network.state_dict().items()},
                )
        return kept

    def _epoch(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        train: Rows,
        generator: Generator,
    ) -> None:
        network.train()
        for rows in torch.split(
            torch.randperm(len(train.bias), generator=generator), self.batch_size
        ):
            if len(rows) > 1:
                rows = rows.to(train.bias.device)
                logits = network(train.features[rows].float())
                optimizer.zero_grad()
                torch.autograd.backward(nn.functional.cross_entropy(logits, train.bias[rows]))
                optimizer.step()

    def _network(self, inputs: int, values: int, generator: Generator) -> nn.Sequential:
        layers: list[nn.Module] = [nn.BatchNorm1d(inputs)]
        for width in (inputs, self.width, self.width):
            layers += [
                _linear(width, self.width, generator),
                nn.BatchNorm1d(self.width),
                nn.LeakyReLU(),
            ]
        return nn.Sequential(*layers, _linear(self.width, values, generator))


ATTACKERS: Mapping[str, Attacker] = {"logistic": LogisticAttacker(), "mlp": MLPAttacker()}


def share_right(scores: Tensor, bias: Tensor) -> float:
    """Accuracy in [0, 1] of the greatest of ``(N, K)`` scores; NaN without rows."""
    return (scores.argmax(dim=1) == bias).double().mean().item()


def _linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    """Torch's own initialisation, from a generator of one's own."""
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(inputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


def _array(features: Tensor) -> object:
    return features.detach().double().cpu().numpy()
