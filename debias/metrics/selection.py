"""Selection rules: which epoch is best by its validation scalars. Imports no torch."""

import math
from collections.abc import Mapping, Sequence

from debias.errors import InputError

RULES: dict[str, str] = {
    "worst_group": "worst_group",
    "worst_class": "worst_class",
    "average": "average",
    "balanced": "group_balanced",
    "class_difference": "class_difference",
    "last": "average",
}
"""The scalar of each rule; a rule maximises it unless it is in ``MINIMISING`` or is ``LAST``."""

LAST = "last"
"""The rule that selects the last epoch in which its scalar is defined, whatever the value."""

MINIMISING = ("class_difference",)
"""The rules that select the lowest value of their scalar."""

GROUP_RULES = ("worst_group", "balanced")
"""The rules that need bias labels of the validation split."""

AUTO = "auto"
"""The default of ``select``; :func:`chosen_rule` chooses the rule by the validation labels."""


def chosen_rule(select: str, *, labelled: bool) -> str:
    """The selection rule of a config's ``select``; "auto" depends on the validation labels.

    Args:
        select: a key of ``RULES``, or "auto".
        labelled: whether at least one validation image has a bias label.

    Example:
        >>> [chosen_rule("auto", labelled=labelled) for labelled in (True, False)]
        ['worst_group', 'worst_class']
    """
    if select != AUTO:
        return select
    return "worst_group" if labelled else "worst_class"


def best_epoch(history: Sequence[Mapping[str, float | None]], rule: str) -> int:
    """The epoch that a rule selects by the validation scalars.

    Args:
        history: one mapping of validation scalars per epoch; NaN or ``None`` where undefined.
        rule: a key of ``RULES``.

    Returns:
        Position in ``history``; of equal values the earliest. For ``LAST``, the last epoch in which
        the scalar is defined.

    Raises:
        ValueError: ``rule`` is unknown, or its scalar is undefined in every epoch.

    Example:
        >>> best_epoch([{"average": 0.5}, {"average": 0.9}, {"average": 0.9}], "average")
        1
    """
    if rule not in RULES:
        raise InputError(f"unknown selection rule {rule!r}: choose one of {', '.join(RULES)}")
    values = [merit(rule, scalars.get(RULES[rule])) for scalars in history]
    best = max(values, default=-math.inf)
    if best == -math.inf:
        others = " or ".join(name for name in RULES if name not in GROUP_RULES)
        raise InputError(
            f"selection rule {rule!r}: {RULES[rule]} is defined in none of {len(history)} epochs; "
            f"select by {others} if the validation split has no bias labels"
        )
    return (
        max(i for i, value in enumerate(values) if value > -math.inf)
        if rule == LAST
        else values.index(best)
    )


def best_epochs(history: Sequence[Mapping[str, float | None]]) -> dict[str, int]:
    """The epoch that each rule selects, for the rules whose scalar is defined in some epoch."""
    defined = [
        rule
        for rule, key in RULES.items()
        if any(merit(rule, one.get(key)) > -math.inf for one in history)
    ]
    return {rule: best_epoch(history, rule) for rule in defined}


def merit(rule: str, value: float | None) -> float:
    """A rule's scalar, negated if lower is better; minus infinity if it is undefined.

    Example:
        >>> merit("average", 0.25), merit("class_difference", 0.25), merit("average", None)
        (0.25, -0.25, -inf)
    """
    if value is None or math.isnan(value):
        return -math.inf
    return -value if rule in MINIMISING else value
