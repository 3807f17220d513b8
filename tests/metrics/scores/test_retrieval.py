"""Ranked lists and slices, against the golden values and lists short enough to rank by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.metrics.scores.ranking import average_precision
from debias.metrics.scores.retrieval import (
    matched_precision,
    precision_at,
    slice_precision,
)
from tests.metrics.golden_cases import golden_file, golden_record

CASES = golden_file("group_discovery.json")


def columns(name: str, *keys: str) -> list[torch.Tensor]:
    inputs = golden_record("group_discovery.json", name)["inputs"]
    return [torch.tensor(inputs[key], dtype=torch.float64) for key in keys]


def test_a_list_ranked_by_hand() -> None:
    """Relevant at ranks 1, 3 of 4: AP = (1/1 + 2/3) / 2 = 5/6; two of three, one of the first."""
    scores, relevant = torch.tensor([0.9, 0.1, 0.5, 0.7]), torch.tensor([1, 0, 1, 0]).bool()
    assert average_precision(scores, relevant).item() == pytest.approx(5 / 6, abs=1e-12)
    assert [precision_at(scores, relevant, k).item() for k in (1, 2, 3)] == [1.0, 0.5, 2 / 3]
    assert precision_at(scores, relevant, 10) == 0.2
    assert average_precision(scores, torch.zeros(4, dtype=torch.bool)).isnan()
    assert precision_at(torch.zeros(3), torch.tensor([1, 0, 0]).bool(), 1) == 1


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=25))
def test_average_precision_is_that_of_a_loop(rows: list[tuple[int, bool]]) -> None:
    relevant, total = sum(flag for _, flag in rows), 0.0
    for level in {score for score, _ in rows}:
        above = [flag for score, flag in rows if score >= level]
        total += sum(flag for score, flag in rows if score == level) * sum(above) / len(above)
    expected = total / relevant if relevant else math.nan
    scores, flags = (torch.tensor(list(side)) for side in zip(*rows, strict=True))
    assert average_precision(scores.double(), flags).item() == pytest.approx(
        expected, abs=1e-12, nan_ok=True
    )


def test_a_short_slice_lacks_some() -> None:
    """Slice 0 holds two samples of context 1, slice 1 one of each: of k = 4, 1/2 and 1/4."""
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]])
    target, bias = torch.zeros(4, dtype=torch.long), torch.tensor([1, 1, 1, 0])
    found = slice_precision(probabilities, target, bias, bias == 1, k=4)
    assert found.tolist() == [0.5]


def test_a_slice_may_be_matched_by_a_complement() -> None:
    """The only predicted slice is everything but the true one: its complement is perfect."""
    true = torch.tensor([1, 1, 0, 0, 0, 0]).bool()
    probabilities = torch.tensor([0.1, 0.2, 0.7, 0.8, 0.9, 0.6])[:, None]
    assert matched_precision(probabilities, true[:, None]).item() == pytest.approx(2 / 6)
    assert matched_precision(probabilities, true[:, None], k=2).item() == 1


def test_without_samples_there_is_no_precision() -> None:
    """The second true slice is empty, and so is the minority of FACTS."""
    true = torch.tensor([[1, 0], [0, 0], [0, 0]]).bool()
    found = matched_precision(torch.tensor([0.4, 0.2, 0.1])[:, None], true)
    assert found[0].item() == pytest.approx(1 / 3)
    assert found[1].isnan()
    zeros = torch.zeros(4, dtype=torch.long)
    assert slice_precision(torch.rand(4, 2), zeros, zeros, zeros.bool()).shape == (0,)


def test_lists_longer_than_k_are_cut_at_ten_and_twenty_five() -> None:
    """Forty samples, the first twenty true and ranked first but for the best ten, which are not."""
    true = torch.arange(40) < 20
    probabilities = torch.linspace(0.8, 0.6, 40, dtype=torch.float64)
    probabilities[30:] += 0.3
    assert matched_precision(probabilities[:, None], true[:, None]).item() == 0
    assert matched_precision(probabilities[:, None], true[:, None], k=25).item() == 15 / 25


def test_golden_slices() -> None:
    probabilities, target, bias = columns(
        "facts_precision_at_10_slices", "slice_probs", "target", "context"
    )
    expected = CASES["facts_precision_at_10_slices"]["expected"]
    found = slice_precision(probabilities, target.long(), bias.long(), target != bias)
    assert found.tolist() == pytest.approx(
        [value for _, value in sorted(expected["per_true_slice"].items())], abs=1e-9
    )
    assert found.mean().item() == pytest.approx(expected["precision_at_10"], abs=1e-9)
