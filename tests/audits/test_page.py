"""What an audit prints and shows: few lines, strong ones first, and at most sixty pictures."""

import json
import re

import numpy as np

from debias.audits.engine import Findings
from debias.audits.lines import AuditLine, Section, Strip, ValueBar
from debias.audits.page import PICTURES, shared_room, write_page
from debias.audits.record import AuditReport, write_record
from debias.audits.steps import Audited
from debias.audits.terminal import MOST_LINES, printed_lines
from tests.data.small_pictures import small_examples


def line(kind: str, name: str, strength: str, value: float = 0.9, explained: str = "") -> AuditLine:
    return AuditLine(kind, name, strength, f"words of {name}", value, chance=0.5)._replace(
        explained_by=explained
    )


def report(*lines: AuditLine, sections: tuple[Section, ...] = (), name: str = "d") -> AuditReport:
    findings = Findings(lines, sections, {"a": 1.23}, {"maps": "no run"})
    settings = {"checks": "all", "images": 5, "encoder": "none", "seed": 0}
    images = {"train": (3, 3), "val": (2, 1), "test": (1, 2)}
    paths = tuple(f"{row}.png" for row in range(12))
    return AuditReport(name, ("cat", "dog"), images, 12, settings, findings, False, paths, "d")


def audited(folder) -> Audited:
    examples = small_examples(folder, masks=False)
    pictures = np.zeros((12, 32, 32, 3), np.uint8)
    target, split = examples.target.numpy(), examples.split.numpy()
    names = examples.groups.target_names
    return Audited(examples, np.arange(12), target, split, names, pictures, None, 0, None, {})


def test_strong_lines_come_first_and_explained_ones_after_their_equals():
    lines = report(
        line("files", "size", "some", 0.7),
        line("offered", "layout", "strong", 0.95, explained="colours"),
        line("offered", "colours", "strong", 0.9),
        line("labels", "suspects", "warning"),
        line("splits", "", "none found"),
        line("slices", "cat 1", "strong", 0.0),
        line("offered", "edges", "strong", 0.93),
    ).lines
    names = [one.name for one in lines]
    assert names == ["edges", "colours", "cat 1", "layout", "size", "suspects", ""]


def test_twelve_lines_at_most_with_every_kind_and_what_was_not_looked_at():
    many = [line("offered", f"cue {i}", "strong", 0.99 - i / 100) for i in range(20)]
    rare = [line("labels", "suspects", "warning"), line("splits", "s", "none found")]
    hidden = line("offered", "by-product", "strong", 1.0, explained="cue 0")
    printed = printed_lines(report(*many, hidden, *rare), "audit/audit.html")
    assert len(printed) == MOST_LINES
    assert printed[0].startswith("audit/audit.html")
    assert printed[1].split()[:4] == ["offered", "strong", "cue", "0:"]
    kinds = {text.split()[0] for text in printed}
    assert {"offered", "labels", "splits"} <= kinds
    assert not any("by-product" in text for text in printed)
    assert "maps (no run)" in printed[-1]
    assert "13 more lines" in printed[-1]
    assert "weak cues (only 12 images)" in printed[-1]
    assert "object and background (not every image has a mask)" in printed[-1]
    assert "other checks" not in printed[-1]


def test_an_audit_of_some_checks_says_that_others_were_not_made():
    some = report(line("offered", "colours", "strong"))
    some = some._replace(settings=some.settings | {"checks": "cues,groups"})
    assert "; other checks than cues,groups; " in printed_lines(some, "audit.html")[-1]


def test_room_for_pictures_is_shared_by_sections_and_strips():
    assert shared_room([[100, 100], [4]], 10) == [[3, 3], [4]]
    assert shared_room([[1], []], 10) == [[1], []]


def test_a_page_has_at_most_sixty_pictures_and_no_other_file(tmp_path):
    own = (np.full((20, 30, 3), 200, np.uint8),) * 3
    strips = (Strip("first", tuple(range(12)) * 8), Strip("own", (0,) * 3, ("a", "b", "c"), own))
    bars = (ValueBar("colours", 0.9, 0.8, 0.95, beside=0.6), ValueBar("odd", 1.02))
    odd = "<script>alert(1)</script>"
    sections = (Section(odd, ("Sentence.",), 0.5, bars, ("a", "b"), (("1", odd),), strips),)
    given = report(line("offered", odd, "strong"), sections=sections, name=odd)
    write_page(given, audited(tmp_path), tmp_path)
    write_record(given, tmp_path)
    page = (tmp_path / "audit.html").read_text()
    assert page.count("<img ") == PICTURES
    assert "39 more are not shown" in page
    assert odd not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "maps: no run" in page
    again = (tmp_path / "audit.json").read_bytes()
    write_record(given, tmp_path)
    assert (tmp_path / "audit.json").read_bytes() == again


def test_effects_are_points_with_intervals_around_zero(tmp_path):
    effects = [ValueBar("colours", 1.0, 0.5, 1.5), ValueBar("shapes", -2.0)]
    found = report(sections=(Section("Associations", effects=effects),))
    write_page(found, audited(tmp_path), tmp_path)
    write_record(found, tmp_path)
    page = (tmp_path / "audit.html").read_text()
    assert re.findall(r'class="point" style="left:([\d.]+)%"', page) == ["75.0", "0.0"]
    assert re.findall(r'"whisker" style="left:([\d.]+)%;width:([\d.]+)%', page) == [
        ("62.5", "25.0")
    ]
    assert "[0.50, 1.50]" in page
    (section,) = json.loads((tmp_path / "audit.json").read_text())["sections"]
    assert [effect["name"] for effect in section["effects"]] == ["colours", "shapes"]
