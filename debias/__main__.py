"""The command line: ``debias train | evaluate | predict | export | check | compare | index | sweep
| reproduce | cache | audit | infer-groups | masks | data | list``.
"""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from debias import __version__
from debias.commands.help_texts import AUDIT, DATA, EXAMPLES, MASKS
from debias.errors import OfflineError, one_line, told
from debias.launched import is_helper_process

LISTS = (
    *("strategies", "samplers", "datasets", "models", "metrics"),
    *("configs", "preprocessings", "optimizers", "schedulers"),
)
BENCHMARKS = (
    *("waterbirds", "celeba", "biased_mnist", "irm_coloured_mnist"),
    *("lff_coloured_mnist", "multi_color_mnist", "disent_coloured_mnist"),
    *("spectral_decoupling_coloured_mnist", "eiil_coloured_mnist", "masktune_squares"),
    "cnc_coloured_mnist",
)
#: Each has its module ``commands.data.<action>``.
DATA_ACTIONS = ("list", "get", "check", "make", "sample", "diagnose")
MASK_METHODS = ("boxes", "keypoints", "import", "gradcam")
RUN_CONFIG = "a shipped config (debias list configs), or the path of a YAML file"


class _Parser(argparse.ArgumentParser):
    """A parser whose help may end with the keys of the config, read only when it is printed."""

    lists_keys = False

    def format_help(self) -> str:
        """The help, with the keys of the config if ``lists_keys`` is set."""
        if not self.lists_keys:
            return super().format_help()
        from debias.commands.keys import help_text

        return f"{super().format_help()}\n{help_text()}\n"


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands. Nothing heavy, such as torch, is imported here."""
    top = _Parser(
        prog="debias",
        description="Train image classifiers against a known or unknown bias, and evaluate them "
        "by their worst group.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"debias {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    _add_single_runs(commands)
    _add_sweep(commands)
    _add_reproduce(commands)
    _add_cache(commands)
    _add_preparations(commands)
    _add_data(commands)
    return top


def _add_single_runs(commands: Any) -> None:
    for name, meaning in (
        ("train", "train one run, evaluate it and write its report"),
        ("check", "build everything of a run without training it; `debias data check`: data alone"),
    ):
        command = commands.add_parser(name, help=meaning)
        command.add_argument("config", help=RUN_CONFIG)
        _add_overrides(command, "as in seed=1 data.root=PATH")
        command.lists_keys = True
    meaning = "compute the metrics of a run, a checkpoint or a file of predictions"
    evaluate = commands.add_parser("evaluate", help=meaning)
    places = "a run's folder, a checkpoint, a CSV file of predictions, or timm:NETWORK"
    evaluate.add_argument("run", help=places)
    options = "as in data.root=PATH measures=fairness,leakage positive=CLASS fresh=true data=NAME"
    _add_overrides(evaluate, options)
    _add_trained(commands)
    meaning = "print one table of finished runs, with one row per method"
    compare = commands.add_parser("compare", help=meaning)
    compare.add_argument("folders", nargs="+", help="runs, or folders of runs")
    column = "add a column; you can repeat this option"
    compare.add_argument(
        "--measure", action="append", default=[], metavar="FAMILY:KEY", help=column
    )
    compare.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    meaning = "write one page of all runs in a folder, to search and sort"
    index = commands.add_parser("index", help=meaning)
    index.add_argument("folder", help="a folder of runs, such as runs")


def _add_trained(commands: Any) -> None:
    predict = commands.add_parser("predict", help="predict new pictures with a run's model")
    predict.add_argument("run", help="a run's folder")
    images = "folders, files or patterns; and options: out=FILE.csv batch_size=64 workers=0 "
    images += "accelerator=auto progress=true"
    predict.add_argument("images", nargs="+", metavar="IMAGES", help=images)
    export = commands.add_parser("export", help="write a run's model as a file for other programs")
    export.add_argument("run", help="a run's folder")
    _add_overrides(export, "format=safetensors|onnx|torch_export out=FOLDER")


def _add_sweep(commands: Any) -> None:
    meaning = "plan, run, search, watch or report the runs of one file"
    sweep = commands.add_parser("sweep", help=meaning)
    sweep.add_argument("action", choices=("plan", "run", "search", "status", "report"))
    sweep.add_argument("source", help="the sweep's YAML file; for status and report, its folder")
    _add_overrides(
        sweep,
        "for every run, as in data.root=PATH; for run, also launcher=local|slurm|ray workers=N "
        "threads=N retries=N minutes=N; for search, also trials=N storage=URL; for status, "
        "watch=true; for report, format=markdown|latex|csv|html out=FILE",
    )


def _add_reproduce(commands: Any) -> None:
    meaning = "run a benchmark's published settings, and compare the figures"
    reproduce = commands.add_parser("reproduce", help=meaning)
    reproduce.add_argument("benchmark", choices=BENCHMARKS)
    examples = "as in data.root=PATH seeds=[0] out=FOLDER workers=2 minutes=10 results=FILE.csv"
    _add_overrides(reproduce, examples)
    names = "settings separated by commas, as in jtt,dfr; default: all"
    reproduce.add_argument("--strategies", default="", metavar="NAMES", help=names)
    price = "print the expected cost, and run nothing"
    reproduce.add_argument("--dry-run", action="store_true", help=price)
    table = "print the table of the finished runs, and train nothing"
    reproduce.add_argument("--report", action="store_true", help=table)


def _add_cache(commands: Any) -> None:
    meaning = "show or free the finished stages and features that runs share"
    cache = commands.add_parser("cache", help=meaning)
    cache.add_argument("action", choices=("list", "prune"))
    cache.add_argument("folder", help="the folder that share= names, or the folder of a sweep")
    _add_overrides(cache, "for prune, at least one of days=30 gb=20 unused=true")


def _add_preparations(commands: Any) -> None:
    meaning = "infer groups from a finished run's predictions, to train on"
    groups = commands.add_parser("infer-groups", help=meaning)
    groups.add_argument("run", help="a run's folder")
    _add_overrides(
        groups,
        "method=jtt, eiil steps=N learning_rate=NUMBER, spare largest=N, or own; out=groups.csv "
        "data.root=PATH",
    )
    audit = commands.add_parser(
        "audit",
        help="find shortcuts in data, and which of them a run takes, without bias labels",
        epilog=AUDIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.add_argument("source", help="a config, a table, a folder of images, or a run's folder")
    _add_overrides(audit, "as in target=COLUMN data.root=PATH images=5000 out=FOLDER")
    masks = commands.add_parser(
        "masks",
        help="make foreground masks for a data set without masks",
        epilog=MASKS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    masks.add_argument("method", choices=MASK_METHODS)
    source = "the config whose images get masks; for gradcam, a finished run's folder"
    masks.add_argument("config", help=source)
    _add_overrides(masks, "as in out=FOLDER source=FILE data.root=PATH")
    listing = commands.add_parser("list", help="list methods, data sets, models and configs")
    listing.add_argument("what", choices=LISTS)
    pattern = "only names that match, such as 'resnet*' or 'waterbirds/*'"
    listing.add_argument("pattern", nargs="?", default="*", help=pattern)


def _add_data(commands: Any) -> None:
    data = commands.add_parser(
        "data",
        help="list, get, check and make the data sets that debias knows by name",
        epilog=DATA,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data.add_argument("action", choices=DATA_ACTIONS)
    data.add_argument("source", nargs="?", default="", help="name of a data set")
    _add_overrides(data, "options of the action")


def _add_overrides(command: argparse.ArgumentParser, examples: str) -> None:
    command.add_argument("overrides", nargs="*", metavar="key=value", help=examples)


def _parse(arguments: Sequence[str] | None) -> dict[str, Any]:
    options, rest = parser().parse_known_args(arguments)
    # before Python 3.13, argparse does not accept key=value arguments after an option
    if rest and (not hasattr(options, "overrides") or any(text.startswith("-") for text in rest)):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    return vars(options) | ({"overrides": [*options.overrides, *rest]} if rest else {})


def _show_warning(message: Warning | str, *place: object) -> None:
    if not is_helper_process():
        print(f"debias: warning: {one_line(str(message))}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process.

    Without a command, the help is printed. Some commands return an exit code, such as 1 if a check
    fails. A user's mistake prints one line on standard error and returns 2, or 3 if the user must
    fetch files. Ctrl-C prints one line and returns 130. A warning prints one line on standard
    error.
    """
    options = _parse(arguments)
    if options["command"] is None:
        parser().print_help()
        return 0
    # warnings.formatwarning would not do: Lightning replaces it when it is imported
    show = warnings.showwarning
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        name = options.pop("command").replace("-", "_")
        if name == "data":
            name = f"data.{options.pop('action')}"
        code = importlib.import_module(f"debias.commands.{name}").run(**options)
        sys.stdout.flush()  # an error at the end of the process could not be handled
    except BrokenPipeError:  # the program that reads our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        line = told(error)
        if line is None:
            raise
        print(f"debias: {line}", file=sys.stderr)
        return 3 if isinstance(error, OfflineError) else 2
    except KeyboardInterrupt:
        print("debias: stopped by Ctrl-C; run the same command again to continue", file=sys.stderr)
        return 130
    finally:
        warnings.showwarning = show
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
