"""Cues, backgrounds and shortcuts: worked examples, reference results, loops, any batching."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from debias.metrics.accuracy.counts import Tally
from debias.metrics.exact_metrics import CellCounts
from debias.metrics.shortcuts.cues import (
    CueConflicts,
    cell_balanced_cues,
    conflict_scalars,
    count_conflicts,
    cue_scalars,
    cue_tally,
    map_classes,
)
from debias.metrics.shortcuts.preferences import (
    bias_classes,
    shortcut_cells,
    shortcut_report,
    shortcut_scalars,
    variant_scalars,
)
from debias.types import Groups
from tests.metrics.golden_cases import golden_record
from tests.metrics.metrics_cases import BIRDS, TRIPLE

golden = partial(golden_record, "visual_bias.json")
nan = math.nan


def floats(scalars: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in scalars.items()}


def near(expected: dict[str, float]) -> dict[str, object]:
    return {name: pytest.approx(value, abs=1e-12, nan_ok=True) for name, value in expected.items()}


# --- shape bias ---


def test_reference_shape_bias():
    case = golden("shape_bias_cue_conflict")
    inputs = [torch.tensor(case["inputs"][name]) for name in ("response", "shape", "texture")]
    found = floats(conflict_scalars(count_conflicts(*inputs)))
    for key, name in (("shape-bias", "shape_bias"), ("fraction-correct-shape", "shape_fraction")):
        assert found[name] == pytest.approx(case["expected"][key], abs=case["tolerance"])
    assert found["texture_fraction"] == pytest.approx(
        case["expected"]["fraction-correct-texture"], abs=1e-9
    )


def test_worked_shape_bias():
    """Rows (response, shape, texture): 0 0 1 by shape; 0 0 2 by shape; 1 0 1 by texture; 2 0 1 by
    neither; 1 1 1 no conflict; 0 -1 0 and 0 0 -1 unknown; -1 0 1 no class. Of 6 known, 5 conflict:
    2 by shape, 1 by texture.
    """
    rows = [
        (0, 0, 1),
        (0, 0, 2),
        (1, 0, 1),
        (2, 0, 1),
        (1, 1, 1),
        (0, -1, 0),
        (0, 0, -1),
        (-1, 0, 1),
    ]
    response, shape, texture = torch.tensor(rows).T
    counts = count_conflicts(response, shape, texture)
    assert counts == CueConflicts(*(torch.tensor(value) for value in (2, 1, 5, 6)))
    expected = {
        "shape_bias": 2 / 3,
        "shape_fraction": 2 / 6,
        "texture_fraction": 1 / 6,
        "shape_accuracy": 2 / 5,
    }
    assert floats(conflict_scalars(counts)) == near(expected)


def test_neither_cue_followed_is_undefined():
    """model-vs-human divides by zero; the fractions are 0."""
    counts = count_conflicts(torch.tensor([2, 2]), torch.tensor([0, 1]), torch.tensor([1, 0]))
    expected = {
        "shape_bias": nan,
        "shape_fraction": 0.0,
        "texture_fraction": 0.0,
        "shape_accuracy": 0.0,
    }
    assert floats(conflict_scalars(counts)) == near(expected)
    nothing = torch.zeros(0, dtype=torch.long)
    assert all(
        math.isnan(v)
        for v in floats(conflict_scalars(count_conflicts(nothing, nothing, nothing))).values()
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-1, 3)] * 3), max_size=20))
def test_shape_bias_agrees_with_a_loop(rows):
    counts = count_conflicts(*torch.tensor(rows, dtype=torch.long).view(-1, 3).T)
    known = [row for row in rows if row[1] >= 0 and row[2] >= 0]
    conflicts = [row for row in known if row[1] != row[2]]
    shape, texture = (sum(row[0] == row[cue] for row in conflicts) for cue in (1, 2))
    expected = {
        "shape_bias": shape / (shape + texture) if shape + texture else nan,
        "shape_fraction": shape / len(known) if known else nan,
        "texture_fraction": texture / len(known) if known else nan,
        "shape_accuracy": shape / len(conflicts) if conflicts else nan,
    }
    assert floats(conflict_scalars(counts)) == near(expected)


# --- cue preference ---


def test_reference_cue_preference():
    case = golden("wcst_ml_cue_accuracy")
    response = torch.tensor(case["inputs"]["response"])
    cues = torch.tensor(case["inputs"]["cue_values"])
    tally = cue_tally(response, cues, labels=case["inputs"]["num_labels"])
    found, expected = floats(cue_scalars(tally, ("0", "1", "2"))), case["expected"]
    close = {"abs": case["tolerance"]}
    assert [found[f"cue/{k}"] for k in range(3)] == pytest.approx(
        expected["accuracy_per_cue"], **close
    )
    assert [found[f"cue_balanced/{k}"] for k in range(3)] == pytest.approx(
        expected["balanced_accuracy_per_cue"], **close
    )
    assert (found["preferred_cue"], found["chance"]) == (
        expected["preferred_cue"],
        expected["chance"],
    )


def test_worked_cue_preference():
    """Rows response; colour, shape: 0; 0 1 by colour. 1; 0 1 by shape. 1; 1 0 by colour. 1; 1 1
    agree: not counted.

    Colour: 2/3, by value (1/2 + 1)/2. Shape: values 1 1 0 -> 1/3, by value 1: 1/2, 0: 0.
    """
    response, cues = torch.tensor([0, 1, 1, 1]), torch.tensor([[0, 1], [0, 1], [1, 0], [1, 1]])
    found = floats(cue_scalars(cue_tally(response, cues, labels=2), ("colour", "shape")))
    expected = {
        "cue/colour": 2 / 3,
        "cue/shape": 1 / 3,
        "cue_balanced/colour": 0.75,
        "cue_balanced/shape": 0.25,
        "preferred_cue": 0.0,
        "chance": 0.5,
    }
    assert found == near(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 3))
def test_cue_preference_is_the_accuracy_against_each_cue(seed, labels, count):
    """scikit-learn's accuracy and balanced accuracy with the cue as truth; one may be absent."""
    generator = torch.Generator().manual_seed(seed)
    cues = torch.randint(0, labels, (25, count), generator=generator)
    response = torch.randint(0, labels, (25,), generator=generator)
    off = ~(cues == cues[:, :1]).all(dim=1)
    names = tuple("abc"[:count])
    found = floats(cue_scalars(cue_tally(response, cues, labels=labels), names))
    answers = response[off].where(torch.isin(response[off], cues[off]), labels)
    for column, name in enumerate(names):
        truth = cues[off, column]
        assert found[f"cue/{name}"] == pytest.approx(accuracy_score(truth, answers))
        recalls = [
            (answers[truth == value] == value).double().mean().item() for value in truth.unique()
        ]
        assert found[f"cue_balanced/{name}"] == pytest.approx(sum(recalls) / len(recalls))
        if set(answers.tolist()) <= set(truth.tolist()):  # scikit-learn warns otherwise
            assert found[f"cue_balanced/{name}"] == pytest.approx(
                balanced_accuracy_score(truth, answers)
            )


def test_cells_of_an_uneven_test_set_count_alike():
    """Colour, shape 0, 1 three times: answers 0 0 1; 1, 0 once: answer 0; 1, 1 is left out.

    By image colour is followed in 2 of 4; by cell (2/3 + 0) / 2 = 1/3, and shape (1/3 + 1) / 2.
    """
    response = torch.tensor([0, 0, 1, 0, 1])
    cues = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 0], [1, 1]])
    assert cell_balanced_cues(response, cues).tolist() == pytest.approx([1 / 3, 2 / 3])
    assert (
        cue_scalars(cue_tally(response, cues, labels=2), ("colour", "shape"))["cue/colour"] == 0.5
    )
    even = torch.tensor([0, 3, 4])
    assert cell_balanced_cues(response[even], cues[even]).tolist() == [0.5, 0.5]
    assert cell_balanced_cues(response[4:], cues[4:]).isnan().all()


def test_an_unknown_cue_value_is_left_out_and_a_wrong_one_refused():
    cues = torch.tensor([[0, -1], [0, 1]])
    tally = cue_tally(torch.tensor([0, 0]), cues, labels=2)
    assert tally.total.tolist() == [[2, 0], [0, 1]]
    with pytest.raises(ValueError, match=r"cue value 2 is outside \[0, 2\)"):
        cue_tally(torch.tensor([0]), torch.tensor([[0, 2]]), labels=2)


def test_no_conflict_leaves_every_preference_undefined():
    found = floats(
        cue_scalars(cue_tally(torch.tensor([1]), torch.tensor([[1, 1]]), labels=2), ("a", "b"))
    )
    assert found.pop("chance") == 0.5
    assert all(math.isnan(value) for value in found.values())


# --- backgrounds ---


def test_reference_background_gap():
    case = golden("imagenet9_bg_gap")
    target = torch.tensor(case["inputs"]["target"])
    variants = case["inputs"]["preds"]
    right = torch.stack([torch.tensor(answers) == target for answers in variants.values()])
    tally = Tally(right.sum(dim=1), torch.full((len(variants),), len(target)))
    found, expected = floats(variant_scalars(tally, tuple(variants))), case["expected"]
    assert found.pop("background_gap") == pytest.approx(expected["bg_gap"], abs=case["tolerance"])
    assert found == {
        f"accuracy/{name}": pytest.approx(value) for name, value in expected["accuracy"].items()
    }


def test_reference_mapping_of_classes():
    case = golden("imagenet9_with_1000_to_9_mapping")
    mapping = torch.tensor([case["inputs"]["mapping"][str(fine)] for fine in range(20)])
    found = map_classes(torch.tensor(case["inputs"]["pred"]), mapping) == torch.tensor(
        case["inputs"]["target"]
    )
    assert found.double().mean().item() == pytest.approx(
        case["expected"]["accuracy"], abs=case["tolerance"]
    )


def test_mapping_is_looked_up_and_what_it_lacks_is_refused():
    mapping = torch.tensor([1, -1, 0])
    assert map_classes(torch.tensor([[2, 1], [0, 0]]), mapping).tolist() == [[0, -1], [1, 1]]
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"classes 0 to 2; got a prediction .*{wrong}"):
            map_classes(torch.tensor([wrong]), mapping)


def test_variants_without_the_two_have_no_gap_and_unseen_ones_are_undefined():
    found = floats(
        variant_scalars(
            Tally(torch.tensor([1, 0]), torch.tensor([2, 0])), ("only_fg", "mixed_rand")
        )
    )
    assert found == near({"accuracy/only_fg": 0.5, "accuracy/mixed_rand": nan})


# --- several shortcuts ---


def test_worked_shortcut_gaps():
    """Right of total: both common 9/10, object uncommon 8/10, background uncommon 6/10, both 3/10;
    training 90 5 4 1.

    In distribution (90 * .9 + 5 * .8 + 4 * .6 + 1 * .3) / 100 = .877; gaps .6 - .877, .8 - .877, .3
    - .877.
    """
    tally = Tally(torch.tensor([[9, 8], [6, 3]]), torch.full((2, 2), 10))
    found = floats(shortcut_scalars(tally, torch.tensor([[90, 5], [4, 1]]), ("bg", "coobj")))
    expected = {
        "in_distribution": 0.877,
        "gap/coobj": -0.077,
        "gap/bg": -0.277,
        "gap/bg+coobj": -0.577,
    }
    assert found == near(expected)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), *[st.integers(-1, 1)] * 3), max_size=40), st.integers(1, 9)
)
def test_shortcut_gaps_agree_with_a_loop(rows, size):
    frequencies = torch.arange(1, 9).view(2, 2, 2)
    cells = frequencies.shape
    metric = CellCounts(
        8,
        lambda tally: shortcut_scalars(
            Tally(*(part.view(cells) for part in tally)), frequencies, ("a", "b", "c")
        ),
    )
    table = torch.tensor(rows, dtype=torch.long).view(-1, 4)
    for part in table.split(size):
        metric.update(part[:, 0].bool(), shortcut_cells(part[:, 1:]))
    found = floats(metric.compute())
    accuracies: dict[tuple[int, ...], float] = {}
    for cell in {row[1:] for row in rows if -1 not in row[1:]}:
        answers = [row[0] for row in rows if row[1:] == cell]
        accuracies[cell] = sum(answers) / len(answers)
    weights = {cell: frequencies[cell].item() for cell in accuracies}
    average = sum(weights[cell] * value for cell, value in accuracies.items()) / (
        sum(weights.values()) or nan
    )
    assert found.pop("in_distribution") == pytest.approx(average, nan_ok=True)
    for key, value in found.items():
        names = key.removeprefix("gap/").split("+")
        cell = tuple(int(name in names) for name in "abc")
        assert value == pytest.approx(accuracies.get(cell, nan) - average, abs=1e-12, nan_ok=True)
    assert len(found) == 7


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"2 shortcuts need .* \(2, 2\); got \(2,\)"):
        shortcut_scalars(Tally(torch.zeros(2), torch.zeros(2)), torch.zeros(2, 2), ("a", "b"))


# --- the report ---


def test_shortcut_report_of_a_data_set_with_a_known_shortcut():
    """TRIPLE's shortcut is bias = class. Conflicts (prediction, target, bias): 0 0 1 target; 1 0 1
    shortcut; 2 0 1 neither; 1 2 1 shortcut; no conflict 1 1 1; unknown 0 0 -1. Preference 1/3,
    fractions 1/4 and 2/4.
    """
    rows = [(0, 0, 1), (1, 0, 1), (2, 0, 1), (1, 2, 1), (1, 1, 1), (0, 0, -1)]
    report = shortcut_report(*torch.tensor(rows).T, TRIPLE)
    assert report == near(
        {"target_preference": 1 / 3, "target_fraction": 0.25, "shortcut_fraction": 0.5}
    )


def test_a_bias_that_leads_to_several_classes_or_none_is_no_cue():
    groups = Groups(("a", "b", "c"), ("x", "y", "z"), aligned=((0, 0), (1, 0), (2, 1)))
    assert bias_classes(groups).tolist() == [-1, 2, -1]
    assert bias_classes(BIRDS).tolist() == [0, 1]
    nothing = shortcut_report(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]), groups)
    assert all(math.isnan(value) for value in nothing.values())
    for other in (
        Groups(("a", "b"), ("x",)),
        Groups(("a", "b"), ("x",), aligned=((0, 0),), multi_label=True),
    ):
        assert shortcut_report(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), other) == {}
