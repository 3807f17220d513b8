"""Votes of biased networks and the highest scores of all, by hand."""

import pytest
import torch

from debias.group_inference.agreement import agreed, highest_in_all

#: Probability of the true class of four samples by five networks.
CHANCES = torch.tensor(
    [
        [0.995, 0.995, 0.10, 0.99],
        [0.999, 0.991, 0.20, 0.99],
        [0.991, 0.500, 1.00, 0.99],
        [0.100, 0.999, 1.00, 0.99],
        [0.200, 0.300, 0.98, 1.00],
    ]
)


def test_three_of_five_must_be_sure_and_the_threshold_itself_is_not_enough():
    """Votes above 0.99: 3, 3, 2 and 1."""
    assert agreed(CHANCES).tolist() == [True, True, False, False]
    assert agreed(CHANCES, agreement=2).tolist() == [True, True, True, False]
    assert agreed(CHANCES, threshold=0.98).tolist() == [True, True, False, True]
    assert agreed(CHANCES, agreement=0).tolist() == [True] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, r"threshold must lie in \[0, 1\] for BiasEnsemble; got 1.5"),
        ({"agreement": 6}, r"agreement must lie in \[0, 5\], the number of networks; got 6"),
    ],
)
def test_what_it_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        agreed(CHANCES, **options)


def test_the_highest_of_every_class_in_every_score():
    """Class 0 has samples 0, 2, 4, and class 1 has 1, 3. Both scores have 0 and 3 highest, and
    differ in the second of class 0.
    """
    scores = torch.tensor([[9.0, 1.0, 8.0, 2.0, 7.0], [5.0, 0.0, 1.0, 6.0, 4.0]])
    target = torch.tensor([0, 1, 0, 1, 0])
    expected = {1: [0, 3], 2: [0, 1, 3], 3: [0, 1, 2, 3, 4]}
    for count, rows in expected.items():
        assert highest_in_all(scores, target, count=count).nonzero()[:, 0].tolist() == rows
    with pytest.raises(ValueError, match="count must be at least 1 for the highest samples; got 0"):
        highest_in_all(scores, target, count=0)
