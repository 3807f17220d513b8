"""The configs that are part of debias: their folder, and their present and former names."""

from pathlib import Path


def folder() -> Path:
    """Folder of the shipped configs: in the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "configs"


def names() -> list[str]:
    """Names of the shipped configs, such as "waterbirds/jtt"."""
    return sorted(
        path.relative_to(folder()).with_suffix("").as_posix() for path in folder().rglob("*.yaml")
    )


def former() -> dict[str, str]:
    """The replacement of each config that is no longer shipped: a config and overrides."""
    text = (Path(__file__).parent / "former_configs.csv").read_text(encoding="utf-8")
    return dict(line.split(",") for line in text.splitlines()[1:])
