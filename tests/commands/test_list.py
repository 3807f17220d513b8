"""``debias list metrics``: every family of measures, told by title, keys and how to read them."""

from __future__ import annotations

import pytest

from debias.commands import list as listing
from debias.metrics.families import FAMILIES


def test_list_metrics_tells_every_family_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    listing.run("metrics", "*")
    lines = capsys.readouterr().out.splitlines()
    for name, family in FAMILIES.items():
        start = lines.index(f"{family.title} (measures.{name}): {family.meaning}")
        told = lines[start + 1 : start + 1 + len(family.descriptions)]
        assert [line.partition(": ")[0] for line in told] == list(family.descriptions)


def test_numbers_without_ideal_or_direction_name_none(capsys: pytest.CaptureFixture[str]) -> None:
    listing.run("metrics", "*")
    lines = capsys.readouterr().out.splitlines()
    assert "samples/<bias>: Images. How many images have this bias value." in lines
    assert next(line for line in lines if line.startswith("discovery/error_lift")).endswith(
        "1 is no use. Higher is better."
    )
    assert next(line for line in lines if line.startswith("centre_bias")).endswith("Ideal 0, lower is better.")
