"""Who gets which bias value: the published counts, rules by hand, draws that are keyed."""

import numpy as np
import pytest

from debias.data.made.allocation import (
    balanced,
    correlated,
    dealt,
    generator,
    held_out,
    in_row_order,
    normal,
    skewed,
    uniform,
)

#: Images of each digit in MNIST's training file.
MNIST = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def counts(labels, values, classes=10):
    return np.bincount(labels * classes + values, minlength=classes**2).reshape(classes, classes)


@pytest.mark.parametrize(
    ("sizes", "conflicting"),
    [(MNIST, (3000, 1199, 598, 300)), ((5000,) * 10, (2500, 1000, 500, 250))],
    ids=["coloured MNIST", "corrupted CIFAR-10"],
)
def test_conflicting_images_are_as_many_as_published(sizes, conflicting):
    """LfF's four ratios; the numbers are those of the authors' rule on the real files."""
    labels = np.repeat(np.arange(10), sizes)
    for skew, expected in zip((0.05, 0.02, 0.01, 0.005), conflicting, strict=True):
        table = counts(labels, in_row_order(labels, skewed(10, skew)))
        assert table.sum() - np.trace(table) == expected
        assert table.sum(axis=1).tolist() == list(sizes)


def test_values_follow_the_order_of_rows():
    """Class 1 has 4 of 8 rows and the shares .25, .5, .25: its first row gets 0, two get 1."""
    labels = np.array([0, 1, 0, 1, 1, 0, 1, 0])
    shares = np.array([[1.0, 0, 0], [0.25, 0.5, 0.25]])
    assert in_row_order(labels, shares).tolist() == [0, 0, 0, 1, 1, 0, 2, 0]


def test_dealt():
    """int(10 * .65) = 6 rows are the class's own; 4 others are spread over 3 values."""
    values = dealt(10, 2, 0.65, 4, np.random.default_rng(0))
    assert values[:6].tolist() == [2] * 6
    assert sorted(np.bincount(values[6:], minlength=4).tolist()) == [0, 1, 1, 2]


def test_correlated_and_balanced():
    labels = np.repeat(np.arange(3), 10)
    table = counts(labels, correlated(labels, 0.9, 3, 5, 0), 3)
    assert np.diag(table).tolist() == [9, 9, 9]
    assert sorted(counts(labels, balanced(labels, 3, 5, 0), 3)[1].tolist()) == [3, 3, 4]
    assert (correlated(labels, 0.9, 3, 5, 0) == correlated(labels, 0.9, 3, 5, 0)).all()
    assert (correlated(labels, 0.5, 3, 5, 0) != correlated(labels, 0.5, 3, 6, 0)).any()
    assert (correlated(labels, 0.5, 3, 5, 0) != correlated(labels, 0.5, 3, 5, 1)).any()


def test_a_class_is_drawn_without_the_others():
    """The values of class 0 stay when class 1 gets more rows."""
    few, many = np.repeat([0, 1], [8, 3]), np.repeat([0, 1], [8, 30])
    assert (correlated(few, 0.5, 4, 1, 0)[:8] == correlated(many, 0.5, 4, 1, 0)[:8]).all()


@pytest.mark.parametrize("draw", [uniform, normal])
def test_draws_depend_on_seed_file_and_row_alone(draw):
    whole = draw(3, 0, np.arange(6), 2)
    assert (draw(3, 0, np.array([4, 1]), 2) == whole[[4, 1]]).all()
    assert len(np.unique(np.concatenate([whole, draw(4, 0, np.arange(6), 2)]))) == 24
    assert not np.isin(draw(3, 1, np.arange(6), 2), whole).any()


def test_keys_of_other_lengths_give_other_draws():
    """SeedSequence would ignore zeros at the end of a key."""
    firsts = {generator(0, *key).random() for key in [(), (0,), (0, 0), (0, 0, 0)]}
    assert len(firsts) == 4


def test_held_out():
    labels = np.repeat([0, 1], [30, 10])
    chosen = held_out(labels, 8, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [6, 2]
