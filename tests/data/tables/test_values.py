"""Names of cells, rows left out by them, bins of numbers, and the mistakes in both."""

from pathlib import Path

import pytest

from debias.csv_files import Columns
from debias.data.tables.rules import RowRules
from debias.data.tables.values import Named, name_cells
from debias.errors import InputError


def named(column: list[str], **rules: object) -> Named:
    """A table with one column "x" after some rules about it."""
    columns = Columns(Path("t.csv"), range(2, len(column) + 2), {"x": column})
    return name_cells(columns, RowRules(**{name: {"x": rule} for name, rule in rules.items()}))


def test_cells_are_renamed_and_rows_left_out():
    found = named(["0", "1", "2", "0"], values={0: "male", "1": None})
    assert found.columns.cells["x"] == ["male", "2", "male"]
    assert (found.kept, found.columns.lines, found.orders) == ([0, 2, 3], [2, 4, 5], {})


def test_a_star_means_all_cells_that_are_not_listed():
    assert named(["a", "b", ""], values={"a": "a", "*": None}).columns.cells["x"] == ["a"]


def test_a_list_of_names_fixes_their_order():
    found = named(["b", "a"], values=["b", "a"])
    assert (found.columns.cells["x"], found.orders) == (["b", "a"], {"x": ("b", "a")})


@pytest.mark.parametrize("rule", ["first", ["stove", "lamp", ""], {"stove": "stove"}])
def test_a_cell_that_is_a_list_counts_as_its_first_entry(rule):
    cells = ['["stove", "oven"]', "['lamp']", "[]", "lamp"]
    assert named(cells, values=rule).columns.cells["x"] == ["stove", "lamp", "", "lamp"]


def test_bins_are_numbered_in_their_order_and_a_missing_number_is_unknown():
    found = named(["0", "29.5", "30", "100", "", "NA"], bins=[0, 30, 100])
    assert found.columns.cells["x"] == ["0-29", "0-29", "30-99", "100+", "", ""]
    assert found.orders == {"x": ("0-29", "30-99", "100+")}
    income = named(["1500000"], bins=[0, 1500000, 1500002])
    assert income.orders == {"x": ("0-1499999", "1500000-1500001", "1500002+")}
    fractions = named(["0.5", "-1e3"], bins=[-1000, 0.5])
    assert fractions.columns.cells["x"] == ["0.5+", "-1000 to 0.5"]


def test_minus_one_is_missing_only_below_the_first_edge():
    assert named(["-1", "-5"], bins=[-10, 0]).columns.cells["x"] == ["-10 to 0", "-10 to 0"]
    assert named(["-1"], bins=[-1, 0]).columns.cells["x"] == ["-1 to 0"]
    assert named(["-1", "3"], bins=[0, 5]).columns.cells["x"] == ["", "0-4"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"values": {"bb": "b"}}, r"data\.values\.x: t\.csv has none .* 'bb'; did you mean 'b'"),
        (
            {"values": {False: "b"}},
            "x has False, .* words no, off and false: write your word in quotes, as in 'false'",
        ),
        (
            {"values": {True: "b"}},
            "x has True, .* words yes, on and true: write your word in quotes, as in 'true'",
        ),
        ({"values": {"b": False}}, "x has False, .* words no, off and false"),
        ({"values": ["b", True]}, "x has True, .* words yes, on and true"),
        ({"values": 5}, "data.values.x must be names by cell, a list of names, or the word"),
        ({"values": "last"}, "data.values.x must be names by cell, a list of names, or the word"),
        ({"bins": [1, 2]}, "line 2: x is '-5', but must be a number from 1, the first edge"),
        ({"bins": [-9]}, "line 3: x is 'b', but must be a number"),
        ({"bins": [2, 1]}, r"data\.bins\.x must be increasing numbers, .*; got \[2, 1\]"),
        ({"bins": []}, "data.bins.x must be increasing numbers"),
    ],
)
def test_mistakes_are_named(rules, message):
    with pytest.raises(InputError, match=message):
        named(["-5", "b", "NAN"], **rules)


def test_a_cell_that_is_not_a_number_in_another_spelling_is_in_no_bin():
    with pytest.raises(InputError, match="line 3: x is 'NAN', but must be a number"):
        named(["5", "NAN"], bins=[0])
    with pytest.raises(InputError, match="line 3: x is '20_29', but must be a number"):
        named(["5", "20_29"], bins=[0])


def test_a_damaged_list_is_named():
    with pytest.raises(InputError, match=r"line 3: x is '\[\"a', but must be a list"):
        named(["[]", '["a'], values="first")


@pytest.mark.parametrize("shares", [[0.8, 0.2], [0.5, 0.1, 0.1], [0, 0.5, 0.5], [1.2, -0.1, -0.1]])
def test_shares_must_sum_to_one(shares):
    with pytest.raises(InputError, match=r"data\.shares must be the shares of train, val and test"):
        RowRules(shares=shares)
