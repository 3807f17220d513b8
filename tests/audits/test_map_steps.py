"""The steps about maps, on models whose maps are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from debias.audits.leaning.rows import held_out, turns_of_groups
from debias.audits.lines import Strip
from debias.audits.maps import information_step, maps_step, swaps_step
from debias.audits.maps.drawn import framed, overlaid
from debias.audits.maps.information_step import CURVE_STEP
from debias.audits.maps.maps_step import MAP_STEP, map_checks
from debias.audits.maps.swaps_step import SWAP_STEP
from tests.audits.made_models import OBJECT, background_reader, done, made_run, object_reader


def coarse(model, where):
    """The model reads a region, from maps of 8 x 8 places, each the mean of 4 x 4 pixels."""
    where = torch.from_numpy(where).float()
    small = torch.nn.functional.avg_pool2d(where[None, None], 4)[0, 0]
    model.backbone[1].share = small / small.sum()
    model.backbone.insert(0, torch.nn.AvgPool2d(4))
    return model


def surroundings_reader():
    return coarse(background_reader(), ~OBJECT)


@pytest.fixture(scope="module", autouse=True)
def few_pictures():
    """So that the steps take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maps_step, "MOST", 8)
        patch.setattr(maps_step, "FEW", 4)
        patch.setattr(maps_step, "GRIDS", 8)
        patch.setattr(swaps_step, "MOST", 24)
        patch.setattr(swaps_step, "PAIRS", 3)
        patch.setattr(information_step, "MOST", 1)
        yield


@pytest.fixture(scope="module")
def explained():
    audited = made_run(surroundings_reader(), rows=120)
    return audited, *done(MAP_STEP, audited)


def test_maps_that_do_not_pass_are_not_drawn(explained):
    """Grad-CAM's weights do not know the place: DiFull leaves attribution in the other cells."""
    audited, lines, section = explained
    checks = map_checks(audited)
    assert checks.deletion < 0 < checks.insertion
    assert 0 < checks.difull <= 1
    assert 0 <= checks.unstable < 1
    table = {row[0]: row[1:] for row in section.table}
    assert table["rank correlation, new weights down to head"][0] == f"{checks.new_head:.2f}"
    (line,) = lines
    assert (line.kind, line.name) == ("maps", "Grad-CAM")
    assert (line.strength == "warning") is not checks.believed
    assert bool(section.strips) is checks.believed


def test_the_first_maps_are_of_all_classes_though_paths_begin_with_one():
    """The robustness is that of the first pictures, and the first ones are shown."""
    audited = made_run(surroundings_reader(), rows=120)
    by_class = np.lexsort((audited.target, audited.split))
    audited = replace(audited, target=audited.target[by_class], rows=by_class)
    audited.found["maps"] = MAP_STEP.compute(audited)
    positions = audited.found["maps"]["positions"]
    for most in (2, 4, 8):
        assert np.bincount(audited.target[positions[:most]]).tolist() == [most / 2] * 2


def test_the_rule_of_the_page(explained):
    """Below .9 of DiFull, or above .5 of the correlation, the sentence replaces the maps."""
    audited = explained[0]
    kept = dict(audited.found["maps"])
    for difull, correlation, believed in (
        (0.95, 0.1, True),
        (0.89, 0.1, False),
        (0.95, 0.51, False),
        (np.nan, 0.1, True),
    ):
        grids = np.array([0.5, difull, 0.9])
        correlations = np.full(len(kept["layers"]), correlation)
        audited.found["maps"] = kept | {"grids": grids, "correlations": correlations}
        (line,), section = MAP_STEP.lines(audited), MAP_STEP.section(audited)
        assert ("do not follow" in line.words) is not believed
        assert ("do not follow" in section.text[0]) is not believed
        assert len(section.strips) == believed
    audited.found["maps"] = kept


def test_groups_take_turns(explained):
    """The proposal says red: all four groups are explained, also the two rare ones."""
    audited = made_run(surroundings_reader(), rows=480)
    word = (audited.pictures[:, 0, 8:, 0].mean(axis=1) > 128).astype(np.int64)
    follows = np.array([[1, 0.5, 0.5, 0.4, 0.6, 40]])
    groups = {"cues": np.array(["background"]), "word": word[None], "follows": follows}
    audited.found["groups"] = groups
    done(SWAP_STEP, audited)
    positions = audited.found["swaps"]["positions"]
    assert (word[positions[:, 0]] == audited.target[positions[:, 0]]).all()  # it is right there
    shown = held_out(audited, 40, label=turns_of_groups(audited))
    groups = np.bincount(turns_of_groups(audited)[shown.positions], minlength=4)
    assert groups.tolist() == [12, 8, 8, 12]


def test_swapped_cells_of_a_reader_of_the_surroundings_are_there():
    lines, section = done(SWAP_STEP, made_run(surroundings_reader(), rows=120))
    audited_words = lines[0].words
    assert audited_words.endswith("3 of 3 first swaps exchange surroundings")
    (strip,) = section.strips
    assert len(strip.pictures) == len(strip.captions) == 6
    assert {caption.removesuffix(", donor") for caption in strip.captions} == {"cat", "dog"}
    lines, _ = done(SWAP_STEP, made_run(coarse(object_reader(), OBJECT), rows=120))
    assert lines[0].words.endswith("0 of 3 first swaps exchange surroundings")


def test_a_model_without_maps_of_several_places_has_no_swaps():
    audited = made_run(object_reader())  # maps of 32 x 32 places
    assert "2 to 256 places" in SWAP_STEP.unavailable(audited)
    audited.model.network.model.backbone[0] = torch.nn.Conv2d(3, 2, 32)
    audited.model.network.model.backbone[1] = torch.nn.Flatten()
    assert "2 to 256 places" in SWAP_STEP.unavailable(audited)


def test_frames_and_overlays():
    picture = np.full((64, 64, 3), 90, np.uint8)
    shown = framed(picture, (8, 16, 24, 32))
    assert shown[8, 16:32].tolist() == [[220, 30, 30]] * 16
    assert (shown != picture).any(axis=2).sum() == 16 * 16 - 14 * 14
    red = overlaid(picture, np.array([[0, 1], [0, 0]], np.float32))
    assert red[:16, :16].tolist() == picture[:16, :16].tolist()
    assert red[2, 62, 0] > red[2, 62, 2]


def test_information_is_on_request(explained):
    audited = explained[0]
    assert CURVE_STEP.on_request
    _, section = done(CURVE_STEP, audited)
    assert [row[0] for row in section.table] == [
        "SIC, Grad-CAM",
        "SIC, random order",
        "AIC, Grad-CAM",
        "AIC, random order",
    ]
    assert isinstance(section.strips, tuple)
    assert not [strip for strip in section.strips if isinstance(strip, Strip)]
