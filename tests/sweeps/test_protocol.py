"""Which runs a protocol lets through, and how it is written down."""

import pytest

from debias.sweeps.plan import plan
from debias.sweeps.protocol import Protocol, check_runs, read_protocol, write_protocol


@pytest.mark.parametrize(
    ("labels", "config", "settings", "message"),
    [
        ("validation_groups_unknown", "", "select: average", None),
        ("validation_groups_unknown", "", "select: worst_class", None),
        ("validation_groups_unknown", "", "select: class_difference", None),
        (
            "validation_groups_unknown",
            "",
            "select: worst_group",
            "of val,.* select=worst_class or select=average",
        ),
        (
            "validation_groups_unknown",
            "",
            "select: auto",
            "of val,.* select=worst_class or select=average",
        ),
        ("validation_groups_unknown", "", "select: balanced", "does not allow. Use select="),
        (
            "validation_groups_unknown",
            "/coral",
            "select: average",
            "of train,.* declare labels=training_groups_kno",
        ),
        ("validation_groups_unknown", "/jtt", "select: average", None),
        (
            "validation_groups_unknown",
            "/ssa",
            "select: average",
            "of val,.* declare labels=validation_groups_known",
        ),
        ("validation_groups_known", "/jtt", "select: worst_group", None),
        ("validation_groups_known", "/ssa", "select: worst_group", None),
        (
            "validation_groups_known",
            ": {sampler.name: [group_balanced]}",
            "select: worst_group",
            "of train, which labels=validation_groups_known",
        ),
        ("training_groups_known", "/coral", "select: worst_group", None),
        (None, "/coral", "select: worst_group", None),
        (
            "groups_unknown",
            "",
            "select: average",
            "unknown protocol labels='groups_unknown'; did you mean",
        ),
    ],
)
def test_runs(labels, config, settings, message, sweep):
    runs = plan(sweep(f"configs: [drawn_birds{config}]\nset: {{{settings}}}")).runs
    if message is None:
        check_runs(labels, runs)
    else:
        with pytest.raises(ValueError, match=message):
            check_runs(labels, runs)


def test_inferred_groups_are_no_labels(sweep):
    """CORAL on inferred training groups reads true labels of validation only, to select."""
    path = sweep(
        "configs: [drawn_birds/coral]\nset: {groups: {file: groups.csv}}\nlabels: "
        "validation_groups_known"
    )
    planned = plan(path)
    check_runs(planned.labels, planned.runs)
    assert planned.labels == "validation_groups_known"
    assert plan(path, ["labels=training_groups_known"]).labels == "training_groups_known"


def test_written_down(tmp_path):
    searched = Protocol(
        "validation_groups_known", ("average", "worst_group_gap"), 40, (0, 1), (10, 11, 12)
    )
    for protocol in (searched, Protocol("training_groups_known"), None, None):
        write_protocol(tmp_path / "runs", protocol)
        assert read_protocol(tmp_path / "runs") == protocol
    assert (
        searched.sentence()
        == "Protocol validation_groups_known: group labels of validation may be used, none of "
        "training. A search tried 40 settings per config (seeds 0, 1) and chose by average and "
        "worst_group_gap on validation. The tables report new seeds (10, 11, 12)."
    )
