"""GrabCut finds objects at known places, says where it found nothing, agrees with real masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from debias.data.masks.grabcut import SIDE, Made, Pixels, mask_from_boxes, mask_from_points
from debias.data.pictures.images import read_image, read_mask
from debias.data.sets.waterbirds import waterbirds


def iou(first: Pixels, second: Pixels) -> float:
    """Intersection over union."""
    a, b = first >= 128, second >= 128
    return float((a & b).sum() / (a | b).sum())


def scene(
    height: int = 120,
    width: int = 160,
    axes: tuple[int, int] = (30, 20),
    centre: tuple[int, int] = (70, 60),
) -> tuple[Pixels, Pixels]:
    """An orange ellipse on a blue ground, both noisy, and its mask."""
    rng = np.random.default_rng(0)
    mask = cv2.ellipse(np.zeros((height, width), np.uint8), centre, axes, 20, 0, 360, 255, -1)
    image = np.where(mask[..., None] > 0, np.array([220, 130, 40]), np.array([40, 80, 150]))
    return (image + rng.integers(-15, 16, (height, width, 3))).clip(0, 255).astype(np.uint8), mask


def box_of(mask: Pixels, margin: int = 0) -> NDArray[np.float64]:
    rows, columns = np.nonzero(mask)
    left, top = columns.min() - margin, rows.min() - margin
    return np.array(
        [[left, top, columns.max() + 1 + margin - left, rows.max() + 1 + margin - top]], np.float64
    )


@pytest.mark.parametrize("margin", [0, 10])
def test_an_object_is_cut_out_of_its_box(margin: int) -> None:
    """The box alone would have an IoU of at most pi / 4."""
    image, mask = scene()
    made = mask_from_boxes(image, box_of(mask, margin))
    assert made.found
    assert iou(made.mask, mask) > 0.95


def test_points_on_an_object_find_it() -> None:
    """Five points, of which the hull is a third of the object."""
    image, mask = scene()
    points = np.array([[70, 60], [90, 66], [50, 54], [74, 48], [66, 72]], np.float64)
    made = mask_from_points(image, points)
    assert made.found
    assert iou(made.mask, mask) > 0.95


def test_a_single_point_says_too_little() -> None:
    """Of what it finds, nothing goes beyond its reach, 0.3 * 0.25 * 120 = 9 pixels."""
    image, _ = scene(120, 120, centre=(60, 60))
    made = mask_from_points(image, np.array([[60, 60]], np.float64))
    assert not made.found
    assert made.mask[60, 60] == 255
    made.mask[51:70, 51:70] = 0
    assert not made.mask.any()


def test_two_boxes_are_two_objects() -> None:
    image, mask = scene(120, 300)
    second = np.zeros_like(mask)
    second[:, 140:] = mask[:, :160]
    image = np.where(second[..., None] > 0, np.roll(image, 140, axis=1), image)
    made = mask_from_boxes(image, np.vstack([box_of(mask), box_of(second)]))
    assert made.found
    assert iou(made.mask, mask | second) > 0.95


def test_a_large_picture_is_cut_small_and_its_mask_has_its_size() -> None:
    image, mask = scene(3 * SIDE, 4 * SIDE, axes=(300, 200), centre=(600, 500))
    made = mask_from_boxes(image, box_of(mask))
    assert made.mask.shape == mask.shape
    assert iou(made.mask, mask) > 0.95


def test_a_flat_picture_gives_its_box_and_says_so() -> None:
    """With nothing to tell apart, the mask is the box: 20 x 10 pixels from (5, 8)."""
    made = mask_from_boxes(
        np.full((40, 50, 3), 90, np.uint8), np.array([[5, 8, 20, 10]], np.float64)
    )
    expected = np.zeros((40, 50), np.uint8)
    expected[8:18, 5:25] = 255
    assert not made.found
    assert (made.mask == expected).all()


def test_a_box_around_everything_leaves_no_background_to_learn_from() -> None:
    image, _ = scene()
    made = mask_from_boxes(image, np.array([[0, 0, 160, 120]], np.float64))
    assert not made.found
    assert (made.mask == 255).all()


def test_points_on_a_flat_picture_give_their_hull() -> None:
    """A square from 10 to 30, widened by round(0.04 * 20) = 1 pixel around the points and once more
    as a whole.
    """
    points = np.array([[10, 10], [30, 10], [10, 30], [30, 30]], np.float64)
    made = mask_from_points(np.full((50, 50, 3), 90, np.uint8), points)
    assert not made.found
    assert made.mask[9:32, 9:32].all()
    made.mask[8:33, 8:33] = 0
    assert not made.mask.any()


def test_a_small_bright_wing_does_not_stand_for_the_object() -> None:
    """A cut that finds under 15 % of the box is tried again from the middle of the box.

    The object has the ground's colour but for a bright corner of 6 x 6 in its box of 60 x 40, which
    is 1.5 % of it.
    """
    rng = np.random.default_rng(1)
    image = rng.integers(60, 100, (120, 160, 3), dtype=np.uint8)
    image[42:48, 42:48] = 250
    made = mask_from_boxes(image, np.array([[40, 40, 60, 40]], np.float64))
    assert (made.mask[40:80, 40:100] > 0).mean() >= 0.15
    assert not np.delete(made.mask, np.s_[40:80], axis=0).any()


def test_the_same_call_gives_the_same_mask() -> None:
    """GrabCut draws from a global generator, which an earlier picture must not move."""
    image, mask = scene()
    image = image // 4 + np.random.default_rng(3).integers(0, 190, image.shape, dtype=np.uint8)
    first = mask_from_boxes(image, box_of(mask))
    mask_from_boxes(scene()[0], box_of(mask))
    assert (mask_from_boxes(image, box_of(mask)).mask == first.mask).all()


def test_specks_are_left_out() -> None:
    """A dot of the object's colour inside the box: 9 pixels beside the ellipse's 1,900."""
    image, mask = scene()
    box = box_of(mask, 12)
    image[38:41, 40:43] = (220, 130, 40)
    made = mask_from_boxes(image, box)
    assert not made.mask[37:42, 39:44].any()
    assert iou(made.mask, mask) > 0.95


def real_cuts(shared: Path) -> list[tuple[Pixels, Made, Made, NDArray[np.float64]]]:
    """20 pictures of Waterbirds: mask, cut by its box, cut by 12 points on it, the box."""
    examples = waterbirds(root=str(shared / "data"))
    assert examples.mask_root is not None
    found = []
    for row in range(5, 5 + 20 * 588, 588):
        image = read_image(examples.root / examples.images[row])
        mask = read_mask(examples.mask_root / examples.masks[row], (image.shape[0], image.shape[1]))
        rows, columns = np.nonzero(mask >= 128)
        chosen = np.random.default_rng(row).choice(len(rows), 12)
        points = np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64)
        box = box_of(mask >= 128)
        found.append((mask, mask_from_boxes(image, box), mask_from_points(image, points), box))
    return found


def test_real_pictures(shared: Path) -> None:
    """Measured: IoU 0.86 on average from boxes (median 0.91), 0.85 from 12 points (0.89); of 40
    pictures 0.84 and 0.85, and the box itself has 0.52.
    """
    cuts = real_cuts(shared)
    from_boxes = [iou(made.mask, mask) for mask, made, _, _ in cuts]
    from_points = [iou(made.mask, mask) for mask, _, made, _ in cuts]
    assert np.mean(from_boxes) > 0.8
    assert np.median(from_boxes) > 0.87
    assert np.mean(from_points) > 0.8
    assert sum(not made.found for _, made, _, _ in cuts) <= 2
