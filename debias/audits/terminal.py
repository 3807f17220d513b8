"""What an audit prints: at most twelve lines, strong findings first."""

from debias.audits.lines import KINDS, AuditLine
from debias.audits.record import AUDIT_PAGE, AuditReport
from debias.errors import one_line

#: Most lines, with the first one, the page, and the last one, what was not looked at.
MOST_LINES = 12
#: Fewest images in which more than a strong cue can be found.
ENOUGH = 100
#: Longest line, in characters.
WIDTH = 160


def printed_lines(report: AuditReport, page: str) -> list[str]:
    """The page, the strongest findings with at least one of each kind, and what was not looked at.

    Args:
        report: what the audit found.
        page: path of its page.
    """
    shown = _shown(report.lines, MOST_LINES - 2)
    lines = [_text(line) for line in shown]
    return [one_line(page), *lines, _last(report, len(report.lines) - len(shown))]


def _shown(lines: list[AuditLine], room: int) -> list[AuditLine]:
    """The first line of each kind, and then the others in their order, as far as there is room."""
    own = [line for line in lines if not line.explained_by]
    first = [next((line for line in own if line.kind == kind), None) for kind in KINDS]
    chosen = [line for line in first if line is not None]
    others = [line for line in own if all(line is not one for one in chosen)]
    chosen += others[: max(0, room - len(chosen))]
    return [line for line in lines if any(line is one for one in chosen)][:room]


def _text(line: AuditLine) -> str:
    start = f"{line.kind:<11}{line.strength:<11}"
    text = f"{line.name}: {line.words}" if line.name else line.words
    whole = one_line(start + " " + text)
    return whole if len(whole) <= WIDTH else whole[: WIDTH - 4] + " ..."


def _last(report: AuditReport, left_out: int) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, why in report.findings.unavailable.items():
        by_reason.setdefault(why, []).append(name)
    reasons = [f"{', '.join(names)} ({why})" for why, names in by_reason.items()]
    masks = [] if report.masks else ["object and background (not every image has a mask)"]
    total = sum(map(sum, report.images.values()))
    few = [f"weak cues (only {total} images)"] if total < ENOUGH else []
    checks = report.settings["checks"]
    others = [] if "all" in checks.split(",") else [f"other checks than {checks}"]
    unseen = "; ".join(["what no step here measures", *others, *few, *reasons, *masks])
    more = f"; {left_out} more lines in {AUDIT_PAGE}" if left_out else ""
    return one_line(f"not looked at: {unseen}{more}")
