"""The partners of SelecMix, by hand."""

import torch

from debias.losses.contradicting_pairs import contradicting_partners

#: Samples 0 and 1 are of class 0, samples 2 and 3 of class 1.
SIMILARITIES = torch.tensor(
    [[1.0, 0.9, 0.3, 0.2], [0.9, 1.0, 0.4, 0.6], [0.3, 0.4, 1.0, -0.1], [0.2, 0.6, -0.1, 1.0]]
)
TARGET = torch.tensor([0, 0, 1, 1])


def partners(similarities: torch.Tensor, target: torch.Tensor, positives: bool) -> list[int]:
    return contradicting_partners(similarities, target, positives=positives).tolist()


def test_positives_are_the_least_similar_of_the_class():
    assert partners(SIMILARITIES, TARGET, True) == [1, 0, 3, 2]
    assert partners(SIMILARITIES, torch.tensor([0, 0, 0, 1]), True) == [2, 2, 0, 3]


def test_negatives_are_the_most_similar_of_another_class():
    assert partners(SIMILARITIES, TARGET, False) == [2, 3, 1, 1]


def test_a_negative_has_another_class_even_if_all_others_are_opposite():
    assert partners(SIMILARITIES - 1, TARGET, False) == [2, 3, 1, 1]


def test_without_a_candidate_the_partner_is_the_sample_itself():
    assert partners(SIMILARITIES, torch.arange(4), True) == [0, 1, 2, 3]
    assert partners(SIMILARITIES, torch.zeros(4, dtype=torch.long), False) == [0, 1, 2, 3]
