"""The page of an audit, ``audit.html``: bars, tables and pictures, without another file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.lines import Strip
from debias.audits.record import AUDIT_PAGE, AuditReport
from debias.audits.steps import Audited
from debias.files import write_atomically
from debias.reports.galleries import thumbnail
from debias.reports.templates import render

#: Most pictures of the page, and the longer side of each in pixels.
PICTURES, PICTURE_SIDE = 60, 96


class PageStrip(NamedTuple):
    """A row of pictures of the page.

    Attributes:
        title: what they share.
        pictures: ``data:`` address and caption of each.
        left_out: number of pictures for which the page has no room.
    """

    title: str
    pictures: list[tuple[str, str]]
    left_out: int


def write_page(report: AuditReport, audited: Audited, out: Path) -> None:
    """Write ``audit.html``.

    Args:
        report: what the audit found.
        audited: the images.
        out: folder of the audit.
    """
    sections = report.findings.sections
    rooms = shared_room([[_length(strip) for strip in one.strips] for one in sections], PICTURES)
    strips = [
        [_strip(strip, room, audited) for strip, room in zip(section.strips, room_of, strict=True)]
        for section, room_of in zip(sections, rooms, strict=True)
    ]
    context = {
        "report": report,
        "lines": report.lines,
        "sections": list(zip(sections, strips, strict=True)),
        "total": sum(map(sum, report.images.values())),
    }
    write_atomically(out / AUDIT_PAGE, render("audit.html", context))


def shared_room(wanted: Sequence[Sequence[int]], room: int) -> list[list[int]]:
    """Share the room for pictures: sections take turns, and within a section its strips.

    Args:
        wanted: number of pictures of each strip, by section.
        room: most pictures in all.

    Returns:
        Number of pictures that each strip gets.

    Example:
        >>> shared_room([[8, 8], [1], []], 6)
        [[3, 2], [1], []]
    """
    given = [[0] * len(strips) for strips in wanted]
    while room:
        before = room
        for strips, have in zip(wanted, given, strict=True):
            open_strips = [i for i, most in enumerate(strips) if have[i] < most]
            if open_strips and room:
                have[min(open_strips, key=lambda i: (have[i], i))] += 1
                room -= 1
        if room == before:
            break
    return given


def _length(strip: Strip) -> int:
    return len(strip.pictures or strip.rows)


def _strip(strip: Strip, room: int, audited: Audited) -> PageStrip:
    shown = [_thumbnail(_picture(strip, position, audited)) for position in range(room)]
    captions = [*strip.captions, *[""] * room][:room]
    pairs = list(zip(shown, captions, strict=True))
    return PageStrip(strip.title, pairs, _length(strip) - room)


def _picture(strip: Strip, position: int, audited: Audited) -> NDArray[np.uint8]:
    if strip.pictures:
        return strip.pictures[position]
    return np.asarray(audited.pictures[strip.rows[position]])


def _thumbnail(picture: NDArray[np.uint8]) -> str:
    return thumbnail(picture, None, sides=(PICTURE_SIDE, PICTURE_SIDE))
