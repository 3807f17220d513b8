"""``debias list``: families of measures by title, keys and how to read them, and needs."""

import pytest

from debias.commands import list as listing
from debias.metrics.families import FAMILIES


def test_list_metrics_tells_every_family_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    listing.run("metrics", "*")
    lines = capsys.readouterr().out.splitlines()
    for name, family in FAMILIES.items():
        start = lines.index(f"{family.title} (measures.{name}): {family.meaning}")
        told = lines[start + 1 : start + 1 + len(family.numbers)]
        assert [line.partition(": ")[0] for line in told] == list(family.numbers)


def test_numbers_without_ideal_or_direction_name_none(capsys: pytest.CaptureFixture[str]) -> None:
    listing.run("metrics", "*")
    lines = capsys.readouterr().out.splitlines()
    assert "samples/<bias>: Images. Number of images of this bias value." in lines
    assert next(line for line in lines if line.startswith("discovery/error_lift")).endswith(
        "1 is no better than a random set. Higher is better."
    )
    assert next(line for line in lines if line.startswith("centre_bias")).endswith(
        "Ideal 0, lower is better."
    )


def _needs(what: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What each component of a kind is said to need."""
    listing.run(what, "*")
    needs, name = {}, ""
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith(" "):
            name = line.partition(":")[0]
        elif line.startswith("    needs "):
            needs[name] = line.removeprefix("    needs ")
    return needs


def test_list_samplers_tells_which_labels_each_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert _needs("samplers", capsys) == {
        "group_balanced": "bias",
        "bias_balanced": "bias",
        "fair_batch": "bias",
        "group_subsample": "bias",
        "group_mixture": "bias",
        "distribution_subsample": "bias",
        "moment_matched": "bias",
        "kept": "inferred groups",
        "progressive": "bias",
        "upweighted": "inferred groups",
        "weighted": "inferred groups",
        "cluster_balanced": "inferred groups",
    }


def test_options_that_are_named_like_labels_are_no_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The loaders `table` and `celeba` have an option `bias`, the column or attribute."""
    assert _needs("datasets", capsys) == {}


@pytest.mark.parametrize(
    ("what", "pattern", "names"),
    [
        ("configs", "waterbirds/j*", ["waterbirds/jtt"]),
        ("samplers", "class_*", ["class_balanced", "class_subsample", "class_mixture"]),
        ("metrics", "worst_class", ["worst_class"]),
    ],
)
def test_a_pattern_selects_names(what, pattern, names, capsys) -> None:
    listing.run(what, pattern)
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] not in ("", " ")]
    assert [line.partition(": ")[0] for line in lines] == names


def test_a_pattern_without_a_match_names_at_most_three() -> None:
    with pytest.raises(ValueError, match="no config matches 'waterbird/jtt'") as error:
        listing.run("configs", "waterbird/jtt")
    assert str(error.value).count("'waterbirds") == 3
