"""The steps that join cues of the data with a run: followed, kept, and learnt first."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from debias.audits.cues.groups import GROUPS, PROPOSALS
from debias.audits.cues.ladder import CUES, measure
from debias.audits.leaning.ablation_step import ABLATION_STEP, ablated
from debias.audits.leaning.following_step import FOLLOWING_STEP
from debias.audits.leaning.order_step import ORDER_STEP
from debias.audits.steps import Audited
from debias.reports.predictions import Predictions, write
from tests.audits.made_models import GROUPS as NAMES
from tests.audits.made_models import background_reader, done, made_run, object_reader


@pytest.fixture(scope="module")
def found():
    """Cues and proposals of the made pictures; they do not depend on the model."""
    audited = made_run(object_reader())
    audited.found[CUES] = measure(audited)
    audited.found[GROUPS] = PROPOSALS.compute(audited)
    return dict(audited.found)


def of(network, found, run=None) -> Audited:
    audited = made_run(network)
    audited.found.update(found)
    object.__setattr__(audited.model, "run", run)
    return audited


def predictions(audited: Audited, split: int) -> Predictions:
    rows = np.flatnonzero(audited.split == split)
    target = audited.examples.target[rows]
    names = tuple(audited.examples.images[row] for row in rows)
    logits = audited.model.logits(audited.pictures[rows])
    return Predictions(torch.from_numpy(rows), names, target, target * 0 - 1, logits)


def test_a_reader_of_the_background_follows_the_cue_and_a_reader_of_the_object_does_not(found):
    lines, section = done(FOLLOWING_STEP, of(background_reader(), found))
    assert lines[0].strength == "strong"
    assert {line.strength for line in lines} <= {"strong", "some"}
    assert "background" in lines[0].name or "colour" in lines[0].name
    assert lines[0].words.startswith("accuracy 100 % where it agrees with the class, 0 % where not")
    assert lines[0].value == pytest.approx(1)
    assert section.strips[0].title.startswith("cat, called otherwise by the model and by the ")
    (line,), _ = done(FOLLOWING_STEP, of(object_reader(), found))
    assert (line.strength, line.value) == ("none found", 0)


def test_cues_with_one_explanation_are_one_printed_line(found):
    """Of the two cues that are followed most, one explains the other."""
    audited = of(background_reader(), found)
    cues = dict(found[CUES])
    names, alone = cues["names"].tolist(), np.full(len(cues["names"]), -1)
    audited.found[CUES] = cues | {"explained_by": alone}
    lines, _ = done(FOLLOWING_STEP, audited)
    assert {line.explained_by for line in lines} == {""}
    first, second = (names.index(line.name.replace(" ", "_")) for line in lines[:2])
    explained = alone.copy()
    explained[first] = second
    audited.found[CUES] = cues | {"explained_by": explained}
    lines = FOLLOWING_STEP.lines(audited)
    assert [line.explained_by for line in lines[:2]] == ["", lines[0].name]


def test_saved_predictions_are_used_if_they_are_of_these_rows(found, tmp_path):
    """The file has the decisions of a reader of the background; the model reads the object."""
    audited = of(object_reader(), found, tmp_path)
    write(
        tmp_path / "predictions" / "test.csv", predictions(of(background_reader(), found), 2), NAMES
    )
    lines, _ = done(FOLLOWING_STEP, audited)
    assert lines[0].value == pytest.approx(1)


def test_saved_predictions_are_those_of_the_image_in_a_table_of_another_order(found, tmp_path):
    """The file has the rows of the run: its numbers are those of other images of this table."""
    audited = of(object_reader(), found, tmp_path)
    for split, name in ((1, "val-epoch=000"), (2, "test")):
        saved = predictions(audited, split)
        order = torch.arange(len(saved)).roll(1)  # the other class
        moved = replace(
            saved,
            paths=tuple(saved.paths[row] for row in order),
            target=saved.target[order],
            logits=saved.logits[order],
        )
        write(tmp_path / "predictions" / f"{name}.csv", moved, NAMES)
    done(FOLLOWING_STEP, audited)
    assert audited.found["taken"]["correct"].all()
    done(ORDER_STEP, audited)
    assert audited.found["order"]["kappa_target"] == 1


def test_the_background_alone_is_kept_by_its_reader_and_lost_by_a_reader_of_the_object(found):
    lines, section = done(ABLATION_STEP, of(background_reader(), found))
    assert lines[0].strength == "strong"
    assert lines[0].words.endswith("on 90 % of whole ones")
    kept = {one.name: one for one in ablated(of_done(background_reader(), found))}
    assert kept["background"].kept > 0.9
    assert kept["foreground"].kept < 0.3
    kept = {one.name: one for one in ablated(of_done(object_reader(), found))}
    assert kept["foreground"].kept > 0.9
    assert kept["background"].high < 0.5
    assert kept["background"].p_value < 0.01
    header, rows = section.header, {row[0]: row for row in section.table}
    assert rows["background"][header.index("taken")].endswith(" %")
    assert rows["grey"][header.index("offered")] == "–"  # it needs an encoder
    assert [bar for bar in section.bars if bar.name == "mean colour" and bar.beside is not None]


def test_a_model_that_may_be_at_chance_keeps_no_cue(found):
    """It is right on 55 % of the whole pictures, and on all of those with one cue left."""
    audited = of_done(background_reader(), found)
    target = audited.target[audited.found["ablation"]["positions"]]
    names = audited.found["ablation"]["names"].tolist()
    for right, named in ((0.9, True), (0.55, False)):
        decided = np.stack([target] * len(names))
        decided[0, int(right * len(target)) :] ^= 1
        audited.found["ablation"] = audited.found["ablation"] | {"decided": decided}
        assert ablated(audited)[0].low >= 0.2
        assert bool(ABLATION_STEP.lines(audited)) is named


def test_a_single_held_out_class_keeps_no_cue(found):
    """A model that always decides this class is right on all pictures, whatever is left."""
    audited = of(background_reader(), found)
    learning = np.where((audited.split == 2) & (audited.target == 0), 0, audited.split)
    lines, _ = done(ABLATION_STEP, replace(audited, split=learning))
    assert lines == []


def of_done(network, found) -> Audited:
    audited = of(network, found)
    audited.found["ablation"] = ABLATION_STEP.compute(audited)
    return audited


def test_a_run_without_masks_has_fewer_rungs(found):
    audited = made_run(object_reader(), masks=False)
    audited.found.update(found)
    names = ABLATION_STEP.compute(audited)["names"].tolist()
    assert names[0] == "image"
    assert "background" not in names
    assert "mean_colour" in names
    assert len(names) == len(set(names))


def test_the_first_epoch_agrees_with_the_cue_that_it_reads(found, tmp_path):
    audited = of(object_reader(), found, tmp_path)
    assert ORDER_STEP.unavailable(audited) == "no predictions of the first epoch"
    path = tmp_path / "predictions" / "val-epoch=000.csv"
    write(path, predictions(of(background_reader(), found), 1), NAMES)
    lines, section = done(ORDER_STEP, audited)
    assert lines[0].value > 0.8
    assert "kappa" in lines[0].words
    kappas = [float(kappa) for _, kappa in section.table]
    assert kappas == sorted(kappas, reverse=True)
    assert "With the true classes it is 0.80" in section.text[0]
    write(path, predictions(of(object_reader(), found), 1), NAMES)
    _, section = done(ORDER_STEP, audited)
    assert "With the true classes it is 1.00" in section.text[0]


def test_clones_keep_the_means_that_a_linear_model_reads(found, tmp_path):
    audited = of(object_reader(), found, tmp_path)
    write(tmp_path / "predictions" / "val-epoch=000.csv", predictions(audited, 1), NAMES)
    done(ORDER_STEP, audited)
    plain, by_mean, by_covariance = audited.found["order"]["clones"].tolist()
    assert plain == 1
    assert by_mean > 0.95
    assert by_covariance > 0.95
