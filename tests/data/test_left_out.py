"""Groups left out of the training split: which rows stay, with which masks and held images."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias.data.examples import Examples
from debias.data.left_out import without_groups
from debias.data.noise import with_noise
from tests.fakes import GROUPS

NAMES = tuple(f"{row}.png" for row in range(9))
#: Groups 0 to 3, an unknown bias, and the same four groups in validation.
EXAMPLES = Examples(
    Path("pictures"), NAMES, torch.tensor([0, 0, 1, 1, 1, 0, 0, 1, 1]),
    torch.tensor([0, 1, 0, 1, -1, 0, 1, 0, 1]), torch.tensor([0] * 5 + [1] * 4), GROUPS,
    Path("table.csv"), masks=tuple(f"mask-{name}" for name in NAMES),
    fills=tuple(f"fill-{name}" for name in NAMES), units=tuple(f"unit-{name}" for name in NAMES),
)  # fmt: skip


def test_only_training_images_of_the_groups_go() -> None:
    found = without_groups(EXAMPLES, ["waterbird-land", "landbird-land"])
    rows = [1, 3, 4, 5, 6, 7, 8]
    assert found.images == tuple(NAMES[row] for row in rows)
    for kind in ("mask", "fill", "unit"):
        expected = tuple(f"{kind}-{NAMES[row]}" for row in rows)
        assert getattr(found, f"{kind}s") == expected
    for name in ("target", "bias", "split"):
        assert torch.equal(getattr(found, name), getattr(EXAMPLES, name)[rows])
    assert found.frequencies("train").tolist() == [0, 1, 0, 1]
    assert found.frequencies("val").tolist() == [1, 1, 1, 1]
    assert found.digest() != EXAMPLES.digest()
    assert without_groups(EXAMPLES, []) is EXAMPLES


def test_held_images_move_with_their_rows() -> None:
    held: Any = SimpleNamespace(read=lambda row: row, fingerprint=lambda row: bytes([row]))
    found = without_groups(replace(EXAMPLES, held=held), ["landbird-water"])
    rows = [0, 2, 3, 4, 5, 6, 7, 8]
    assert [found.store.read(row) for row in range(8)] == rows
    assert [found.store.fingerprint(row) for row in range(8)] == [bytes([row]) for row in rows]


def test_noise_is_drawn_from_what_is_left() -> None:
    """All labels of the rest change: one landbird, and two waterbirds."""
    found = with_noise(EXAMPLES, without=["waterbird-land", "landbird-land"], label_noise=1.0)
    assert found.target.tolist() == [1, 0, 0, 0, 0, 1, 1]
    assert found.noise is not None
    assert len(found.noise.given) == 7


def test_a_name_that_is_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.without names 'waterbird', which is no group; did"):
        without_groups(EXAMPLES, ["waterbird"])
