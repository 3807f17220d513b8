"""Templates of paths with named fields, such as ``{split}/{target}/{target}({bias})/*``.

A template is matched with the whole path below a root. ``{name}`` is a field: it is one or more
characters of a single folder or file name, as few as possible. A field that occurs twice must have
the same text at both places, except ``{_}``, which is ignored. ``{name:number}`` has only digits,
``{name:??}`` two characters, and ``{name:a|b}`` is one of the given texts. ``*`` is any text within
one name. All other text is literal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from debias.errors import InputError

#: The field that is ignored.
IGNORED = "_"
#: Columns that a tree has beside its fields, so that no field may have these names.
RESERVED = ("path",)
#: A field, ``*``, or a brace that belongs to no field.
PART = re.compile(r"\{(\w+)(?::([^{}/]+))?\}|(\*)|([{}])")


class Template(NamedTuple):
    """A template of paths.

    Attributes:
        text: the template as it was written.
        matcher: matches a whole path; its named groups are the fields.
        fields: names of the fields, without ``{_}``.
        folders: matchers of the name of each folder of a path. They do not compare fields.
    """

    text: str
    matcher: re.Pattern[str]
    fields: tuple[str, ...]
    folders: tuple[re.Pattern[str], ...]

    def leads_to(self, folders: Sequence[str]) -> bool:
        """Whether a path that begins with these folders may match."""
        return len(folders) <= len(self.folders) and all(
            matcher.fullmatch(name) for matcher, name in zip(self.folders, folders, strict=False)
        )


def read_template(text: str) -> Template:
    """Read a template.

    Raises:
        InputError: a brace is open, a field begins with a digit or has the name of another column,
            or the template is absolute or has "..".
    """
    if not text or text.startswith("/") or {"", ".", ".."} & set(text.split("/")):
        raise InputError(
            f"pattern {text!r} must be the path of an image below root, as in "
            "{split}/{target}/{bias}/*"
        )
    fields: dict[str, None] = {}
    matcher = re.compile(_expression(text, fields))
    folders = (re.compile(_expression(part, {})) for part in text.split("/")[:-1])
    return Template(text, matcher, tuple(fields), tuple(folders))


def _expression(text: str, fields: dict[str, None]) -> str:
    """The regular expression of a template; the names of its fields are added to ``fields``."""
    pieces: list[str] = []
    end = 0
    for part in PART.finditer(text):
        pieces += [re.escape(text[end : part.start()]), _piece(text, part, fields)]
        end = part.end()
    return "".join([*pieces, re.escape(text[end:])])


def _piece(text: str, part: re.Match[str], fields: dict[str, None]) -> str:
    """The expression of one field or ``*``; the name of a new field is added to ``fields``."""
    name, kind, star, brace = part.groups()
    if brace or (name and not name.isidentifier()) or name in RESERVED:
        wrong = f"the field {{{name}}}" if name else f"a single {brace}"
        raise InputError(f"pattern {text!r} has {wrong}: write fields as in {{target}}")
    if star:
        return "[^/]*"
    one = _kind(kind)
    if name == IGNORED:
        return one
    if name in fields:
        return f"(?P={name})"
    fields[name] = None
    return f"(?P<{name}>{one})"


def _kind(kind: str | None) -> str:
    if kind is None:
        return "[^/]+?"
    if kind == "number":
        return "[0-9]+"
    if set(kind) == {"?"}:
        return f"[^/]{{{len(kind)}}}"
    return f"(?:{'|'.join(map(re.escape, kind.split('|')))})"


def filled(text: str, cells: Mapping[str, object], number: int) -> str:
    """The path that a template has for given fields.

    Args:
        text: the template.
        cells: the text of each field. Another field becomes the first of its given texts, or the
            number.
        number: number of the image. A template that ends in ``*`` gets the suffix ``.png``.

    Example:
        >>> filled("{split}/{_:a|b}/{target}_{id}.jpg", {"split": "val", "target": "cat"}, 7)
        'val/a/cat_7.jpg'
        >>> filled("{target}/*", {"target": "cat"}, 7)
        'cat/7.png'
    """

    def fill(part: re.Match[str]) -> str:
        """The text that one field becomes."""
        name, kind, _, _ = part.groups()
        if name in cells:
            return str(cells[name])
        if not kind or kind == "number":
            return str(number)
        width = len(kind) if set(kind) == {"?"} else 0
        return f"{number:0{width}}"[-width:] if width else kind.split("|")[0]

    path = PART.sub(fill, text)
    return f"{path}.png" if text.endswith("*") else path
