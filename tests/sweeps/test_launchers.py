"""Which words of the command line are the launcher's."""

from __future__ import annotations

import pytest

from debias.sweeps.launchers import launcher
from debias.sweeps.local import local


def test_options_and_the_rest():
    launch, rest = launcher(["epochs=3", "workers=4", "launcher=local", "threads=null", "data.root=a"])
    assert (launch.func, launch.keywords, rest) == (local, {"workers": 4, "threads": None}, ["epochs=3", "data.root=a"])
    launch, rest = launcher([])
    assert (launch.func, launch.keywords, rest) == (local, {}, [])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["launcher=locl"], "unknown launcher 'locl'; did you mean 'local'"),
        (["workers=many"], "launcher.workers: Value 'many'"),
    ],
)
def test_mistakes(overrides, message):
    with pytest.raises(ValueError, match=message):
        launcher(overrides)


@pytest.mark.parametrize(("option", "value", "least"), [("workers", 0, 1), ("threads", 0, 1), ("retries", -1, 0)])
def test_numbers_out_of_range(option, value, least):
    with pytest.raises(ValueError, match=f"{option} must be at least {least}; got {value}"):
        local([], None, None, **{option: value})
