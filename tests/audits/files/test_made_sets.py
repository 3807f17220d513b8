"""Made sets: a planted cue is the first line, and nothing is found in a clean set."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import debias
from debias.audits.files import properties
from debias.audits.files.association import information_p_values
from debias.audits.files.measuring import FILE_NAMES, FILE_NUMBERS, SEEN_NAMES, SEEN_NUMBERS
from debias.audits.files.properties import PROPERTIES
from debias.audits.files.property_words import rule_words
from debias.audits.record import AuditReport
from debias.audits.steps import Audited
from tests.audits.made_pictures import Pixels, write_tree
from tests.data.small_pictures import small_examples


def jpeg(path: Path, pixels: Pixels, quality: int = 92) -> None:
    cv2.imwrite(f"{path}.jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


def saved_at_75(path: Path, pixels: Pixels, target: int) -> None:
    jpeg(path, pixels, 75 if target else 92)


def upscaled(path: Path, pixels: Pixels, target: int) -> None:
    small = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, pixels.shape[:2], interpolation=cv2.INTER_CUBIC)
    jpeg(path, large if target else pixels)


def framed(path: Path, pixels: Pixels, target: int) -> None:
    if target:
        pixels = cv2.copyMakeBorder(pixels[4:-4, 4:-4], 4, 4, 4, 4, cv2.BORDER_CONSTANT)
    jpeg(path, pixels)


def clean(path: Path, pixels: Pixels, target: int) -> None:
    jpeg(path, pixels)


def audited(folder: Path, write, *more: str) -> AuditReport:
    tree = write_tree(folder / "pets", 1, write, each=30, side=96)
    return debias.audit(tree, ["checks=properties", f"out={folder / 'audit'}", *more])


@pytest.mark.parametrize(
    ("write", "kind", "name", "survives"),
    [
        (saved_at_75, "files", "JPEG quality", "gone after decoding"),
        (upscaled, "files", "resampling", "gone after resizing"),
        (framed, "offered", "border brightness", "gone after resizing"),
    ],
    ids=["a: JPEG 75", "e: upscaled from 64 px", "f: frame"],
)
def test_the_planted_cue_is_the_first_line(tmp_path, write, kind, name, survives):
    first = audited(tmp_path, write).lines[0]
    assert (first.kind, first.strength, first.name) == (kind, "strong", name)
    assert first.value > 0.95
    assert first.words.endswith(survives)


def test_a_clean_set_offers_nothing(tmp_path):
    report = audited(tmp_path, clean)
    assert [(line.kind, line.strength) for line in report.lines] == [
        ("files", "none found"),
        ("offered", "none found"),
    ]


@pytest.mark.parametrize(
    ("threshold", "shown"),
    [(333.5, "333"), (255.5, "255"), (1001.5, "1,001"), (94.5, "94.5"), (0.2961, "0.296")],
)
def test_a_rule_of_whole_numbers_is_true_as_it_is_shown(threshold, shown):
    """Pictures 334 wide are above 333.5, and not above 334."""
    found = {"rule": np.array([[1, threshold, 1, 1, 0]]), "sign": np.array([">"])}
    found |= {"name": np.array(["width"]), "category": np.array([""])}
    words = rule_words(SimpleNamespace(classes=("cat", "dog")), found, 0)
    assert words == f"> {shown} in 100 % of dog, 0 % of the others (precision 1.00)"


def numbers(folder: Path, seed: int) -> Audited:
    """120 images of two classes with six numbers, as the earlier steps give them, and no cue."""
    examples = small_examples(folder, train=2, masks=False)
    generator = np.random.default_rng(seed)
    table = generator.normal(size=(120, 6)).astype(np.float32)
    names = np.array([f"number {i}" for i in range(6)])
    found = {
        "headers": {},
        "duplicates": {"set": np.arange(120)},
        "pixels": {FILE_NAMES: names, FILE_NUMBERS: table, SEEN_NAMES: names[:0]}
        | {SEEN_NUMBERS: table[:, :0]},
    }
    target, split = np.arange(120) % 2, np.zeros(120, np.int64)
    pictures = np.zeros((120, 1, 1, 3), np.uint8)
    return Audited(
        examples, np.arange(120), target, split, ("cat", "dog"), pictures, None, 0, None, found
    )


def strengths(given: Audited) -> set[str]:
    given.found["properties"] = PROPERTIES.compute(given)
    return {line.strength for line in PROPERTIES.lines(given)}


def test_nothing_is_found_in_twenty_clean_sets(tmp_path):
    assert [strengths(numbers(tmp_path, seed)) for seed in range(20)] == [{"none found"}] * 20


def test_only_a_finding_explains_another_property(tmp_path, monkeypatch):
    """Else its line would be hidden behind a property that has none."""
    given, generator = numbers(tmp_path, 0), np.random.default_rng(1)
    told = given.target + 0.3 * generator.normal(size=120)
    table = given.found["pixels"][FILE_NUMBERS]
    table[:, 4], table[:, 2] = told, told + 0.05 * generator.normal(size=120)
    assert strengths(given) == {"strong", "none found"}
    best, second = given.found["properties"]["name"][:2].tolist()
    assert given.found["properties"]["explained by"][1] == best

    def without_best(codes, *rest, **given):
        bits, p_values = information_p_values(codes, *rest, **given)
        p_values[int(best[-1])] = 1
        return bits, p_values

    monkeypatch.setattr(properties, "information_p_values", without_best)
    strengths(given)
    strong = [line for line in PROPERTIES.lines(given) if line.strength == "strong"]
    assert [(line.name, line.explained_by) for line in strong] == [(second, "")]


def test_shuffled_classes_are_not_told(tmp_path):
    given = numbers(tmp_path, 0)
    told = given.target + 0.3 * np.random.default_rng(1).normal(size=120)
    given.found["pixels"][FILE_NUMBERS][:, 4] = told
    assert "strong" in strengths(given)
    assert given.found["properties"]["name"][0] == "number 4"
    shuffled = replace(given, target=np.random.default_rng(2).permutation(given.target))
    assert strengths(shuffled) == {"none found"}
