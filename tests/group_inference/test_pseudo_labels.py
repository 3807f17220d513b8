"""SSA's thresholds: by their definition, by hand, and with ties."""

import pytest
import torch

from debias.group_inference.pseudo_labels import balanced_pseudo_labels


def by_definition(confidence, group, labelled, threshold):
    """For each group the smallest threshold, of all that tell samples apart, that keeps it as small
    as the smallest. A group without a labelled sample gets none.
    """
    sure = [
        sum(h == g and c >= threshold for c, h in zip(confidence, group, strict=True))
        for g in range(len(labelled))
    ]
    known = [g for g in range(len(labelled)) if labelled[g]]
    smallest = min(known, key=lambda g: (labelled[g], sure[g]))
    most = labelled[smallest] + sure[smallest]
    chosen = []
    for c, g in zip(confidence, group, strict=True):
        if g not in known:
            chosen.append(False)
            continue
        if g == smallest:
            chosen.append(c >= threshold)
            continue
        candidates = sorted({0.0, *confidence, 2.0})
        let_in = [
            sum(h == g and d >= t for d, h in zip(confidence, group, strict=True))
            for t in candidates
        ]
        fits = [
            t for t, count in zip(candidates, let_in, strict=True) if labelled[g] + count <= most
        ]
        chosen.append(bool(fits) and c >= min(fits))
    return chosen


@pytest.mark.parametrize("labelled", [[3, 8, 5, 2], [1, 1, 1, 1], [9, 4, 9, 0]])
@pytest.mark.parametrize("digits", [1, 4])
def test_by_definition(labelled, digits):
    """With one digit many confidences are equal."""
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(60, generator=generator, dtype=torch.float64).round(decimals=digits)
    group = torch.randint(4, (60,), generator=generator)
    found = balanced_pseudo_labels(confidence, group, torch.tensor(labelled), threshold=0.6)
    assert found.tolist() == by_definition(confidence.tolist(), group.tolist(), labelled, 0.6)
    assert 0 < found.sum() < 60


def test_ties_do_not_let_a_group_outgrow_the_smallest():
    """Group 0 grows to 1 + 2. Group 1 has 2, room for one: neither of its two equal ones comes."""
    confidence = torch.tensor([0.99, 0.96, 0.9, 0.9])
    group, labelled = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 2])
    assert balanced_pseudo_labels(confidence, group, labelled).tolist() == [
        True,
        True,
        False,
        False,
    ]
    confidence[3] = 0.89
    assert balanced_pseudo_labels(confidence, group, labelled).tolist() == [True, True, True, False]


def test_order_does_not_matter_and_nothing_is_nothing():
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(30, generator=generator)
    group = torch.randint(3, (30,), generator=generator)
    order = torch.randperm(30, generator=generator)
    labelled = torch.tensor([2, 4, 3])
    expected = balanced_pseudo_labels(confidence, group, labelled, threshold=0.5)
    found = balanced_pseudo_labels(confidence[order], group[order], labelled, threshold=0.5)
    assert torch.equal(found, expected[order])
    assert balanced_pseudo_labels(confidence[:0], group[:0], labelled).tolist() == []


def test_of_equally_small_groups_the_rarer_guess_sets_the_room():
    """Both have 3 labelled samples; group 1 has one confident guess, so group 0 takes its best."""
    confidence, group = torch.tensor([0.99, 0.98, 0.97, 0.96]), torch.tensor([0, 0, 0, 1])
    assert balanced_pseudo_labels(confidence, group, torch.tensor([3, 3])).tolist() == [
        True,
        False,
        False,
        True,
    ]
