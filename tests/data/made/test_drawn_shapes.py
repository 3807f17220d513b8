"""Drawn shapes: shares of the labels by hand, what a label changes in a picture, and mistakes."""

import numpy as np
import pytest
import torch

from debias.components import construct
from debias.data.examples import SPLITS
from debias.data.made.allocation import generator
from debias.data.made.drawn_shapes import _picture, label_table
from debias.errors import InputError
from debias.types import ContextPair

SIZES = {"train": 40, "val": 8, "test": 16}


def made(root, **options):
    return construct("data", {"name": "drawn_shapes", "root": str(root), **SIZES, **options}, {})


def test_the_square_is_the_context_in_training_alone(tmp_path):
    """Of 20 training images with a circle 18 have a square, of 20 without 5. In the test, half.

    Validation is as biased as training: of 4 and 4 images, 4 and 1.
    """
    examples = made(tmp_path, together=0.9, alone=0.25)
    assert [len(examples.rows(split)) for split in SPLITS] == [40, 8, 16]
    counts = {split: examples.frequencies(split)[:4].tolist() for split in SPLITS}
    assert counts == {"train": [15, 5, 2, 18], "val": [3, 1, 0, 4], "test": [4, 4, 4, 4]}
    assert torch.equal(examples.bias, examples.target[:, 1])
    assert examples.groups.contexts == (ContextPair(0, 1),)
    assert examples.groups.label_names == ("circle", "square", "triangle", "cross")
    assert examples.store.read(0).shape == (48, 48, 3)


def test_a_label_changes_only_the_cell_of_its_shape():
    """Without the square: one cell of 24 x 24 pixels, up to the 2 pixels that a corner sticks out.

    An absent circle leaves its cell as it is, or turns into an ellipse there.
    """
    for seed in range(6):
        shown, square, circle = (
            _picture(np.array(labels), generator(seed)).astype(int)
            for labels in ([1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 1])
        )
        for other in (square, circle):
            rows, columns = np.nonzero((shown != other).any(axis=2))
            assert len(rows) > 20
            assert max(np.ptp(rows), np.ptp(columns)) < 28


def test_the_other_labels_are_independent():
    """Deviations of 4,000 draws are 0.008."""
    labels = label_table(4000, together=0.95, alone=0.2, rng=np.random.default_rng(0))
    assert labels[:, :2].mean(axis=0) == pytest.approx([0.5, 0.575])
    correlation = np.corrcoef(labels.T)
    assert correlation[0, 1] == pytest.approx(0.7587, abs=1e-3)
    assert np.abs(correlation[2:, :2]).max() < 0.05


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("together", 1.0, r"data.together must lie in \(0, 1\)"),
        ("alone", 0.0, r"data.alone must lie in \(0, 1\)"),
        ("test", 4, "data.test must be at least 8"),
    ],
)
def test_refuses(tmp_path, option, value, message):
    with pytest.raises(InputError, match=message):
        made(tmp_path, **{option: value})
    assert not list(tmp_path.iterdir())
