"""Complexity of a feature: in which layers a line gives it."""

import math

import pytest
import torch

from debias.metrics.leakage.complexity import feature_complexity
from tests.metrics.golden_cases import golden_record

TRAIN = torch.arange(40) % 2 == 0


def test_a_layer_that_gives_the_feature_and_one_that_knows_nothing() -> None:
    """R^2 is 1 for a linear map of the feature; a constant layer predicts the training mean, R^2 <=
    0: K = 1/2.
    """
    feature = torch.randn(40, generator=torch.Generator().manual_seed(0))
    found = feature_complexity([torch.ones(40, 2, 1), 3 * feature[:, None] - 1], feature, TRAIN)
    assert found.explained[1] == pytest.approx(1, abs=1e-9)
    assert found.explained[0] <= 1e-12
    assert found.complexity == pytest.approx(0.5, abs=1e-9)


def test_r_squared_by_hand() -> None:
    """Fitted on (0, 0) and (1, 1), asked at 0 and 1 where the feature is 0 and 2: misses 0 and 1,
    spread 2: 1/2.
    """
    layer, feature = torch.tensor([[0.0], [1.0], [0.0], [1.0]]), torch.tensor([0.0, 1.0, 0.0, 2.0])
    found = feature_complexity([layer], feature, torch.tensor([1, 1, 0, 0]).bool())
    assert found.explained[0] == pytest.approx(0.5, abs=1e-12)
    assert found.complexity == pytest.approx(0.5, abs=1e-12)


def test_what_is_undefined_is_nan() -> None:
    layer, feature = torch.ones(4, 1), torch.tensor([0.0, 1, 2, 2])
    for train in ([1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]):
        assert math.isnan(
            feature_complexity([layer], feature, torch.tensor(train).bool()).complexity
        )


def test_what_does_not_fit_is_refused() -> None:
    for layers in ([], [torch.ones(3, 1)]):
        with pytest.raises(ValueError, match="one row for each of the 4 values"):
            feature_complexity(layers, torch.ones(4), torch.ones(4).bool())


def test_golden() -> None:
    case = golden_record("representation_leakage.json", "feature_complexity_layers")
    inputs, expected = case["inputs"], case["expected"]
    layers = torch.tensor(inputs["layer_features"], dtype=torch.float64)
    feature = torch.tensor(inputs["feature"], dtype=torch.float64)
    found = feature_complexity(list(layers), feature, torch.tensor(inputs["train_mask"]).bool())
    assert found.explained == pytest.approx(expected["r2"], abs=1e-6)
    assert found.complexity == pytest.approx(expected["complexity"], abs=1e-6)
    unclipped = 1 - sum(found.explained) / len(found.explained)
    assert unclipped == pytest.approx(expected["complexity_without_clipping"], abs=1e-6)
