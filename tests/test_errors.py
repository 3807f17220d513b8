"""What a message says about a name that nobody knows."""

from __future__ import annotations

import pytest

from debias.errors import InputError, check_finite, near


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
