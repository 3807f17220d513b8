"""Predictions of anybody's model: what a file may hold, what becomes of it, and what is refused."""

import math
from pathlib import Path

import pytest
import torch

from debias.csv_files import UNKNOWN
from debias.reports.foreign import frequencies_of, read_foreign
from debias.reports.predictions import Predictions, write
from debias.types import Groups


def written(folder: Path, text: str, name: str = "predictions.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("great", ["100000", "999999999", "9" * 5000])
@pytest.mark.parametrize("column", ["class", "bias"])
def test_a_number_is_not_taken_for_as_many_classes_or_bias_values(
    tmp_path: Path, column: str, great: str
) -> None:
    row = f"{great},1,0" if column == "class" else f"0,1,{great}"
    (tmp_path / "p.csv").write_text(f"target,prediction,bias\n1,1,0\n{row}\n")
    with pytest.raises(
        ValueError,
        match=rf"p\.csv: {column} must be .* below 100,000; got {great[:20]}",
    ):
        read_foreign(tmp_path / "p.csv")


def test_names_and_logits(tmp_path):
    """Classes come from the columns, values of the bias in their order; unknown is empty or -1."""
    text = "path,target,bias,logit_land,logit_water\n"
    text += "a.jpg,water,lake,-1.5,2\nb.jpg,land,forest,0.25,-3\nc.jpg,water,,0,1\n"
    rows, groups, scored = read_foreign(written(tmp_path, text), aligned=[["water", "lake"]])
    assert groups.names == ("land-forest", "land-lake", "water-forest", "water-lake")
    assert groups.aligned == ((1, 1),)
    assert rows.target.tolist() == [1, 0, 1]
    assert rows.bias.tolist() == [1, 0, -1]
    assert rows.logits.tolist() == [[-1.5, 2.0], [0.25, -3.0], [0.0, 1.0]]
    assert rows.paths == ("a.jpg", "b.jpg", "c.jpg")
    assert scored


def test_probabilities_become_logits_that_give_them_back(tmp_path):
    text = "target,bias,probability_0,probability_1\n0,0,0.75,0.25\n1,1,0,1\n"
    rows, _, _ = read_foreign(written(tmp_path, text))
    expected = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
    torch.testing.assert_close(rows.logits.softmax(dim=1), expected)


def test_probabilities_are_kept_as_they_are_given(tmp_path):
    """Those of 0 and 1 become logits of the size of others, so that no attacker sees outliers."""
    text = "target,bias,probability_a,probability_b\na,0,0.6,0.4\nb,1,0,1\n"
    rows = read_foreign(written(tmp_path, text)).predictions
    assert rows.probabilities.tolist() == [[0.6, 0.4], [0.0, 1.0]]
    assert rows.logits[1].tolist() == [-20.0, 0.0]
    logits = written(tmp_path, text.replace("probability", "logit"))
    assert read_foreign(logits).predictions.probabilities is None


def test_a_class_of_a_greater_number_is_the_second_of_two(tmp_path):
    text = "target,bias,probability_10,probability_2\n2,0,0.2,0.8\n10,1,0.7,0.3\n"
    rows, groups, _ = read_foreign(written(tmp_path, text))
    assert groups.target_names == ("2", "10")
    assert rows.target.tolist() == [0, 1]
    assert rows.probabilities.tolist() == [[0.8, 0.2], [0.3, 0.7]]


def test_decisions_alone(tmp_path):
    """A class that only the model names is a class, too; numbers keep their order, 10 after 9."""
    path = written(tmp_path, "target,bias,prediction\n0,0,10\n9,1,9\n")
    with pytest.warns(UserWarning, match="no image has the predicted class '10' as its target"):
        rows, groups, scored = read_foreign(path)
    assert groups.target_names == tuple(map(str, range(11)))
    assert rows.prediction(groups).tolist() == [10, 9]
    assert not scored


def test_several_labels(tmp_path):
    text = "target_hat,target_bag,bias,probability_hat,probability_bag\n"
    text += "1,0,0,0.9,0.2\n0,1,1,0.5,0.75\n"
    rows, groups, _ = read_foreign(written(tmp_path, text))
    assert groups.multi_label
    assert groups.target_names == ("not hat", "hat", "not bag", "bag")
    assert rows.target.tolist() == [[1, 0], [0, 1]]
    torch.testing.assert_close(rows.logits[1], torch.tensor([0.0, math.log(3)]))


@pytest.mark.parametrize("targets", [[0, 1, 2], [0, 1, 1], [1, 2, 1]])
def test_classes_that_are_called_by_numbers(tmp_path, targets):
    """A run's own file numbers its classes by their places, whichever of them it has."""
    groups = Groups(("1", "10", "2"), ("a", "b"))
    rows = Predictions(
        torch.arange(3), ("",) * 3, torch.tensor(targets), torch.tensor([0, 1, 0]), torch.eye(3)
    )
    write(tmp_path / "test.csv", rows, groups)
    found = read_foreign(tmp_path / "test.csv")
    assert found.groups.target_names == ("1", "10", "2")
    assert found.predictions.target.tolist() == targets
    assert frequencies_of(tmp_path / "test.csv", found.groups).sum() == 3


def test_a_stranger_s_file_holds_names_or_numbers_and_says_which(tmp_path):
    header = "target,bias,logit_1,logit_10,logit_2\n"
    for targets, expected in ((("10", "2", "1"), [1, 2, 0]), (("0", "2", "1"), [0, 2, 1])):
        text = header + "".join(f"{target},a,1,0,0\n" for target in targets)
        assert read_foreign(written(tmp_path, text)).predictions.target.tolist() == expected
    with pytest.raises(
        ValueError,
        match=r"target '1' may be the class of that name, or class number 1 of 1, 10, 2\. ",
    ):
        read_foreign(written(tmp_path, f"{header}2,a,1,0,0\n1,a,1,0,0\n"))


def test_a_column_of_the_class_makes_others_no_labels(tmp_path):
    text = "target,target_name,bias,logit_0,logit_1\n0,cat,a,1,0\n1,dog,b,0,1\n"
    rows, groups, _ = read_foreign(written(tmp_path, text))
    assert not groups.multi_label
    assert rows.target.tolist() == [0, 1]


def test_several_attributes_are_combined(tmp_path):
    text = "target,gender,age,prediction\n0,man,old,0\n1,woman,young,1\n1,man,,1\n"
    rows, groups, _ = read_foreign(written(tmp_path, text), bias=["gender", "age"])
    names = ("man & old", "man & young", "woman & old", "woman & young")
    assert groups.bias_names == names
    assert [attribute.name for attribute in groups.attributes] == ["gender", "age"]
    assert rows.bias.tolist() == [0, 3, -1]


def test_pairs_of_several_attributes_are_given_by_column(tmp_path):
    text = "target,gender,age,prediction\n0,man,old,0\n1,woman,young,1\n"
    train = written(tmp_path, "target,gender,age\n0,man,young\n1,man,old\n", "train.csv")
    path = written(tmp_path, text)
    options = {"bias": ["gender", "age"], "train": train}
    aligned = {"gender": [["0", "man"], ["1", "woman"]]}
    groups = read_foreign(path, aligned=aligned, **options).groups
    assert groups.aligned == ((0, 0), (0, 1), (1, 2), (1, 3))
    assert groups.alone(0).aligned == ((0, 0), (1, 1))
    counts = frequencies_of(train, groups, bias=["gender", "age"])
    assert counts.tolist() == [0, 1, 0, 0, 1, 0, 0, 0]
    named = read_foreign(path, aligned=[["0", "man & young"]], **options).groups
    assert named.aligned == ((0, 1),)
    groups = read_foreign(path, bias=["age"], aligned={"age": [["0", "old"]]}).groups
    assert groups.aligned == ((0, 0),)
    with pytest.raises(ValueError, match=r"aligned names 'agee', which is no bias column; .*'age'"):
        read_foreign(path, aligned={"agee": []}, **options)


def test_training_labels_share_the_groups(tmp_path):
    """The training file has a bias that the predictions lack; groups are counted in order."""
    train = written(tmp_path, "target,bias\n0,b\n0,b\n1,a\n1,c\n", "train.csv")
    _, groups, _ = read_foreign(
        written(tmp_path, "target,bias,prediction\n0,a,0\n1,b,1\n"), train=train
    )
    assert groups.bias_names == ("a", "b", "c")
    assert frequencies_of(train, groups).tolist() == [0, 2, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target,bias\n0,0\n", r"no column 'prediction'"),
        ("target,bias,prediction\n", "a header and no row"),
        ("target,bias,prediction\n0,0\n", "line 2: 2 columns, but the header has 3"),
        (
            "target,bias,logit_a,logit_b\nc,0,1,2\n",
            "line 2: target is 'c', but must be one of a, b",
        ),
        (
            "target,bias,logit_a,logit_b\na,0,1,2\n1,0,1,2\n",
            "line 3: target is '1', but must be one of a, b",
        ),
        (
            "target,bias,logit_a,logit_b\na,0,1,x\n",
            "line 2: logit_b is 'x', but must be a finite number",
        ),
        (
            "target,bias,logit_a,logit_b\na,0,1,nan\n",
            "line 2: logit_b is 'nan', but must be a finite number",
        ),
        (
            "target,bias,probability_a,probability_b\na,0,0.5,0.5\nb,1,0.3,0.3\n",
            "line 3: .* do not add up to 1",
        ),
        ("target,bias,probability_a\na,0,0.5\n", "every class needs .*; got one for 'a' only"),
        ("target,target,bias\n0,0,0\n", "has two columns 'target'"),
        ("target;bias;prediction\n0;0;0\n", "separated by commas"),
        (
            "target,bias,probability_a,probability_b\na,0,1,2\n",
            r"a probability lies outside \[0, 1\]",
        ),
    ],
)
def test_refuses(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_foreign(written(tmp_path, text))


def test_scores_of_another_name_are_told_which_columns_are_read(tmp_path):
    """The bias that the file lacks is not listed among its columns."""
    path = written(tmp_path, "target,score_cat,score_dog\ncat,1,2\n")
    with pytest.raises(
        ValueError, match=r"no column 'prediction'; .*valid: score_cat, score_dog, "
    ):
        read_foreign(path)
    with pytest.raises(
        ValueError, match="one column per class, logit_<class> or probability_<class>"
    ):
        read_foreign(path)


def test_a_misspelt_column_is_told_the_nearest(tmp_path):
    path = written(tmp_path, "target,bias,predicton\ncat,a,cat\n")
    with pytest.raises(ValueError, match="no column 'prediction'; did you mean 'predicton'"):
        read_foreign(path)


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_every_way_to_write_an_unknown_bias_is_read(tmp_path, unknown):
    path = written(tmp_path, f"target,bias,prediction\ncat,{unknown},cat\ndog,in,dog\n")
    rows, groups, _ = read_foreign(path)
    assert (groups.bias_names, rows.bias.tolist()) == (("in",), [-1, 0])


@pytest.mark.parametrize(
    "text",
    ["target,prediction\ncat,dog\ndog,dog\n", "target,bias,prediction\ncat,-1,dog\ndog,,dog\n"],
)
def test_a_bias_that_is_nowhere_known_needs_no_column(tmp_path, text):
    """A column that the user names must be there."""
    rows, groups, _ = read_foreign(written(tmp_path, text))
    assert (rows.bias.tolist(), groups.names) == ([-1, -1], ("cat-unknown", "dog-unknown"))
    with pytest.raises(
        ValueError, match=r"no column 'place'; valid: .*; name a column of the file"
    ):
        read_foreign(written(tmp_path, text), bias=["place"])


def test_two_named_classes_have_one_order_with_scores_and_with_decisions(tmp_path):
    """Numbers are places among the columns, so that class 1 is the second column; names are ordered
    by the alphabet.
    """
    scores = "target,bias,logit_wolf,logit_dog\n{0},a,1,0\n{1},b,0,1\n"
    decisions = "target,bias,prediction\n{0},a,{0}\n{1},b,{1}\n"
    found = [
        read_foreign(written(tmp_path, text.format("wolf", "dog"))) for text in (scores, decisions)
    ]
    assert [groups.target_names for _, groups, _ in found] == [("dog", "wolf")] * 2
    assert [rows.prediction(groups).tolist() for rows, groups, _ in found] == [[1, 0]] * 2
    rows, groups, _ = read_foreign(written(tmp_path, scores.format(0, 1)))
    assert (groups.target_names, rows.target.tolist()) == (("wolf", "dog"), [0, 1])
    assert rows.prediction(groups).tolist() == [0, 1]


def test_refuses_a_file_that_is_not_there_and_pairs_of_no_group(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*none\.csv"):
        read_foreign(tmp_path / "none.csv")
    path = written(tmp_path, "target,bias,prediction\n0,a,0\n1,b,1\n")
    with pytest.raises(ValueError, match="unknown name 'x' in aligned; valid: 0, 1"):
        read_foreign(path, aligned=[["x", "a"]])
    with pytest.raises(ValueError, match="aligned must hold pairs"):
        read_foreign(path, aligned=["a", "b"])
    assert read_foreign(path, aligned=[["0", "1"]]).groups.aligned == ((0, 1),)


def test_spaces_empty_lines_and_what_pandas_writes(tmp_path):
    """Blanks after commas and a last empty line are no values; nan is an unknown bias."""
    rows, groups, _ = read_foreign(
        written(tmp_path, "target, bias, prediction\ncat, in, cat\ndog, nan, cat\n\n")
    )
    assert groups.names == ("cat-in", "dog-in")
    assert rows.bias.tolist() == [0, -1]
