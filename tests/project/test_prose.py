"""The prose is plain: short sentences in the pages, and no word of the list below anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FILES = [
    path
    for folder in ("debias", "docs", "configs", "experiments", "scripts")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".yaml", ".html") and "_build" not in path.parts
]
#: Turns that a reader has to decode, and what to write instead.
TURNS = {
    r"anew": "again",
    r"for who": "for callers that",
    r"who looks": "the reader",
    r"is told": "gets a warning",
    r"a (?:row|process|run|line|core|seed) a \w+": "one ... per ...",
    r"in (?:none|whose) of which": "a sentence of its own",
}
WORDS = re.compile(r"[A-Za-z][\w'’-]*")


def sentences(page: str) -> list[str]:
    """Sentences of a page's running text, list items and table cells; code is one word."""
    text = re.sub(r"^```[\s\S]*?^```$|^<!--.*-->$|^#.*$", "\n", page, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    blocks = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.) |\n?\|", text)
    parts = [
        part for block in blocks for part in re.split(r"(?<=[.!?:;])\s+", " ".join(block.split()))
    ]
    return [part for part in parts if len(WORDS.findall(part)) > 2]


def lengths() -> list[int]:
    return [
        len(WORDS.findall(sentence))
        for page in PAGES
        for sentence in sentences(page.read_text(encoding="utf-8"))
    ]


def test_sentences_are_short():
    """At most 15 words on average; at most 3 in 100 above 30 words."""
    counts = lengths()
    assert sum(counts) / len(counts) <= 15
    assert sum(count > 30 for count in counts) <= 0.03 * len(counts)


@pytest.mark.parametrize("turn", TURNS)
def test_no_turn_needs_decoding(turn):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *FILES]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(rf"\b{turn}\b", line)
    ]
    assert not found, f"write {TURNS[turn]!r}:\n" + "\n".join(found)
