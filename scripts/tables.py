"""Writes the tables of methods, measures and published figures into the pages, between markers.

usage: python scripts/tables.py [--check]

With --check it writes nothing, and exits with 1 if a page is stale.
"""

import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from debias import components
from debias.config import SECTIONS
from debias.methods import METHODS
from debias.metrics.amplification.family import AMPLIFICATION, THRESHOLDS
from debias.metrics.descriptions import DESCRIPTIONS, Description
from debias.metrics.families import FAMILIES
from debias.sweeps.published import BENCHMARKS, FACTS
from debias.sweeps.reproducing.results import (
    KEY,
    benchmark_rows,
    figure_rows,
    read_results,
    reproduced_by,
)
from debias.sweeps.reproducing.verdicts import difference_lines

ROOT = Path(__file__).parents[1]
DOCS, PUBLISHED = ROOT / "docs", ROOT / "experiments" / "published"
RESULTS = read_results(PUBLISHED / "results.csv")
REPRODUCED = reproduced_by(RESULTS)
TITLES = {
    "strategy": "strategy",
    "sampler": "sampler",
    "augment": "augmentation",
    "recipe": "recipe",
}
#: Heading of docs/strategies.md above the table of a kind.
PLACES = {
    "strategy": "strategies",
    "sampler": "samplers",
    "augment": "augmentations",
    "recipe": "recipes",
}
NEEDS = {
    "bias": "bias labels",
    "some bias": "some bias labels",
    "groups": "an image in every group",
    "mask": "masks",
    "fills": "companion pictures",
    "inferred groups": "inferred groups",
}
READS = {"val labels": "bias labels of validation", "train labels": "bias labels of training"}


def meaning(kind: str, name: str) -> str:
    """The first line of a component's docstring, as Markdown."""
    line = (inspect.getdoc(components.find(kind, name)) or "").partition("\n")[0]
    return line.replace("``", "`").replace("|", r"\|").rstrip(".")


def needs(kind: str, name: str) -> str:
    if kind == "recipe":
        labels = [READS[item] for item in components.reads(kind, name)]
        return ", ".join([*labels, *(f"infers {split}" for split in components.infers(kind, name))])
    return ", ".join(NEEDS[item] for item in components.needs(components.find(kind, name)))


def methods(kind: str) -> str:
    """The table of one kind of methods, with one row per method."""
    head = [
        TITLES[kind],
        "what it does",
        "needs",
        "paper",
        "checked against",
        "reproduced",
        "Waterbirds",
        "CelebA",
    ]
    rows = [
        [
            f"`{name}`",
            meaning(kind, name),
            needs(kind, name),
            method.paper,
            method.checked,
            ", ".join(REPRODUCED.get((kind, name), [])),
            *method.published[:2],
        ]
        for name, method in METHODS[kind].items()
    ]
    return table(head, rows)


def sections() -> str:
    """The table of the config sections that name a component, with one row per section."""
    model = (
        "a [network](models.md) by its `name`; `pretrained`, `weights`, `freeze_batch_norm`, ..."
    )
    names = {
        kind: ", ".join(f"`{name}`" for name in table) for kind, table in components.TABLES.items()
    }
    names |= {
        kind: f"a name of [this table](strategies.md#{place})" for kind, place in PLACES.items()
    }
    names["augment"] += "; `augment.then` has another one that follows it"
    rows = [[f"`{section}`", names.get(section, model)] for section in SECTIONS]
    return table(["section", "components"], rows)


#: The key of a number that is derived from another one of its family, such as its worst value.
DERIVED = re.compile(r"^(?:worst_(?:outcome_|group_)?|group_)?(.+?)(?:_gap|_deviation|/<[^>]*>)?$")


def numbers(descriptions: Mapping[str, Description]) -> str:
    """The table of a family's numbers, without those that are derived from another number."""
    rows = []
    for key, text in descriptions.items():
        origin = DERIVED.sub(r"\1", key)
        listed = (name for name in (origin, f"{origin}/<bias>") if name in descriptions)
        if next(listed, key) == key:
            name = f"`{key}`".replace("|", r"\|")
            rows.append([name, text.title, text.meaning.rstrip("."), ideal(text)])
    return table(["key", "title", "meaning", "ideal"], rows)


def ideal(text: Description) -> str:
    if not math.isnan(text.ideal):
        return f"{text.ideal:g}"
    return {"lower": "low", "higher": "high"}.get(text.better, "none")


def published() -> str:
    """The table of published tables."""
    head = ["table", "command", "cost", "figures", "left", "what it proves"]
    return table(head, list(benchmark_rows(RESULTS)))


def figures() -> str:
    """One table of figures per published table with a result."""
    head = ["setting", "figure", "published", "authors' code", "measured", "seeds", "accepted"]
    run = [
        name for name in BENCHMARKS if any(key[KEY.index("benchmark")] == name for key in RESULTS)
    ]
    parts = []
    for name in run:
        rows = table([*head, "verdict"], list(figure_rows(name, RESULTS)))
        differences = "".join(f"- {line}\n" for line in difference_lines(BENCHMARKS[name]))
        parts.append(f"\n### {FACTS[name].title}\n\n{rows}\n{differences}")
    return "".join(parts) + "\n"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(line)} |\n".replace("|  |", "| |").replace("|  |", "| |") for line in lines
    )


TABLES: dict[str, Callable[[], str]] = {
    **{kind: lambda kind=kind: methods(kind) for kind in METHODS},
    "sections": sections,
    "published": published,
    "figures": figures,
    "accuracies": lambda: numbers(DESCRIPTIONS),
    **{name: lambda family=family: numbers(family.numbers) for name, family in FAMILIES.items()},
    "thresholds": lambda: numbers(dict(THRESHOLDS.numbers.items() - AMPLIFICATION.numbers.items())),
}


def filled(page: str) -> str:
    """The text of a page with every table between markers replaced by the present one."""

    def write(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}{match[3]}"

    return re.sub(
        r"(<!-- table: (\w+) -->)\n.*?(<!-- end of table -->)", write, page, flags=re.DOTALL
    )


def main(arguments: list[str]) -> int:
    stale = []
    for path in (*sorted(DOCS.glob("*.md")), PUBLISHED / "README.md"):
        page = path.read_text(encoding="utf-8")
        if (new := filled(page)) != page:
            stale.append(path.name)
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    if stale and "--check" in arguments:
        print(
            f"stale tables: {', '.join(stale)}; run python scripts/tables.py",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
