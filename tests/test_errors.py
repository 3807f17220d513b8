"""What a message says about an unknown name, and about a value out of its bounds."""

import math

import pytest

from debias.errors import (
    InputError,
    check_at_least,
    check_between,
    check_finite,
    check_one_of,
    check_positive,
    near,
)


def test_few_names_are_all_listed_and_the_nearest_is_offered():
    assert (
        near("group_drp", ["group_dro", "erm"]) == "did you mean 'group_dro'? valid: erm, group_dro"
    )
    assert near("xyz", ["group_dro", "erm"]) == "valid: erm, group_dro"


def test_of_many_names_at_most_three_near_ones_and_the_command_that_lists_them():
    names = [f"waterbirds/method_{number:03d}" for number in range(160)]
    hint = near("waterbirds/method_01", names, "debias list configs")
    assert hint.count("'") == 6
    assert hint.endswith("? there are 160 valid names; `debias list configs` lists them")
    assert near("qqq", names).startswith(
        "there are 160 valid names, such as waterbirds/method_000, "
    )


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("value", [{"a": {"lr": float("nan")}}, {"a": {"lr": [0.1, float("inf")]}}])
def test_numbers_that_are_not_finite_are_found_at_any_depth(value):
    with pytest.raises(
        InputError, match=r"^optimizer\.a\.lr must be a finite number; got (nan|inf)$"
    ):
        check_finite("optimizer", value)
    check_finite("optimizer", {"a": {"lr": [0.1, 1, None, True, "nan"]}})


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1)", (0, 0.5), (-0.1, 1, 2)),
        ("(0, 1]", (0.5, 1), (-0.1, 0, 1.1)),
        ("[1, 5]", (1, 5), (0.9, 5.1)),
        ("(0, inf)", (1e-9, 1e300), (0, math.inf)),
    ],
)
def test_an_interval_is_checked_as_it_is_written(
    interval: str, inside: tuple[float, ...], outside: tuple[float, ...]
):
    check_between(interval, {f"x{number}": number for number in inside})
    for number in (*outside, math.nan):
        with pytest.raises(InputError) as error:
            check_between(interval, {"x": number}, of="FLAC", hint="take less")
        assert str(error.value) == f"x must lie in {interval} for FLAC; got {number}: take less"


def test_the_first_number_below_its_bound_is_named():
    check_at_least(0, {"ramp": 0, "strength": 0.5})
    for number in (-1, math.nan):
        with pytest.raises(InputError, match=rf"^warmup must be at least 0; got {number}$"):
            check_at_least(0, {"ramp": 0, "warmup": number, "strength": -2})


def test_zero_is_not_positive():
    check_positive({"scale": 1e-9})
    for number in (0, -1, math.nan):
        with pytest.raises(InputError, match=rf"^scale must be positive for LDAM; got {number}$"):
            check_positive({"scale": number}, of="LDAM")


def test_a_choice_names_what_is_valid():
    check_one_of(("val", "train"), {"recipe.split": "val"})
    with pytest.raises(InputError, match=r"^recipe\.split must be one of val, train; got 'test'$"):
        check_one_of(("val", "train"), {"recipe.split": "test"})
