"""The worst group's most confident mistakes, and their pictures."""

import base64

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from debias.reports.galleries import confident_mistakes, thumbnail
from debias.reports.predictions import Predictions
from debias.types import Groups
from tests.reports.sample_runs import sample_predictions

BIRDS = Groups(("landbird", "waterbird"), ("land", "water"))
WATERBIRD_LAND = 2


def test_most_confident_first_even_where_the_probability_saturates() -> None:
    """Margins 50, 40, 3, 1 towards landbird: sigmoid(3) = 0.9526, sigmoid(1) = 0.7311."""
    mistakes = confident_mistakes(sample_predictions(), BIRDS, WATERBIRD_LAND, most=9)
    assert [mistake.index for mistake in mistakes] == [16, 13, 14, 12]
    assert [round(mistake.confidence, 4) for mistake in mistakes] == [1.0, 1.0, 0.9526, 0.7311]
    first = mistakes[0]
    assert (first.path, first.target, first.predicted) == ("birds/16.jpg", "waterbird", "landbird")


def test_most_limits_and_ties_go_by_index() -> None:
    tied = Predictions(
        torch.tensor([9, 4, 6]), ("i", "d", "f"), torch.tensor([1, 1, 1]), torch.tensor([0, 0, 0]),
        torch.tensor([[1.0, 0.0]]).expand(3, 2),
    )  # fmt: skip
    assert [
        mistake.index for mistake in confident_mistakes(tied, BIRDS, WATERBIRD_LAND, most=2)
    ] == [4, 6]


def test_other_groups_right_answers_and_unknown_bias_are_left_out() -> None:
    predictions = sample_predictions()
    assert confident_mistakes(predictions, BIRDS, 0, most=9) == []
    unknown = Predictions(
        predictions.index,
        predictions.paths,
        predictions.target,
        torch.full((8,), -1),
        predictions.logits,
    )
    assert confident_mistakes(unknown, BIRDS, WATERBIRD_LAND, most=9) == []


def test_confidence_over_three_classes_is_the_softmax() -> None:
    """softmax(ln 2, ln 5, ln 3) = (0.2, 0.5, 0.3); class 1 is predicted, class 0 is true."""
    logits = torch.tensor([[2.0, 5.0, 3.0]]).log()
    three = Groups(("a", "b", "c"), ("x",))
    one = Predictions(torch.tensor([0]), ("p",), torch.tensor([0]), torch.tensor([0]), logits)
    (mistake,) = confident_mistakes(one, three, 0, most=9)
    assert (mistake.target, mistake.predicted, round(mistake.confidence, 6)) == ("a", "b", 0.5)


def test_multi_label_mistakes_are_of_the_label_of_the_group() -> None:
    """ "Blond-male" = row 3, bias 1, number 7: image 5 misses it at -2 (sigmoid(2) = 0.8808)."""
    faces = Groups(
        ("not Smiling", "Smiling", "not Blond", "Blond"), ("female", "male"), multi_label=True
    )
    target = torch.tensor([[1, 1], [0, 1]])
    logits = torch.tensor([[-9.0, -2.0], [9.0, 1.0]])
    predictions = Predictions(
        torch.tensor([5, 6]), ("a", "b"), target, torch.tensor([1, 1]), logits
    )
    assert faces.names[7] == "Blond-male"
    (mistake,) = confident_mistakes(predictions, faces, 7, most=9)
    assert (mistake.index, mistake.target, mistake.predicted) == (5, "Blond", "not Blond")
    assert round(mistake.confidence, 4) == 0.8808


def decoded(uri: str) -> NDArray[np.uint8]:
    prefix = "data:image/jpeg;base64,"
    assert uri.startswith(prefix)
    data = np.frombuffer(base64.b64decode(uri.removeprefix(prefix)), np.uint8)
    image: NDArray[np.uint8] = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return image


def test_thumbnail_keeps_colour_and_shape() -> None:
    """400 x 200 red becomes 104 x 208, still red first."""
    red = np.zeros((200, 400, 3), np.uint8)
    red[..., 0] = 200
    small = decoded(thumbnail(red, None, sides=(208, 208)))
    assert small.shape == (104, 208, 3)
    assert np.abs(small.reshape(-1, 3).mean(0) - [200, 0, 0]).max() < 4


def test_thumbnail_outlines_the_mask_and_leaves_the_image_alone() -> None:
    """White on the mask's edge, grey well inside and outside; 0/255, 0/1 and float masks all do."""
    grey = np.full((208, 208, 3), 100, np.uint8)
    mask = np.zeros((208, 208), np.uint8)
    mask[50:150, 50:150] = 255
    for kind in (mask, mask // 255, mask.astype(np.float32) / 255, mask > 0):
        small = decoded(thumbnail(grey, kind, sides=(208, 208))).astype(int)
        assert small[100, 47:54].max() > 200
        assert abs(small[100, 100] - 100).max() < 6
        assert abs(small[10, 10] - 100).max() < 6
    assert (grey == 100).all()
