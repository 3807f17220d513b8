"""The command line: ``debias train | evaluate | check | compare | sweep | reproduce | infer-groups
| masks | list``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from debias.errors import told

EXAMPLES = """examples:
  debias train waterbirds/group_dro data.root=PATH seed=1
  debias train waterbirds/group_dro data.root=PATH seed=1 resume=RUN
  debias evaluate RUN
  debias evaluate predictions.csv bias=gender
  debias compare runs
  debias sweep run my_sweep.yaml data.root=PATH workers=4
  debias reproduce waterbirds data.root=PATH --strategies jtt,dfr
  debias check my_config.yaml
  debias infer-groups RUN method=eiil out=groups.csv
  debias masks boxes my_config.yaml source=boxes.csv out=masks
  debias list strategies
"""


LISTS = (
    "strategies", "samplers", "datasets", "models", "metrics",
    "configs", "preprocessings", "optimizers", "schedulers",
)  # fmt: skip
BENCHMARKS = ("waterbirds", "celeba", "biased_mnist")
MASK_METHODS = ("boxes", "keypoints", "import", "gradcam")
MASKS = """methods and their options:
  boxes      source=FILE: CSV path,x,y,width,height, or CUB's bounding_boxes.txt; cut out by GrabCut
  keypoints  source=FILE: CSV path,x,y, a row a point, or CUB's parts/part_locs.txt;
             cut out by GrabCut
  gradcam    threshold=0.5 target=true|predicted layer=NAME: where a finished run's model looks
  import     source=FOLDER of PNG files, or CSV path,mask; threshold=128: masks that exist, checked
for every method: out=FOLDER splits=[train,val,test] overwrite=false, and data.* as in the config
"""


def parser() -> argparse.ArgumentParser:
    """The arguments of every command. Heavy imports wait until a command runs."""
    top = argparse.ArgumentParser(
        prog="debias",
        description=(
            "Train image classifiers against a known or unknown bias, and judge them by their "
            "worst group."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in (
        ("train", "train one run, evaluate it and write its report"),
        ("check", "validate a config and its data without training"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument(
            "config", help="a shipped config (debias list configs), or the path of a YAML file"
        )
        command.add_argument(
            "overrides", nargs="*", metavar="key=value", help="as in seed=1 data.root=PATH"
        )
    _add_evaluate(commands)
    _add_compare(commands)
    _add_sweep(commands)
    _add_reproduce(commands)
    _add_infer_groups(commands)
    _add_masks(commands)
    _add_list(commands)
    return top


def _add_evaluate(commands: Any) -> None:
    command = commands.add_parser(
        "evaluate", help="every metric of a run, a checkpoint, or anybody's predictions"
    )
    command.add_argument("run", help="a run's folder, a checkpoint, or a CSV file of predictions")
    examples = "as in data.root=PATH measures=fairness,leakage fresh=true"
    command.add_argument("overrides", nargs="*", metavar="key=value", help=examples)


def _add_compare(commands: Any) -> None:
    command = commands.add_parser("compare", help="one table of finished runs, a line per method")
    command.add_argument("folders", nargs="+", help="runs, or folders of runs")
    column = "one more column; may be given repeatedly"
    command.add_argument(
        "--measure", action="append", default=[], metavar="FAMILY:KEY", help=column
    )
    command.add_argument("--markdown", action="store_true", help="print the table as Markdown")


def _add_sweep(commands: Any) -> None:
    command = commands.add_parser(
        "sweep", help="many runs from one file: list them, run them, read the results"
    )
    command.add_argument("action", choices=("plan", "run", "search", "report"))
    command.add_argument(
        "source", help="the sweep's YAML file; for report, the folder of the sweep"
    )
    examples = (
        "of every run, as in data.root=PATH; for run, also launcher=local workers=2 threads=N "
        "retries=1"
    )
    examples += "; for search, also trials=40 storage=URL"
    examples += "; for report, format=markdown|latex|csv|html out=FILE"
    command.add_argument("overrides", nargs="*", metavar="key=value", help=examples)


def _add_reproduce(commands: Any) -> None:
    command = commands.add_parser(
        "reproduce", help="a benchmark's published settings: run them, compare the figures"
    )
    command.add_argument("benchmark", choices=BENCHMARKS)
    examples = "as in data.root=PATH seeds=[0] out=FOLDER workers=2"
    command.add_argument("overrides", nargs="*", metavar="key=value", help=examples)
    names = "settings with commas between them, as in jtt,dfr; all unless given"
    command.add_argument("--strategies", default="", metavar="NAMES", help=names)
    command.add_argument(
        "--dry-run", action="store_true", help="say what it would cost, and run nothing"
    )


def _add_infer_groups(commands: Any) -> None:
    command = commands.add_parser(
        "infer-groups", help="groups from a finished run's predictions, to train on"
    )
    command.add_argument("run", help="a run's folder")
    examples = (
        "method=jtt, eiil steps=10000 learning_rate=1e-3, spare largest=5, or own; out=groups.csv "
        "data.root=PATH"
    )
    command.add_argument("overrides", nargs="*", metavar="key=value", help=examples)


def _add_masks(commands: Any) -> None:
    masks = commands.add_parser(
        "masks",
        help="make foreground masks where a data set has none",
        epilog=MASKS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    masks.add_argument("method", choices=MASK_METHODS)
    masks.add_argument(
        "config", help="whose data gets masks: a config; for gradcam, a finished run's folder"
    )
    masks.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="as in out=FOLDER source=FILE data.root=PATH",
    )


def _add_list(commands: Any) -> None:
    command = commands.add_parser("list", help="say what there is, and what it needs")
    command.add_argument("what", choices=LISTS)
    pattern = "of models or strategies: a pattern such as 'resnet*'"
    command.add_argument("pattern", nargs="?", default="*", help=pattern)


def _parse(arguments: Sequence[str] | None) -> dict[str, Any]:
    options, rest = parser().parse_known_args(arguments)
    # until Python 3.13, argparse gives up on the key=value that stand behind an option
    if rest and (not hasattr(options, "overrides") or any(text.startswith("-") for text in rest)):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    return vars(options) | ({"overrides": [*options.overrides, *rest]} if rest else {})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    An error that a user can mend is one line on standard error and exit code 2; Ctrl-C is one line
    and 130.
    """
    options = _parse(arguments)
    try:
        command = importlib.import_module(
            f"debias.commands.{options.pop('command').replace('-', '_')}"
        )
        command.run(**options)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        line = told(error)
        if line is None:
            raise
        print(f"debias: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("debias: stopped by Ctrl-C", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
