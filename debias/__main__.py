"""The command line: ``debias train | evaluate | check | compare | list``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

EXAMPLES = """examples:
  debias train waterbirds/group_dro data.root=PATH seed=1
  debias train waterbirds/group_dro data.root=PATH seed=1 resume=RUN
  debias evaluate RUN
  debias compare runs
  debias check my_config.yaml
  debias list strategies
"""


LISTS = (
    "strategies", "samplers", "datasets", "models", "metrics", "configs", "preprocessings", "optimizers", "schedulers",
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The arguments of every command. Heavy imports wait until a command runs."""
    top = argparse.ArgumentParser(
        prog="debias",
        description="Train image classifiers against a known or unknown bias, and judge them by their worst group.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in (
        ("train", "train one run, evaluate it and write its report"),
        ("check", "validate a config and its data without training"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("config", help="a shipped config (debias list configs), or the path of a YAML file")
        command.add_argument("overrides", nargs="*", metavar="key=value", help="as in seed=1 data.root=PATH")
    evaluate = commands.add_parser("evaluate", help="recompute every metric of a trained run or checkpoint")
    evaluate.add_argument("run", help="a run's folder, or a checkpoint")
    evaluate.add_argument("overrides", nargs="*", metavar="key=value", help="as in data.root=PATH select=average")
    compare = commands.add_parser("compare", help="one table of finished runs, a line per method")
    compare.add_argument("folders", nargs="+", help="runs, or folders of runs")
    compare.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    listing = commands.add_parser("list", help="say what there is, and what it needs")
    listing.add_argument("what", choices=LISTS)
    listing.add_argument("pattern", nargs="?", default="*", help="models only: a pattern such as 'resnet*'")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake in what was asked for is one line on standard error and exit code 2."""
    options = vars(parser().parse_args(arguments))
    command = importlib.import_module(f"debias.commands.{options.pop('command')}")
    try:
        command.run(**options)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ValueError as error:
        print(f"debias: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
