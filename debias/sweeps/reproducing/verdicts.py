"""Compare the results of a published table's runs with the published figures."""

import math
from collections.abc import Iterable, Sequence

from debias.reports.tables import Spread, text_table
from debias.sweeps.figures import FIGURES
from debias.sweeps.files import left
from debias.sweeps.published import Setting
from debias.sweeps.reproduce import Reproduced, title_of

#: Greatest difference that passes without ``accept`` and without a known number of restarts; or
#: twice the combined standard deviation if that is more.
TOLERANCE = 0.02
PASS = "PASS"
RULE = (
    f"{PASS}: the measured mean lies in the range that was fixed before the first run. Without a "
    "range, it lies within two standard errors of the difference of the two means, if the number "
    "of published restarts is known. Otherwise it lies within "
    f"{100 * TOLERANCE:.0f} points, or within twice the combined standard deviation, "
    "sqrt(published^2 + measured^2), if that is more. The measured mean is compared with the "
    "figure of the authors' code, if there is one. A number as verdict is the difference in points."
)


def verdict(setting: Setting, measured: Spread) -> str:
    """Compare a measured mean with its target by ``RULE``: "PASS", or the difference.

    The difference is in percentage points. Without a finished run the verdict is "not run".

    Example:
        >>> setting = Setting("waterbirds/jtt", "86.7", "Liu et al. 2021")
        >>> spreads = Spread(0.85, None), Spread(0.84, 0.01), Spread(0.84, 0.02)
        >>> [verdict(setting, measured) for measured in spreads]
        ['PASS', '-2.7', 'PASS']
        >>> setting = setting._replace(accept="60-70", official="65.1")
        >>> [verdict(setting, Spread(mean, 0.01)) for mean in (0.85, 0.69, None)]
        ['+19.9', 'PASS', 'not run']
    """
    if measured.mean is None:
        return "not run"
    difference = measured.mean - setting.target[0]
    if setting.accepted:
        low, high = setting.accepted
        passed = low - 1e-9 <= measured.mean <= high + 1e-9
    else:
        passed = abs(difference) <= tolerance(setting, measured) + 1e-9
    return PASS if passed else f"{100 * difference:+.1f}"


def tolerance(setting: Setting, measured: Spread) -> float:
    """The greatest difference from the target that passes without ``accept``, as in ``RULE``.

    With a known number of restarts n of the published mean, and m own runs, it is
    2 sqrt(published^2 / n + measured^2 / m). A single run has no deviation: it takes the published.
    """
    published, own = setting.target[1], measured.deviation
    if setting.restarts and published and not setting.official:
        variance = (published if own is None else own) ** 2
        return 2 * math.sqrt(published**2 / setting.restarts + variance / max(1, measured.defined))
    return max(TOLERANCE, 2 * math.hypot(published, own or 0.0))


def result_lines(reproduced: Sequence[Reproduced]) -> list[str]:
    """Write a table of published and measured results, the rule, and the known differences."""
    measured = [one.measured for one in reproduced]
    codes = any(one.setting.official for one in reproduced)
    rows = [
        [
            title_of(one.setting),
            FIGURES[one.setting.metric].title,
            one.setting.source,
            f"{len(one.runs) - len(left(one.runs))} of {len(one.runs)}",
            one.setting.figure,
            *([one.setting.official or "-"] if codes else []),
            spread.text,
            verdict(one.setting, spread),
        ]
        for one, spread in zip(reproduced, measured, strict=True)
    ]
    code = ["authors' code"] if codes else []
    header = ["setting", "accuracy", "source", "seeds", "published", *code, "measured"]
    lines = [*text_table([*header, "verdict"], rows), "", RULE]
    lines += filter(None, map(shortfall, (one.setting for one in reproduced), measured))
    return [*lines, *difference_lines(one.setting for one in reproduced)]


def shortfall(setting: Setting, measured: Spread) -> str:
    """One line about a published figure that the authors' own code misses; empty without one.

    The code misses it by more than ``TOLERANCE`` and twice the published deviation.
    """
    mean, deviation = setting.printed
    if abs(setting.target[0] - mean) <= max(TOLERANCE, 2 * deviation):
        return ""
    reached = f" These runs reach {measured.text}." if measured.mean is not None else ""
    return (
        f"{title_of(setting)}, {FIGURES[setting.metric].title}: the paper prints {setting.figure}, "
        f"and its authors' code reached {setting.official} when it was run.{reached}"
    )


def difference_lines(settings: Iterable[Setting]) -> list[str]:
    """One line per known difference from the published run, with the settings that it concerns."""
    names: dict[str, dict[str, None]] = {}
    for setting in settings:
        for note in setting.differences:
            names.setdefault(note, {})[setting.name] = None
    return [f"{', '.join(about)}: {note}" for note, about in names.items()]
