"""``debias audit``: which shortcut images offer, which of them a model takes, and groups."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from debias import components, shipped_configs
from debias import config as configs
from debias.audits.audit import AuditOptions, audit_examples
from debias.audits.cues.encoder import NO_ENCODER
from debias.audits.model import AuditedModel, audited_model
from debias.audits.record import AUDIT_PAGE, AuditReport
from debias.audits.terminal import printed_lines
from debias.commands.keys import check_data_keys
from debias.data.checks import check_rows
from debias.data.examples import Examples
from debias.data.sets.folder import is_split
from debias.data.tables.files import table_columns
from debias.data.trees.reading import IMAGE_SUFFIXES
from debias.errors import InputError, near
from debias.merging import Settings, converted, read_overrides, split_overrides
from debias.presets import is_preset, names
from debias.progress import say
from debias.training.memory import keep_freed_memory

OPTIONS = tuple(field.name for field in fields(AuditOptions))
#: Options of the data set that may be given without ``data.``.
COLUMN_OPTIONS = ("path", "target", "bias", "split", "mask", "masks", "root")
#: Shares of train, val and test that are drawn from a table without splits.
SHARES = [0.9, 0.1, 0.0]
TABLES = (".csv", ".csv.gz", ".parquet")


class AuditSource(NamedTuple):
    """What is audited.

    Attributes:
        name: its name, for the page.
        section: the section ``data`` of a config.
        beside: folder in which the folder ``audit`` is written by default.
        run: folder of the run whose model is audited too; ``None`` for data alone.
        cache_dir: as in the config, for data on object storage.
    """

    name: str
    section: Settings
    beside: Path
    run: Path | None = None
    cache_dir: str | None = None


def run(source: str, overrides: list[str]) -> None:
    """Audit a data set or a run, and print the findings.

    Args:
        source: a config, a table, a folder of images, a data set known by name, or a run's folder.
        overrides: :class:`~debias.audits.audit.AuditOptions`, and ``data.KEY=VALUE`` of the data
            set; for a table also ``target=COLUMN`` and the like.

    Raises:
        ValueError: as :func:`audit`.
    """
    report, folder = audit(source, overrides, tell=say)
    print("\n".join(printed_lines(report, str(folder / AUDIT_PAGE))))


def audit(
    source: str, overrides: list[str], *, tell: Callable[[str], object]
) -> tuple[AuditReport, Path]:
    """Audit a data set or a run; see :func:`run`.

    Returns:
        The findings, and the folder with the page.

    Raises:
        ValueError: the source, the data or an option has a mistake.
    """
    own, others = split_overrides(overrides, OPTIONS)
    options = _options(own)
    options.check()
    chosen = _source(source, [_with_section(override) for override in others])
    facts = {"cache_dir": chosen.cache_dir}
    examples: Examples = components.construct("data", chosen.section, facts)
    check_rows(examples)
    model: AuditedModel | None = None if chosen.run is None else audited_model(chosen.run)
    folder = Path(options.out) if options.out else chosen.beside / "audit"
    if model is not None or options.encoder != NO_ENCODER:
        keep_freed_memory()  # else page faults are a quarter of the time of the network
    report = audit_examples(examples, options, name=chosen.name, out=folder, model=model, tell=tell)
    return report, folder


def _options(texts: list[str]) -> AuditOptions:
    given = read_overrides(texts)
    if isinstance(given.get("checks"), list):
        given["checks"] = ",".join(map(str, given["checks"]))
    return AuditOptions(
        **{key: converted(AuditOptions, key, value) for key, value in given.items()}
    )


def _source(source: str, overrides: list[str]) -> AuditSource:
    path = Path(source)
    if (path / "config.yaml").is_file():
        config = configs.read(path / "config.yaml", overrides)
        check_data_keys(overrides)
        return AuditSource(path.resolve().name, config.data, path, path, config.cache_dir)
    if source.endswith(TABLES):
        return AuditSource(path.name, _table(source, overrides), Path())
    if path.is_dir():
        return AuditSource(path.resolve().name, _tree(path, overrides), Path())
    if is_preset(source) and source not in shipped_configs.names():
        section = {"name": source, **_data_options(overrides)}
        return AuditSource(source, section, Path())
    if not _is_config(source):
        raise InputError(
            f"nothing to audit is called {source!r}: give a config, a table "
            f"({', '.join(TABLES)}), a folder of images, the folder of a finished run, or a data "
            f"set by its name; {near(source, {*shipped_configs.names(), *names()})}"
        )
    config = configs.load(source, overrides)
    check_data_keys(overrides)
    return AuditSource(source, config.data, Path(), cache_dir=config.cache_dir)


def _is_config(source: str) -> bool:
    """Whether it is a YAML file, or the name of a config that is or was shipped."""
    path = Path(source)
    own = path.suffix in (".yaml", ".yml") and path.is_file()
    return own or source in shipped_configs.names() or source in shipped_configs.former()


def _with_section(override: str) -> str:
    """An override of a column or a folder, as one of the section ``data``."""
    key = override.partition("=")[0]
    return f"data.{override}" if key in COLUMN_OPTIONS else override


def _data_options(overrides: list[str]) -> Settings:
    given = read_overrides(overrides)
    for key in given:
        if key != "data":
            hint = near(key, (*OPTIONS, *COLUMN_OPTIONS, "data"))
            raise InputError(f"unknown option {key!r} of an audit; {hint}")
    options: Settings = given.get("data", {})
    return options


def _table(source: str, overrides: list[str]) -> Settings:
    """A table without bias labels, unless an option names their column."""
    options = _data_options(overrides)
    section: Settings = {"name": "table", "file": source, "bias": None}
    if not options.keys() & {"split", "shares"} and "split" not in table_columns(Path(source)):
        section["shares"] = SHARES
    return section | options


def _tree(folder: Path, overrides: list[str]) -> Settings:
    """A tree of splits and classes; or of classes alone, which is then one split."""
    options = _data_options(overrides)
    if "name" in options:
        return {"root": str(folder)} | options
    folders = [path.name for path in folder.iterdir() if path.is_dir()]
    if any(map(is_split, folders)):
        return {"name": "folder", "root": str(folder)} | options
    if not any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.glob("*/*")):
        raise InputError(
            f"{folder} is no tree of images: its folders must be train, val or test, or classes "
            "with images; for another tree, add data.name=pattern data.pattern=TEMPLATE"
        )
    own: Settings = {"name": "pattern", "root": str(folder), "pattern": "{target}/*"}
    return own | {"split": "train"} | options
