"""Leakage that a model adds to that of labels with as many errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from debias.metrics.leakage.amplification import (
    label_vectors,
    labels_at_f1,
    leakage_amplification,
    leakage_report,
    macro_f1,
)
from debias.metrics.leakage.attackers import BiasRows, LogisticAttacker
from debias.metrics.leakage.features import attacker_accuracy, leakage
from debias.types import Groups
from tests.metrics.golden_cases import golden_record

PAIR = Groups(("no a", "a", "no b", "b"), ("x", "y"), multi_label=True)
FOUR = Groups(("0", "1", "2", "3"), ("x", "y"))


def labelled(size: int, groups: Groups) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and a bias that has nothing to do with them."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, 2) if groups.multi_label else (size,)
    target = torch.randint(2 if groups.multi_label else 4, shape, generator=generator)
    return target, torch.randint(2, (size,), generator=generator)


def flipped(target: torch.Tensor, groups: Groups, wrong: torch.Tensor) -> torch.Tensor:
    """Logits of a model that is wrong where it is told."""
    chosen = (target ^ wrong[:, None]) if groups.multi_label else (target + wrong) % 4
    return 2.0 * label_vectors(chosen, groups) - 1


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=3, max_size=3),
        min_size=1,
    )
)
def test_macro_f1_is_that_of_scikit_learn_but_for_empty_columns(
    rows: list[list[tuple[int, int]]],
) -> None:
    values = torch.tensor(rows)
    prediction, labels = values.unbind(dim=2)
    columns = [j for j in range(3) if prediction[:, j].any() or labels[:, j].any()]
    scores = [f1_score(labels[:, j], prediction[:, j]) for j in columns]
    expected = sum(scores) / len(scores) if scores else math.nan
    assert macro_f1(prediction, labels) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("groups", [PAIR, FOUR], ids=["multi-label", "classes"])
@pytest.mark.parametrize("f1", [1.0, 0.9, 0.7])
def test_labels_are_flipped_until_their_f1_is_the_one_asked_for(groups: Groups, f1: float) -> None:
    labels = label_vectors(labelled(1000, groups)[0], groups)
    found = labels_at_f1(labels, f1, groups, torch.Generator().manual_seed(1))
    assert macro_f1(found, labels) == pytest.approx(f1, abs=2e-3)
    assert set(found.unique().tolist()) == {0, 1}
    if not groups.multi_label:
        assert found.sum(dim=1).eq(1).all()


def test_a_class_becomes_each_other_one_equally_often() -> None:
    """A quarter of 8000 right, each other class a quarter: four deviations are 4 * sqrt(8000 * 3 /
    16) = 155.
    """
    labels = torch.nn.functional.one_hot(torch.full((8000,), 2), 4)
    labels[:4] = torch.eye(4, dtype=torch.long)
    found = labels_at_f1(labels, 0.0, FOUR, torch.Generator().manual_seed(1))
    assert (found.sum(dim=0) - 2000).abs().max() < 155


def test_samples_of_unknown_bias_count_nowhere() -> None:
    """The forty first are all wrong and of unknown bias; those that remain are all right."""
    target, bias = labelled(240, FOUR)
    bias[:40] = -1
    found = leakage_amplification(flipped(target, FOUR, bias < 0), target, bias, FOUR, rounds=1)
    rest = leakage_amplification(
        flipped(target, FOUR, bias < 0)[40:], target[40:], bias[40:], FOUR, rounds=1
    )
    assert found == rest


@pytest.mark.parametrize(
    ("groups", "noise"), [(PAIR, 0.5), (FOUR, 0.25)], ids=["multi-label", "classes"]
)
def test_no_more_than_noise_is_made(groups: Groups, noise: float) -> None:
    """Half of the entries, three quarters of the classes: then labels and truth are independent."""
    labels = label_vectors(labelled(4000, groups)[0], groups)
    found = labels_at_f1(labels, 0.0, groups, torch.Generator().manual_seed(1))
    assert macro_f1(found, labels) == pytest.approx(noise, abs=0.03)


@pytest.mark.parametrize("groups", [PAIR, FOUR], ids=["multi-label", "classes"])
def test_errors_at_random_amplify_nothing_and_errors_by_bias_do(groups: Groups) -> None:
    """A quarter is wrong, anywhere; or half of the answers of bias 1 are the first class, or no
    label at all.

    Of 1000 rows asked in each of three rounds a coin's deviation is at most 0.016, and the fold
    adds little.
    """
    target, bias = labelled(4000, groups)
    chance = torch.rand(4000, generator=torch.Generator().manual_seed(2))
    blind = leakage_amplification(
        flipped(target, groups, chance < 0.25), target, bias, groups, rounds=3
    )
    assert abs(blind.amplification) < 0.03
    right, none = (
        2.0 * label_vectors(answer, groups) - 1 for answer in (target, torch.zeros_like(target))
    )
    biased = torch.where(((chance < 0.5) & (bias == 1))[:, None], none, right)
    found = leakage_amplification(biased, target, bias, groups, rounds=3)
    assert found.amplification > 0.06
    assert found.amplification == found.model.mean - found.dataset_at_f1.mean
    assert found.dataset.mean < 0.54


def test_labels_that_hold_the_bias_leak_less_with_errors() -> None:
    """The first label is the bias itself; flips of a quarter leave an attacker 3/4."""
    target, _ = labelled(4000, PAIR)
    generator = torch.Generator().manual_seed(3)
    logits = flipped(target, PAIR, torch.rand(4000, generator=generator) < 0.25)
    found = leakage_amplification(logits, target, target[:, 0], PAIR, rounds=3)
    assert found.dataset.mean == 1
    assert found.dataset_at_f1.mean == pytest.approx(0.75, abs=0.04)
    # both labels are wrong together, so the model's second label does not help either
    assert found.model.mean == pytest.approx(0.75, abs=0.04)


def test_the_report_is_finite_and_undefined_without_bias() -> None:
    target, bias = labelled(60, FOUR)
    logits = flipped(target, FOUR, bias)
    found = leakage_report(logits, target, bias, FOUR, rounds=2)
    assert all(math.isfinite(value) for value in found.values())
    assert leakage_report(logits, target, bias, FOUR, rounds=2) == found
    unknown = leakage_report(logits, target, torch.full((60,), -1), FOUR, rounds=2)
    assert all(math.isnan(value) for value in unknown.values())


def test_golden() -> None:
    case = golden_record("representation_leakage.json", "leakage_wang2019_plugin")
    gender = torch.tensor(case["inputs"]["gender"])
    train = torch.tensor(case["inputs"]["train_mask"]).bool()
    found = {}
    for name in ("labels", "noisy_labels_at_same_f1", "model_preds"):
        vectors = torch.tensor(case["inputs"][name])
        known, asked = (
            BiasRows(vectors[train], gender[train]),
            BiasRows(vectors[~train], gender[~train]),
        )
        attacker = LogisticAttacker(strength=1e6, standardize=False)
        found[name] = leakage(
            attacker_accuracy(known, asked, asked, attacker=attacker, generator=torch.Generator())
        )
    expected = case["expected"]
    assert found["labels"] == pytest.approx(expected["dataset_leakage"], abs=case["tolerance"])
    assert found["noisy_labels_at_same_f1"] == pytest.approx(
        expected["dataset_leakage_at_f1"], abs=case["tolerance"]
    )
    assert found["model_preds"] == pytest.approx(expected["model_leakage"], abs=case["tolerance"])
    difference = found["model_preds"] - found["noisy_labels_at_same_f1"]
    assert difference == pytest.approx(expected["bias_amplification_delta"], abs=case["tolerance"])
    labels = torch.tensor(case["inputs"]["labels"])
    for name, key in (("model_preds", "model"), ("noisy_labels_at_same_f1", "noisy_labels")):
        f1 = macro_f1(torch.tensor(case["inputs"][name]), labels)
        assert f1 == pytest.approx(case["params"][f"macro_f1_of_{key}"], abs=1e-12)
