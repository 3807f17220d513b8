"""Probes of the bias: accuracy, information in bits, and nearest-neighbour estimates."""

import math

import pytest
import torch
from torch import Generator, Tensor

from debias.metrics.leakage.attackers import BiasRows, LogisticAttacker
from debias.metrics.leakage.probes import (
    linear_probe,
    probe_report,
    v_information,
)
from tests.metrics.golden_cases import golden_file

CASES = golden_file("representation_leakage.json")
PLAIN = LogisticAttacker(standardize=False, tolerance=1e-10)


class Fixed:
    """A probe that answers what it was told, whatever it is shown."""

    def __init__(self, *probabilities: list[float]) -> None:
        self.probabilities = torch.tensor(probabilities, dtype=torch.float64)

    def __call__(
        self, train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
    ) -> Tensor:
        return self.probabilities


def rows(bias: list[int]) -> BiasRows:
    return BiasRows(torch.zeros(len(bias), 1), torch.tensor(bias))


def halves(name: str) -> tuple[BiasRows, BiasRows]:
    if not CASES:
        pytest.skip("golden files are not at hand")
    inputs = CASES[name]["inputs"]
    features = torch.tensor(inputs["features"], dtype=torch.float64)
    bias = torch.tensor(inputs["bias"])
    train = torch.tensor(inputs["train_mask"]).bool()
    return BiasRows(features[train], bias[train]), BiasRows(features[~train], bias[~train])


def test_scores_of_a_known_probe() -> None:
    """Answers 0 0 1 1 of bias 0 1 1 1: 3 of 4; recalls 1 and 2/3, mean 5/6. Of three pairs (0, 1)
    all are ranked.
    """
    probe = Fixed([0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9])
    found = linear_probe(rows([0, 1]), rows([0, 1, 1, 1]), probe=probe)
    assert found == pytest.approx((0.75, 5 / 6, 1.0, 0.75))


def test_bits_of_a_known_probe() -> None:
    """Training 0 0 0 1: null -(log2 3/4 + log2 1/4) / 2. Probe 1/2, 1/8: 1 and 3 bits, mean 2."""
    null = -(math.log2(0.75) + math.log2(0.25)) / 2
    found = v_information(rows([0, 0, 0, 1]), rows([0, 1]), probe=Fixed([0.5, 0.5], [0.875, 0.125]))
    assert found == pytest.approx((null, 2.0, null - 2.0), abs=1e-12)
    certain = v_information(rows([0, 0, 0, 1]), rows([0, 1]), probe=Fixed([1.0, 0.0], [1.0, 0.0]))
    assert math.isfinite(certain.information)


def test_with_three_values_auroc_is_the_mean_of_one_against_the_rest() -> None:
    """The bias -1 is not asked. 0 and 1 rank apart from the rest, 2 half: its score is constant."""
    probe = Fixed([0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.4, 0.5, 0.1])
    found = linear_probe(rows([0, 1, 2]), rows([0, 1, -1, 2]), probe=probe)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.auroc == pytest.approx((1 + 1 + 0.5) / 3)


def test_what_is_undefined_is_nan() -> None:
    for train, test in (([0, 0], [0, 1]), ([0, 1], []), ([0, 1], [-1, -1]), ([-1, 0], [0])):
        empty = BiasRows(torch.zeros(len(test), 1), torch.tensor(test, dtype=torch.long))
        assert all(math.isnan(value) for value in linear_probe(rows(train), empty))
        assert all(math.isnan(value) for value in v_information(rows(train), empty))
    single = linear_probe(rows([0, 1]), rows([1, 1]), probe=Fixed([0.2, 0.8], [0.3, 0.7]))
    assert (single.accuracy, single.majority) == (1.0, 1.0)
    assert math.isnan(single.auroc)
    never_learnt = rows([0, 2])
    assert math.isnan(v_information(rows([0, 1]), never_learnt).information)
    assert linear_probe(rows([0, 0, 1]), never_learnt).accuracy == 0.5


def test_the_report_splits_in_halves_and_finds_what_is_there() -> None:
    generator = torch.Generator().manual_seed(0)
    bias = torch.randint(2, (400,), generator=generator)
    features = torch.randn(400, 3, generator=generator)
    features[:, 0] += 20 * bias
    found = probe_report(features, bias)
    assert found["probe/accuracy"] == found["probe/auroc"] == 1
    assert found["probe/v_information"] == pytest.approx(1, abs=0.05)
    nothing = probe_report(features[:, 1:], bias)
    assert nothing["probe/auroc"] == pytest.approx(0.5, abs=0.12)
    assert abs(nothing["probe/v_information"]) < 0.05
    assert (
        probe_report(features[:, 1:], bias)
        == nothing
        != probe_report(features[:, 1:], bias, seed=1)
    )
    assert math.isnan(probe_report(features, torch.full((400,), -1))["probe/accuracy"])


def test_golden_probe() -> None:
    train, test = halves("linear_probe_bias_leakage")
    found = linear_probe(train, test, probe=PLAIN)
    expected = CASES["linear_probe_bias_leakage"]["expected"]
    names = {"accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "auroc": "auroc"}
    for key, name in (names | {"majority": "majority_baseline"}).items():
        assert getattr(found, key) == pytest.approx(expected[name], abs=1e-4), key


def test_golden_information() -> None:
    found = v_information(*halves("v_information_linear_probe"), probe=PLAIN)
    expected = CASES["v_information_linear_probe"]["expected"]
    names = ("H_V_null_bits", "H_V_given_features_bits", "V_information_bits")
    assert list(found) == pytest.approx([expected[name] for name in names], abs=1e-4)
    assert found.conditional_entropy * math.log(2) == pytest.approx(
        expected["sklearn_log_loss_nats"], abs=1e-4
    )
