"""The texts of the families: every number that a report holds has one, and the right one."""

import csv
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from debias.evaluation.curves import CURVES
from debias.evaluation.families import CONDITIONS, MEASURES
from debias.metrics import descriptions
from debias.metrics.accuracy.counts import Tally
from debias.metrics.amplification.report import amplification_report, multi_attribute_report
from debias.metrics.attention.maps import attention_scores
from debias.metrics.attention.scores import AttentionScores
from debias.metrics.descriptions import DESCRIPTIONS, Description
from debias.metrics.discovery.errors import discovery_report
from debias.metrics.discovery.information import information_report
from debias.metrics.fairness.rates import fairness_report
from debias.metrics.families import (
    FAMILIES,
    MOST,
    headlines,
    of_positive,
    pattern_of,
    place_of,
    reading,
    title_of,
)
from debias.metrics.frequency.bands import CUTOFFS, band_pass_scalars
from debias.metrics.leakage.amplification import leakage_report
from debias.metrics.leakage.features import feature_leakage_report
from debias.metrics.leakage.probes import probe_report
from debias.metrics.leakage.variance import variance_report
from debias.metrics.scores.report import scores_report
from debias.metrics.shortcuts.context import ContextPair, context_report
from debias.metrics.shortcuts.cue_preference import has_cues, preference_report
from debias.metrics.shortcuts.made_sets import (
    cue_conflict_report,
    cues_are_classes,
    variant_report,
)
from debias.metrics.shortcuts.preferences import shortcut_report
from debias.metrics.shortcuts.uncommon import uncommon_report
from debias.types import Attribute, Groups

BIRDS = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))
THREE = Groups(("a", "b", "c"), ("x/1", "y|2", "<bias>"), aligned=((0, 0), (1, 1), (2, 2)))
FACES = Groups(
    ("not Smiling", "Smiling", "not Blond", "Blond"), ("female", "male"), multi_label=True
)
CARS = Groups.product(
    ("country", "urban"),
    [Attribute(name, ("fields", "city"), ((0, 0), (1, 1))) for name in ("bg", "obj")],
)
#: The bias values are both cues to the classes and variants of the pictures.
CUES = Groups(("mixed_same", "mixed_rand", "cat"), ("mixed_rand", "cat", "mixed_same"))
EVERY = {"birds": BIRDS, "three": THREE, "faces": FACES, "cues": CUES, "cars": CARS}


def random_set(groups: Groups, samples: int = 120) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and biases without any pattern."""
    generator = torch.Generator().manual_seed(0)
    shape, values = (
        ((samples, groups.outputs), 2) if groups.multi_label else ((samples,), groups.rows)
    )
    target = torch.randint(values, shape, generator=generator)
    bias = torch.randint(groups.biases, (samples,), generator=generator)
    return torch.randn(samples, groups.outputs, generator=generator), target, bias


def measured(groups: Groups) -> dict[str, dict[str, float]]:
    """What each family's report gives on a small random set; but for recombined pictures."""
    logits, target, bias = random_set(groups)
    prediction = groups.predict(logits)
    facts = (prediction, target, bias, groups)
    probabilities = logits.sigmoid() if groups.multi_label else logits.softmax(dim=1)
    train = groups.frequencies(target, bias)
    found = {
        "fairness": fairness_report(*facts),
        "amplification": amplification_report(
            *facts, train_frequencies=train, predicted_bias=bias.flip(0)
        ),
        "scores": scores_report(probabilities, target, bias, groups),
        "information": information_report(*facts),
        "errors": discovery_report(*facts),
        "shortcuts": shortcut_report(*facts, train),
        "leakage": leakage_report(logits, target, bias, groups, rounds=1),
        "features": (
            feature_leakage_report(logits, bias, target, rounds=1)
            | probe_report(logits, bias)
            | variance_report(logits, bias, target)
        ),
        "attention": attention(target, bias, groups),
        "frequency": frequencies(),
    }
    if has_cues(groups):
        found["preference"] = preference_report(*facts)
    if not groups.multi_label:
        found["uncommon"] = uncommon_report(*facts, (train > 9) * train)
    if cues_are_classes(groups):
        found |= {"cues": cue_conflict_report(*facts), "variants": variant_report(*facts)}
    if groups.multi_label:
        found["context"] = context_report(
            probabilities, target, [ContextPair(0, 1)], groups.label_names
        )
        found["amplification"] |= multi_attribute_report(
            *facts, train_target=target, train_bias=bias, predicted_bias=bias.flip(0)
        )
        found["thresholds"] = {"threshold/Smiling": 0.5, "threshold/Blond": 0.5} | found[
            "amplification"
        ]
    return found


def attention(target: Tensor, bias: Tensor, groups: Groups) -> dict[str, float]:
    group = groups.encode(target, bias).view(len(bias), -1)[:, 0]
    maps = torch.rand(len(bias), 4, 4, generator=torch.Generator().manual_seed(1))
    metric = AttentionScores(groups)
    metric.update(attention_scores(maps, (maps > 0.3).float()), group, maps[:, 0, 0] > 0.5)
    return {key: value.item() for key, value in metric.compute().items()}


def frequencies() -> dict[str, float]:
    """As the recipe names them: the untouched images once, the others by filter."""
    ones = torch.ones(len(CUTOFFS) + 1, dtype=torch.int64)
    scalars = {
        key: value.item() for key, value in band_pass_scalars(Tally(ones, ones), CUTOFFS).items()
    }
    clean = {"accuracy/clean": scalars.pop("accuracy/clean")}
    return clean | {
        f"{kind}/{key}": value
        for kind in ("low_pass", "high_pass")
        for key, value in scalars.items()
    }


@pytest.mark.parametrize("name", EVERY)
def test_every_number_of_a_report_can_be_read(name: str) -> None:
    """There is no exception: each key is described, by itself or by a pattern whose place is a name
    of the data.
    """
    groups = EVERY[name]
    places = {*groups.names, *groups.target_names, *groups.bias_names, *map("{:g}".format, CUTOFFS)}
    places |= {f"{outcome}|{bias}" for outcome in groups.target_names for bias in groups.bias_names}
    places |= {"correct", "wrong", "bias_aligned", "bias_conflicting", "bg", "obj", "bg+obj"}
    places |= {"target", "bias", "0", "1", "2", "Smiling|Blond"}
    for family, scalars in measured(groups).items():
        for key in scalars:
            pattern = pattern_of(family, key)
            assert pattern is not None, (family, key)
            if pattern.startswith("<score>"):
                assert place_of(pattern, key) in FAMILIES["attention"].numbers
            elif "<" in pattern:
                assert place_of(pattern, key) in places, (family, key, pattern)


def test_every_text_but_for_places_is_of_a_number_that_is_reported() -> None:
    """Recombined and altered pictures need a model; their keys are written out in the recipe."""
    recombined = {"background", "placement", "altered", "attacked"}
    reports = [measured(groups) for groups in EVERY.values()]
    for family in FAMILIES.keys() - recombined:
        described = set(FAMILIES[family].numbers)
        seen = {pattern_of(family, key) for report in reports for key in report.get(family, {})}
        assert described == seen, family


@pytest.mark.parametrize(
    ("family", "key", "pattern", "place"),
    [
        ("fairness", "accuracy/landbird|land", "accuracy/<outcome>|<bias>", "landbird|land"),
        ("fairness", "accuracy/land", "accuracy/<bias>", "land"),
        ("scores", "ece", "ece", ""),
        ("scores", "group_ece/a-b/c", "group_ece/<group>", "a-b/c"),
        ("attention", "attention_iou/deviation", "<score>/deviation", "attention_iou"),
        ("attention", "attention_iou/wrong", "attention_iou/<part of the images>", "wrong"),
        ("placement", "size_bias/0.5", "size_bias/<factor>", "0.5"),
        ("frequency", "low_pass/accuracy/0.1", "low_pass/accuracy/<cutoff>", "0.1"),
    ],
)
def test_patterns(family: str, key: str, pattern: str, place: str) -> None:
    assert pattern_of(family, key) == pattern
    assert place_of(pattern, key) == place
    assert reading(family, key) == FAMILIES[family].numbers[pattern]


@pytest.mark.parametrize(
    ("family", "key"),
    [("scores", "auroc/"), ("scores", "xauroc/a"), ("errors", "ece"), ("new", "ece")],
)
def test_what_is_not_known_has_no_reading(family: str, key: str) -> None:
    assert pattern_of(family, key) is None
    assert reading(family, key) is None


def test_recombined_pictures() -> None:
    """A model that minds no background or size keeps its accuracy, and loses nothing off centre."""
    robust = reading("background", "background_robustness")
    gap = reading("background", "background_gap")
    centre, size = reading("placement", "centre_bias"), reading("placement", "size_bias/2")
    assert [(text.ideal, text.better) for text in (robust, gap, centre, size) if text] == [
        (1.0, "higher"), (0.0, "lower"), (0.0, "lower"), (1.0, "higher"),
    ]  # fmt: skip


def test_numbers_whose_best_value_is_chance_name_no_other() -> None:
    """Of K bias values chance is 1 / K: the ideal is no one number; an area is always a half."""
    guesses = {
        "leakage": ("dataset", "dataset_at_f1", "model"),
        "features": ("features", "features_given_target"),
    }
    chance = [
        reading(family, f"leakage/{name}") for family, names in guesses.items() for name in names
    ]
    chance.append(reading("features", "probe/balanced_accuracy"))
    for text in chance:
        assert text is not None
        assert math.isnan(text.ideal)
        assert text.better == "lower"
        assert text.meaning.endswith("1 / number of bias values.")
    accuracy, area, majority = (
        reading("features", f"probe/{name}") for name in ("accuracy", "auroc", "majority")
    )
    assert [(text.ideal, text.better) for text in (accuracy, area, majority) if text] == [
        (pytest.approx(math.nan, nan_ok=True), "lower"), (0.5, "lower"),
        (pytest.approx(math.nan, nan_ok=True), ""),
    ]  # fmt: skip


def test_texts_are_whole() -> None:
    for family in FAMILIES.values():
        assert family.title
        assert family.meaning.endswith(".")
        for key, text in family.numbers.items():
            assert text.title, key
            assert text.meaning.endswith("."), key
            assert text.better in ("higher", "lower", ""), key
            assert text.better or math.isnan(text.ideal), key


def test_every_row_of_the_tables_is_a_text_of_a_number() -> None:
    """A row under a family that nobody reads would be lost in silence."""
    texts = [*DESCRIPTIONS.values()]
    texts += [text for family in FAMILIES.values() for text in family.numbers.values()]
    tables = sorted(Path(descriptions.__file__).parent.glob("*/numbers.csv"))
    assert len(tables) == 11
    for table in tables:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len({(row["family"], row["key"]) for row in rows}) == len(rows)
        for row in rows:
            start = (row["title"], row["meaning"])
            assert any(_begins(text, start) for text in texts), row


def _begins(text: Description, start: tuple[str, str]) -> bool:
    return text.title.startswith(start[0]) and text.meaning.startswith(start[1])


def test_a_table_is_read_by_family() -> None:
    """An empty ideal and "chance" are no number; chance is explained in the text."""
    majority, balanced, area = (
        descriptions.numbers("leakage", "features")[f"probe/{name}"]
        for name in ("majority", "balanced_accuracy", "auroc")
    )
    assert math.isnan(majority.ideal)
    assert math.isnan(balanced.ideal)
    assert (majority.better, balanced.better, area.ideal) == ("", "lower", 0.5)
    assert balanced.meaning.endswith("The ideal is chance: 1 / number of bias values.")
    assert descriptions.numbers("leakage", "unheard") == {}


def test_order_of_the_report() -> None:
    assert list(FAMILIES) == [
        "fairness", "amplification", "thresholds", "scores", "information", "errors", "shortcuts",
        "cues", "preference", "uncommon", "variants", "context", "leakage", "features",
        "background", "placement",
        "attention", "frequency", "altered", "attacked",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_measured_and_has_headlines_that_can_be_read(name: str) -> None:
    family = FAMILIES[name]
    assert name in MEASURES
    assert set(family.needs) <= set(CONDITIONS)
    assert not family.curve or family.curve in CURVES
    assert 2 <= len(family.headlines) <= MOST
    assert all(reading(name, key) for key in family.headlines)


def test_of_an_unknown_family_the_first_numbers_stand_for_it() -> None:
    scalars = {f"number{place}": place for place in range(9)}
    assert list(headlines("unheard", scalars)) == ["number0", "number1", "number2", "number3"]
    assert headlines("fairness", {"accuracy/land": 0.5}) == {"accuracy/land": 0.5}


def test_an_entry_of_one_attribute_reads_like_its_family() -> None:
    assert title_of("fairness/gender") == "Fairness: gender alone"
    assert title_of("fairness") == "Fairness"
    assert title_of("unheard/gender") == "unheard/gender"
    assert reading("fairness/a/b", "accuracy/land") == reading("fairness", "accuracy/land")
    assert [of_positive(name) for name in ("scores/gender", "errors/gender")] == [True, False]
    gaps = {"target_fraction": 1.0, "gap/bg": 0.0, "gap/bg+obj": 0.5}
    assert list(headlines("shortcuts", gaps)) == ["gap/bg", "gap/bg+obj"]


def test_the_guide_has_a_section_with_a_table_for_each_family() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    sections = [f"### {family.title}\n\n`measures.{name}`:" for name, family in FAMILIES.items()]
    places = [guide.find(section) for section in sections]
    assert -1 not in places
    assert places == sorted(places)
    assert all(f"<!-- table: {name} -->" in guide for name in FAMILIES)
