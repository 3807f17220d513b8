"""Predictions as a file: the format to the letter, an exact round trip, and errors that say where
and what to do.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias.reports import predictions
from debias.reports.predictions import Predictions, read, write
from debias.types import Groups
from tests.reports.sample_runs import random_logits

BIRDS = Groups(("landbird", "waterbird"), ("land", "water"))
FACES = Groups(
    ("not Smiling", "Smiling", "not Blond", "Blond"), ("female", "male"), multi_label=True
)


def two_birds() -> Predictions:
    logits = torch.tensor([[0.1, -2.0], [1.0, 1.5]])
    return Predictions(
        torch.tensor([7, 3]),
        ("b.jpg", "a.jpg"),
        torch.tensor([1, 0]),
        torch.tensor([-1, 1]),
        logits,
    )


def two_faces() -> Predictions:
    target = torch.tensor([[1, 0], [0, 1]])
    logits = torch.tensor([[0.5, -1.0], [-0.25, 0.0]])
    return Predictions(
        torch.tensor([0, 1]), ("a.jpg", "b.jpg"), target, torch.tensor([0, 1]), logits
    )


def assert_same(left: Predictions, right: Predictions) -> None:
    assert left.paths == right.paths
    for name in ("index", "target", "bias"):
        assert getattr(left, name).dtype == torch.int64
        assert getattr(left, name).tolist() == getattr(right, name).tolist()
    assert left.logits.dtype == torch.float32
    assert torch.equal(left.logits.view(torch.int32), right.logits.view(torch.int32))


def test_single_label_file_to_the_letter(tmp_path: Path) -> None:
    """Sorted by index; row 7 chooses class 0 (0.1 > -2), row 3 class 1; 0.1 is that of float32."""
    write(tmp_path / "p.csv", two_birds(), BIRDS)
    assert (tmp_path / "p.csv").read_text() == (
        "index,path,target,bias,prediction,logit_landbird,logit_waterbird\n"
        "3,a.jpg,0,1,1,1,1.5\n"
        "7,b.jpg,1,-1,0,0.100000001,-2\n"
    )


def test_multi_label_file_to_the_letter(tmp_path: Path) -> None:
    """A label is named by its "present" name and predicted where its logit is above zero."""
    write(tmp_path / "p.csv", two_faces(), FACES)
    assert (tmp_path / "p.csv").read_text() == (
        "index,path,target_Smiling,target_Blond,bias,prediction_Smiling,prediction_Blond,logit_Smiling,logit_Blond\n"
        "0,a.jpg,1,0,0,1,0,0.5,-1\n"
        "1,b.jpg,0,1,1,0,0,-0.25,0\n"
    )


def test_every_float32_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """Random bit patterns: subnormal numbers, both zeros, infinities and everything between."""
    rows = 4000
    logits = random_logits(rows, 2)
    logits[:5, 0] = torch.tensor([-0.0, float("inf"), float("-inf"), 1e-45, 3.4028235e38])
    index = torch.arange(rows)
    paths = tuple(f"{row}.jpg" for row in range(rows))
    predictions = Predictions(index, paths, index % 2, index % 3 - 1, logits)
    write(tmp_path / "p.csv", predictions, BIRDS)
    assert_same(read(tmp_path / "p.csv"), predictions)


def test_multi_label_comes_back_in_any_order_written(tmp_path: Path) -> None:
    faces = two_faces()
    turned = Predictions(
        faces.index.flip(0),
        faces.paths[::-1],
        faces.target.flip(0),
        faces.bias.flip(0),
        faces.logits.flip(0),
    )
    write(tmp_path / "p.csv", turned, FACES)
    assert_same(read(tmp_path / "p.csv"), faces)


def test_a_file_written_in_pieces_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of three rows, of which the last has one."""
    index = torch.arange(7).flip(0)
    paths = tuple(f"{row}.jpg" for row in index.tolist())
    rows = Predictions(index, paths, index % 2, index % 3 - 1, random_logits(7, 2))
    write(tmp_path / "whole.csv", rows, BIRDS)
    monkeypatch.setattr(predictions, "LOGITS", 6)
    write(tmp_path / "pieces.csv", rows, BIRDS)
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_odd_names_and_a_single_label_survive(tmp_path: Path) -> None:
    groups = Groups(('not "a", <b>', 'ä "a", <b>'), ("x",), multi_label=True)
    one = Predictions(
        torch.tensor([4]),
        ('folder, "ü"/é.jpg',),
        torch.tensor([[1]]),
        torch.tensor([0]),
        torch.ones(1, 1),
    )
    write(tmp_path / "p.csv", one, groups)
    back = read(tmp_path / "p.csv")
    assert back.target.shape == (1, 1)
    assert_same(back, one)


def test_half_precision_and_gradients_are_written_as_float32(tmp_path: Path) -> None:
    birds = replace(two_birds(), logits=two_birds().logits.bfloat16().requires_grad_())
    write(tmp_path / "p.csv", birds, BIRDS)
    assert read(tmp_path / "p.csv").logits.tolist() == birds.logits.float().flip(0).tolist()


def test_no_rows(tmp_path: Path) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    write(tmp_path / "p.csv", Predictions(none, (), none, none, torch.zeros(0, 2)), BIRDS)
    back = read(tmp_path / "p.csv")
    assert (len(back), back.target.shape, back.logits.shape) == (0, (0,), (0, 2))


def test_prediction_follows_the_groups() -> None:
    assert two_birds().prediction(BIRDS).tolist() == [0, 1]
    assert two_faces().prediction(FACES).tolist() == [[1, 0], [0, 0]]


def test_write_leaves_an_earlier_file_alone_when_it_refuses(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", two_birds(), BIRDS)
    before = (tmp_path / "p.csv").read_bytes()
    with pytest.raises(ValueError, match="row 7 was predicted twice"):
        write(tmp_path / "p.csv", replace(two_birds(), index=torch.tensor([7, 7])), BIRDS)
    assert (tmp_path / "p.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_write_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one entry per image.*'paths': 1"):
        write(tmp_path / "p.csv", replace(two_birds(), paths=("a.jpg",)), BIRDS)
    with pytest.raises(
        ValueError,
        match=r"must have 2 columns \(logit_landbird, logit_waterbird\); got .* \(2, 3\)",
    ):
        write(tmp_path / "p.csv", replace(two_birds(), logits=torch.zeros(2, 3)), BIRDS)


HEADER = "index,path,target,bias,prediction,logit_a,logit_b\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has an empty first line"),
        (
            "index,path,bias,prediction,logit_a\n",
            "has no column 'target'; valid: bias, index, logit_a, path, prediction; or target_<l",
        ),
        ("index,path,target,bias,prediction\n", "has no column 'logit_<class>'"),
        ("path,target,bias,prediction,logit_a\n", "has no column 'index'"),
        (HEADER + "0,a,0,0,0,1,2\n1,b,0,0,0,1\n", "line 3: 6 columns, but the header has 7"),
        (
            HEADER + "0,a,0,0,0,1,2\n1,b,cat,0,0,1,2\n",
            "line 3: target is 'cat', but must be an integer",
        ),
        (HEADER + "0,a,0,0,0,,2\n", "line 2: logit_a is '', but must be a number"),
    ],
)
def test_read_names_file_line_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "broken.csv").write_text(text)
    with pytest.raises(ValueError, match=r"broken\.csv") as error:
        read(tmp_path / "broken.csv")
    assert message in str(error.value)
    assert "debias evaluate RUN" in str(error.value)


def test_read_says_that_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"val\.csv: no such file; write it again with"):
        read(tmp_path / "val.csv")
