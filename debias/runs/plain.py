"""What a stage is by default, and refusing what a recipe would leave unread."""

from __future__ import annotations

from typing import Any

from debias.config import Config
from debias.errors import InputError

#: What a stage's config is by default: one stage, as plain as can be, whatever the last one is.
PLAIN: dict[str, Any] = {
    "recipe": {"name": "single"},
    "groups": {"file": None},
    "strategy": {"name": "erm"},
    "sampler": {"name": "shuffled"},
    "augment": {"name": "none"},
}
#: Sections whose components may ask for groups.
READERS = ("strategy", "sampler", "augment")


def refuse_own(config: Config, *kinds: str, remedy: str = "leave it out") -> None:
    """Refuse components of a run that its recipe replaces, and which nobody would read.

    Args:
        config: of the run.
        kinds: the sections in question.
        remedy: what to do about it.

    Raises:
        ValueError: one of them is not the plain one.
    """
    for kind in kinds:
        section = getattr(config, kind)
        if section != PLAIN[kind]:
            raise InputError(
                f"recipe.name={config.recipe['name']} has a {kind} of its own; got "
                f"{kind}.name={section['name']}: {remedy}"
            )
