"""Several bias columns become one bias value per combination, and each is known alone."""

import pytest
import torch

from debias.components import check_options
from debias.csv_files import Columns
from debias.data.sets.in_memory import in_memory
from debias.data.sets.table import table
from debias.data.tables.labels import read_labels
from debias.errors import InputError
from tests.data.small_pictures import noise
from tests.data.two_biases import ALIGNED, write_cars


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    return write_cars(tmp_path_factory.mktemp("cars"))


def labels(bias, **options):
    """Labels of five rows; one row lacks its background, and one its age."""
    cells = {
        "kind": ["cat", "dog", "cat", "dog", "cat"],
        "place": ["in", "out", "", "in", "out"],
        "age": ["0", "2", "1", "-1", "0"],
    }
    return read_labels(Columns("t.csv", range(1, 6), cells), "kind", bias, **options)


def test_the_counts_of_the_product(cars):
    """The number of a group is (target * 2 + background) * 3 + object, values in sorted order."""
    examples = table(file=str(cars), bias=["bg", "obj"])
    assert examples.groups.bias_names == (
        *("city & cow", "city & lamp", "city & sign"),
        *("field & cow", "field & lamp", "field & sign"),
    )
    assert examples.frequencies("train").tolist() == [1, 0, 0, 5, 2, 0, 0, 4, 3, 0, 0, 1]
    assert examples.frequencies("test").tolist() == [1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
    assert examples.groups.names[3] == "country-field & cow"


def test_the_order_of_columns_is_that_of_the_list(cars):
    turned = table(file=str(cars), bias=["obj", "bg"])
    assert [attribute.name for attribute in turned.groups.attributes] == ["obj", "bg"]
    assert turned.groups.bias_names[:3] == ("cow & city", "cow & field", "lamp & city")
    assert turned.frequencies("train").tolist() == [1, 5, 0, 2, 0, 0, 0, 0, 4, 0, 3, 1]


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("position", [0, 1])
def test_marginal_counts_are_those_of_the_column_alone(cars, split, position):
    column = ["bg", "obj"][position]
    both, alone = table(file=str(cars), bias=["bg", "obj"]), table(file=str(cars), bias=column)
    counts = both.groups.marginal(both.frequencies(split), position)
    assert counts.tolist() == alone.frequencies(split).tolist()
    assert both.groups.decode(both.bias)[:, position].tolist() == alone.bias.tolist()
    assert both.groups.alone(position) == alone.groups


def test_a_list_of_one_column_is_the_plain_column(cars):
    options = {"aligned": ALIGNED["bg"], "bias_names": ["field", "city"]}
    plain = table(file=str(cars), bias="bg", **options)
    assert table(file=str(cars), bias=["bg"], **options).groups == plain.groups
    by_name = {name: {"bg": value} for name, value in options.items()}
    listed = table(file=str(cars), bias=["bg"], **by_name)
    assert listed.groups == plain.groups
    assert listed.digest() == plain.digest()


def test_a_row_with_one_unknown_attribute_is_of_unknown_bias():
    found = labels(["place", "age"])
    assert found.bias.tolist() == [0, 5, -1, -1, 3]
    # numbers need the name of their column
    assert found.groups.bias_names[:2] == ("place=in & age=0", "place=in & age=1")
    assert found.groups.decode(found.bias).tolist() == [[0, 0], [1, 2], [-1, -1], [-1, -1], [1, 0]]


def test_aligned_pairs_are_aligned_in_every_attribute(cars):
    """A country car (0) on a field (1) beside a cow (0): combination 3. Urban: 1 and 2."""
    groups = table(file=str(cars), bias=["bg", "obj"], aligned=ALIGNED).groups
    assert groups.aligned == ((0, 3), (1, 1), (1, 2))
    assert groups.alone(1).aligned == ((0, 0), (1, 1), (1, 2))
    only = table(file=str(cars), bias=["bg", "obj"], aligned={"bg": [[0, 1]]}).groups
    assert only.aligned == ((0, 3), (0, 4), (0, 5))  # whatever the object


def test_names_of_a_column_set_its_order(cars):
    names = {"obj": ["sign", "lamp", "cow"]}
    groups = table(file=str(cars), bias=["bg", "obj"], bias_names=names).groups
    assert groups.bias_names[:3] == ("city & sign", "city & lamp", "city & cow")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": ["bg", "bg"]}, r"different columns; got bias=\['bg', 'bg'\]"),
        ({"bias": ["bg", "what"]}, "no column 'what'"),
        (
            {"bias": ["bg", "obj"], "aligned": [[0, 1]]},
            r"aligned must name the bias column of each value, as in aligned=\{bg: \[\[0, 0\]",
        ),
        ({"bias": ["bg", "obj"], "bias_names": ["a"]}, "bias_names must name the bias column"),
        ({"bias": ["bg", "obj"], "aligned": {"ob": [[0, 1]]}}, "aligned names 'ob', .*'obj'"),
        ({"bias": ["bg", "obj"], "aligned": {"bg": [[0, 2]]}}, "integers from 0 to 1; got 2"),
    ],
)
def test_options_that_do_not_fit_are_named(cars, options, message):
    with pytest.raises(InputError, match=message):
        table(file=str(cars), **options)


def test_a_column_may_be_called_by_a_number():
    assert check_options(table, "data", {"file": "a.csv", "bias": 3})["bias"] == "3"
    with pytest.raises(InputError, match=r"data\.bias must be .*; got 0\.5"):
        check_options(table, "data", {"file": "a.csv", "bias": 0.5})


def test_too_many_groups_name_the_columns():
    cells = {"kind": ["0", "1"], "age": ["0", "999"], "site": ["0", "1999"]}
    columns = Columns("t.csv", range(1, 3), cells)
    message = "2 target rows x 1,000 values of age x 2,000 values of site make 4,000,000 groups"
    with pytest.raises(InputError, match=message):
        read_labels(columns, "kind", ["age", "site"])


def test_data_in_memory():
    numbers = [(noise(0), 0, torch.tensor([1, 0]))]
    examples = in_memory(
        train=[(noise(3), 1, (0, 2)), *numbers], val=numbers, test=numbers, biases=["place", "age"]
    )
    assert examples.groups.decode(examples.bias).tolist() == [[0, 2], [1, 0], [1, 0], [1, 0]]
    with pytest.raises(InputError, match="train/0 must have one bias value for each of a, b"):
        in_memory(train=[(noise(0), 1, "xy")], val=numbers, test=numbers, biases=["a", "b"])
