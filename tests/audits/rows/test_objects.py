"""Numbers of the objects in masks."""

import numpy as np
import pytest

from debias.audits.rows.objects import NAMES, concavity, inner_gradient, object_properties


def described(mask: np.ndarray, picture: np.ndarray | None = None) -> dict[str, float]:
    picture = np.zeros((*mask.shape, 3), np.uint8) if picture is None else picture
    columns = object_properties(picture[None], mask[None])
    return {name: float(column[0]) for name, column in columns.items()}


def test_a_filled_square_is_not_concave_and_a_bay_is():
    """Of the 3x3 hull of the U, 7 pixels are filled."""
    assert concavity(np.pad(np.ones((4, 4), bool), 2)) == 0
    bay = np.ones((3, 3), bool)
    bay[:2, 1] = False
    assert concavity(bay) == pytest.approx(1 - 7 / 9)


def test_size_place_and_box_of_the_largest_object():
    mask = np.zeros((20, 20), bool)
    mask[2:6, 4:12] = True  # 32 of 400 pixels; centre of the box (8, 4)
    mask[15:18, 15:18] = True
    found = described(mask)
    assert found["object size"] == pytest.approx(0.08)
    assert found["object distance from the centre"] == pytest.approx(
        (2**2 + 6**2) ** 0.5 / 200**0.5
    )
    assert found["object width ÷ height"] == 2
    assert found["object at the border"] == 0
    assert found["number of objects"] == 2
    mask[0:3, 4:12] = True
    assert described(mask)["object at the border"] == 1


def test_objects_of_equal_colour_are_alike():
    mask = np.zeros((20, 20), bool)
    mask[2:6, 2:6], mask[10:14, 10:18] = True, True
    picture = np.full((20, 20, 3), 90, np.uint8)
    assert described(mask, picture)["similar colours of objects"] == pytest.approx(1)
    picture[:8] = 0
    picture[8:] = 255
    found = described(mask, picture)
    assert found["similar colours of objects"] == pytest.approx(0)
    sizes = (32**0.5, 80**0.5)
    assert found["different sizes of objects"] == pytest.approx((sizes[1] - sizes[0]) / 800**0.5)


def test_the_outline_of_an_object_is_not_its_gradient():
    """A flat object before another colour has none; stripes of 3 pixels have one."""
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    picture = np.where(mask[..., None], 200, 0).astype(np.uint8).repeat(3, axis=2)
    assert inner_gradient(picture, mask) == 0
    picture[:, ::3] = 100
    assert inner_gradient(picture, mask) > 0.5
    assert inner_gradient(picture, np.eye(40, dtype=bool)) == 0


def test_specks_and_empty_masks_are_no_objects():
    mask = np.zeros((100, 100), bool)
    mask[5, 5:10] = True  # 5 of 10,000 pixels
    assert set(described(mask).values()) == {0}
    assert tuple(described(mask)) == NAMES
