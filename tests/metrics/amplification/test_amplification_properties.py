"""Bias amplification of random inputs against exact naive loops."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from debias.metrics.accuracy.counts import joint_counts
from debias.metrics.amplification.counts import co_occurrence, co_occurrences, label_sets, one_hot
from debias.metrics.amplification.formulas import (
    attribute_to_task,
    mals,
    mals_mean,
    share_amplification,
    share_bias,
    task_to_attribute,
)
from debias.metrics.amplification.report import amplification_report, multi_attribute_report
from debias.types import Groups
from tests.metrics.amplification_cases import naive_probability, naive_sign

Pairs = list[list[Fraction | None]]
quick = settings(max_examples=40, deadline=None, derandomize=True)


def indicators(generator: torch.Generator, rows: int, columns: int) -> Tensor:
    return torch.randint(2, (rows, columns), generator=generator)


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Task, predicted task, attribute, predicted attribute, training task and attribute: few rows,
    so ties and gaps.
    """
    rows, train, tasks, attributes = (draw(st.integers(1, top)) for top in (12, 12, 3, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    sizes = (
        (rows, tasks),
        (rows, tasks),
        (rows, attributes),
        (rows, attributes),
        (train, tasks),
        (train, attributes),
    )
    return tuple(indicators(generator, *size) for size in sizes)  # type: ignore[return-value]


def agree(found: Tensor, expected: Pairs) -> None:
    numbers = [
        [float("nan") if value is None else float(value) for value in row] for row in expected
    ]
    assert torch.allclose(
        found, torch.tensor(numbers, dtype=torch.float64), atol=1e-12, rtol=0, equal_nan=True
    )


def minus(after: Fraction | None, before: Fraction | None) -> Fraction | None:
    return None if after is None or before is None else after - before


def times(sign: int | None, change: Fraction | None) -> Fraction | None:
    return None if sign is None or change is None else sign * change


def signs(task: Tensor, attribute: Tensor, tie: int) -> list[list[int | None]]:
    labelled = task.any(dim=1) | attribute.any(dim=1)
    if not labelled.any():
        return [[None] * attribute.shape[1]] * task.shape[1]
    return [[naive_sign(t, a, labelled) or tie for a in attribute.T] for t in task.T]


@quick
@given(evaluations(), st.sampled_from([0, -1]))
def test_directional_amplification_is_its_definition(facts: tuple[Tensor, ...], tie: int) -> None:
    task, predicted, attribute, guessed, train_task, train_attribute = facts
    y = signs(train_task, train_attribute, tie)
    train, labels = co_occurrence(train_task, train_attribute), co_occurrence(task, attribute)
    there: Pairs = [
        [times(y[t][a], minus(naive_probability(predicted[:, t], attribute[:, a]),
                              naive_probability(task[:, t], attribute[:, a])))
         for a in range(attribute.shape[1])] for t in range(task.shape[1])
    ]  # fmt: skip
    back: Pairs = [
        [times(y[t][a], minus(naive_probability(guessed[:, a], task[:, t]),
                              naive_probability(attribute[:, a], task[:, t])))
         for a in range(attribute.shape[1])] for t in range(task.shape[1])
    ]  # fmt: skip
    agree(attribute_to_task(co_occurrence(predicted, attribute), labels, train, tie=tie), there)
    agree(task_to_attribute(co_occurrence(task, guessed), labels, train, tie=tie), back)


def naive_shares(task: Tensor, attribute: Tensor) -> Pairs:
    counts = [[int((t & a).sum()) for a in attribute.T] for t in task.T]
    return [[Fraction(n, sum(row)) if sum(row) else None for n in row] for row in counts]


@quick
@given(evaluations())
def test_shares_are_their_definitions(facts: tuple[Tensor, ...]) -> None:
    _, predicted, _, guessed, train_task, train_attribute = facts
    after, before = naive_shares(predicted, guessed), naive_shares(train_task, train_attribute)
    even = Fraction(1, guessed.shape[1])
    pairs = [pair for rows in zip(after, before, strict=True) for pair in zip(*rows, strict=True)]
    after_counts = co_occurrence(predicted, guessed)
    before_counts = co_occurrence(train_task, train_attribute)
    grown = sum(p - b for p, b in pairs if p is not None and b is not None and b > even)
    found = mals_mean(mals(after_counts, before_counts))
    if any(p is not None and b is not None for p, b in pairs):
        assert found.item() == pytest.approx(float(grown / len(after)), abs=1e-12)
    else:
        assert found.isnan()
    if any(p is not None for p, _ in pairs):
        bias = sum(abs((p or 0) - even) for p, _ in pairs) / len(pairs)
        assert share_bias(after_counts).item() == pytest.approx(float(bias), abs=1e-12)
        if any(b is not None for _, b in pairs):
            shift = sum(abs((p or 0) - (b or 0)) for p, b in pairs) / len(pairs)
            assert share_amplification(after_counts, before_counts).item() == pytest.approx(
                float(shift), abs=1e-12
            )


@quick
@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 30), st.booleans(), st.integers(0, 2**31)
)
def test_the_shared_table_gives_the_counts_of_the_indicators(
    rows: int, biases: int, samples: int, multi: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = Groups(
        tuple(f"row{row}" for row in range(2 * rows)),
        tuple(map(str, range(biases))),
        multi_label=multi,
    )
    shape = (2, samples, rows) if multi else (2, samples)
    target, prediction = torch.randint(2 if multi else 2 * rows, shape, generator=generator)
    bias = torch.randint(-1, biases, (samples,), generator=generator)
    guessed = torch.where(bias < 0, -1, torch.randint(biases, (samples,), generator=generator))
    tables = [joint_counts(prediction, target, column, groups) for column in (bias, guessed)]
    found = co_occurrences(tables[0], groups, tables[1])
    tasks = (
        (target, prediction)
        if multi
        else (one_hot(target, 2 * rows), one_hot(prediction, 2 * rows))
    )
    columns = [one_hot(column, biases) for column in (bias, guessed)]
    expected = [co_occurrence(task, column) for column in columns for task in tasks]
    for mine, other in zip(found, expected, strict=True):
        assert mine is not None
        assert [part.tolist() for part in mine] == [part.tolist() for part in other]


@quick
@given(st.integers(2, 4), st.integers(2, 3), st.integers(1, 40), st.integers(0, 2**31))
def test_even_single_label_data_show_no_direction(
    classes: int, biases: int, copies: int, seed: int
) -> None:
    """The blind spot: where every class has every bias as often, it is 0 whatever is predicted."""
    groups = Groups(tuple(map(str, range(classes))), tuple("abc"[:biases]))
    cells = torch.cartesian_prod(torch.arange(classes), torch.arange(biases)).repeat(copies, 1)
    prediction = torch.randint(
        classes, (len(cells),), generator=torch.Generator().manual_seed(seed)
    )
    report = amplification_report(prediction, cells[:, 0], cells[:, 1], groups)
    assert report["amplification/attribute_to_task"] == 0
    assert report["amplification/attribute_to_task_hall"] == pytest.approx(0, abs=1e-12)


@quick
@given(
    st.integers(1, 3),
    st.integers(2, 3),
    st.integers(1, 25),
    st.integers(1, 2),
    st.integers(0, 2**31),
)
def test_multi_attribute_amplification_is_its_definition(
    labels: int, biases: int, samples: int, size: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    target, prediction, train = torch.randint(2, (3, samples, labels), generator=generator)
    bias, guessed, train_bias = torch.randint(biases, (3, samples), generator=generator)
    groups = Groups(
        tuple(map(str, range(2 * labels))), tuple(map(str, range(biases))), multi_label=True
    )
    report = multi_attribute_report(
        prediction, target, bias, groups,
        train_target=train, train_bias=train_bias, predicted_bias=guessed, min_size=size,
    )  # fmt: skip
    exact = {tuple(row) for row in train.tolist() if sum(row) >= size}
    assert exact == {tuple(row) for row in label_sets(train, min_size=size).tolist()}

    def holding(rows: Tensor, wanted: tuple[int, ...]) -> Tensor:
        return torch.tensor(
            [all(h >= w for h, w in zip(row, wanted, strict=True)) for row in rows.tolist()]
        )

    there, back, shares = [], [], []
    sets = [wanted for wanted in exact if holding(target, wanted).any()]
    for wanted in sets:
        here, said, trained = (holding(rows, wanted) for rows in (target, prediction, train))
        for g in range(biases):
            there.append(
                minus(naive_probability(said, bias == g), naive_probability(here, bias == g))
            )
            back.append(
                minus(naive_probability(guessed == g, here), naive_probability(bias == g, here))
            )
            share = naive_probability(train_bias == g, trained)
            assert share is not None
            # without a prediction of the set nothing is defined, and 0 is added
            shares.append(
                (minus(naive_probability(guessed == g, said), share), share > Fraction(1, biases))
            )
    for name, values in (("multi_attribute_to_task", there), ("multi_task_to_attribute", back)):
        defined = [abs(value) for value in values if value is not None]
        expected = float(sum(defined) / len(defined)) if defined else float("nan")
        assert report[f"amplification/{name}"] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    if any(value is not None for value, _ in shares):
        total = sum(abs(value) for value, more in shares if more and value is not None)
        assert report["amplification/multi_mals"] == pytest.approx(
            float(total) / len(sets), abs=1e-12
        )
    else:
        assert report["amplification/multi_mals"] != report["amplification/multi_mals"]
