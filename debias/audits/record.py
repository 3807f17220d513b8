"""What an audit found, as one value, and its file ``audit.json``."""

from pathlib import Path
from typing import Any, NamedTuple

from debias.audits.engine import Findings
from debias.audits.lines import CUE_KINDS, STRENGTHS, AuditLine, Section
from debias.files import write_atomically
from debias.json_files import Json, json_text
from debias.reports.environment import versions

RECORD, AUDIT_PAGE = "audit.json", "audit.html"
#: Version of the form of the file.
FORM = 1


class AuditReport(NamedTuple):
    """The result of an audit.

    Attributes:
        name: name of the data set or run.
        classes: names of the classes.
        images: number of images of each class, by split.
        available: number of images from which they were drawn.
        settings: options of the audit that can change its result, and the seed.
        findings: lines and sections, times, and steps that could not run.
        masks: whether the images have foreground masks.
        paths: path of each image, which the ``rows`` of lines and sections count.
        source: absolute path of the table or folder from which the images were read.
    """

    name: str
    classes: tuple[str, ...]
    images: dict[str, tuple[int, ...]]
    available: int
    settings: Json
    findings: Findings
    masks: bool
    paths: tuple[str, ...]
    source: str

    @property
    def lines(self) -> list[AuditLine]:
        """All lines, strong ones first: cues by their AUROC, and then what follows from them.

        A line that another cue explains comes after the other lines of its strength. Lines that are
        equal in all this stay in the order of the steps.
        """
        return sorted(self.findings.lines, key=_order)


def _order(line: AuditLine) -> tuple[int, bool, bool, float]:
    above = abs(line.value - line.chance) if line.value is not None and line.chance else 0.0
    strength = STRENGTHS.index(line.strength)
    return strength, bool(line.explained_by), line.kind not in CUE_KINDS, -round(above, 3)


def write_record(report: AuditReport, out: Path) -> None:
    """Write ``audit.json``. Only the entry ``seconds`` differs between two audits of equal data."""
    lines = [line._asdict() | {"rows": _paths(report, line.rows)} for line in report.lines]
    record: Json = {
        "form": FORM,
        "data": report.name,
        "source": report.source,
        "classes": report.classes,
        "images": report.images,
        "available": report.available,
        "settings": report.settings,
        "versions": versions(),
        "lines": lines,
        "sections": [_section(report, section) for section in report.findings.sections],
        "not_looked_at": report.findings.unavailable,
        "seconds": {name: round(took, 2) for name, took in report.findings.seconds.items()},
    }
    write_atomically(out / RECORD, json_text(record))


def _section(report: AuditReport, section: Section) -> dict[str, Any]:
    strips = [
        {"title": strip.title, "images": _paths(report, strip.rows), "captions": strip.captions}
        for strip in section.strips
    ]
    drawn = {
        name: [bar._asdict() for bar in bars]
        for name, bars in (("bars", section.bars), ("effects", section.effects))
    }
    return section._asdict() | drawn | {"strips": strips}


def _paths(report: AuditReport, rows: tuple[int, ...]) -> list[str]:
    return [report.paths[row] for row in rows]
