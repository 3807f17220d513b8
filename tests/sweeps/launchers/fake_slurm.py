"""A Slurm of files: ``sbatch``, ``squeue`` and ``scancel`` for the front of PATH, in a folder that
tests write to.

The file ``ends`` says what becomes of the tasks, a word for each in the order of submission, and
``done`` beyond:

- ``done``: there is a report; ``preempted``: there is one, yet Slurm has queued the task again.
- ``raised``, ``refused``: the worker left an error, with exit code 1 or 2.
- ``late``: out of time after one more checkpoint, ``killed``: without any.
- Any other word is a state of Slurm in which the task stays; Slurm has forgotten the ``VANISHED``.

``commands`` holds what was called, a line each. A file ``broken`` makes every command fail with its
text.
"""

import json
import os
import re
import sys
from pathlib import Path

STATES = {
    "done": "COMPLETED", "preempted": "PENDING", "raised": "FAILED", "refused": "FAILED",
    "late": "TIMEOUT", "killed": "FAILED",
}  # fmt: skip
CODES = {"raised": "1:0", "refused": "2:0", "killed": "0:9"}


def install(folder: Path) -> None:
    """Write the three commands into a folder."""
    for name in ("sbatch", "squeue", "scancel"):
        command = folder / name
        command.write_text(
            f'#!/bin/sh\nexec {sys.executable} -S -E {__file__} {folder} {name} "$@"\n'
        )
        command.chmod(0o755)
    write(folder / "tasks.json", [])


def option(arguments: list[str], name: str) -> str:
    return next(text.partition("=")[2] for text in arguments if text.startswith(f"--{name}="))


def write(path: Path, value: object) -> None:
    """Others see the old file or the new one, never half of it."""
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps(value))
    os.replace(aside, path)


def finish(run: Path, config: dict) -> None:
    """A report, in which the selection rule reads 10 % after 4 seconds."""
    run.mkdir(parents=True, exist_ok=True)
    chosen = {"rule": "worst_group", "epoch": 0, "value": 0.1}
    entries: dict = {
        "schema": 1,
        "config": config,
        "seed": config.get("seed", 0),
        "data": {"targets": [], "biases": [], "aligned": [], "multi_label": False, "groups": []},
        "model": {"weights": "none"},
        "strategy": {"name": "erm", "group_labels": "none"},
        "precision": "32-true",
        "seconds": {"train": 3.0, "epoch": 1.0, "total": 4.0},
        "selection": {"rule": "worst_group", "epoch": 0, "table": [chosen]},
        "metrics": {},
    }
    entries["data"]["counts"] = entries["versions"] = entries["git"] = {}
    write(run / "report.json", entries)


def end(word: str, number: int, entry: dict) -> None:
    """Leave what a worker would leave."""
    run = Path(entry["config"]["out"]) / entry["name"]
    if word in ("done", "preempted"):
        finish(run, entry["config"])
    elif word in ("raised", "refused"):
        error = run.parent / "errors" / f"{entry['name']}.txt"
        error.parent.mkdir(exist_ok=True)
        line = "OSError: disk full" if word == "raised" else "ValueError: no such picture"
        error.write_text(f"{line}\n\nTraceback")
    elif word == "late":
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / f"{number}.ckpt").touch()


def sbatch(folder: Path, arguments: list[str], tasks: list[dict]) -> None:
    job = 1 + len({task["job"] for task in tasks})
    runs = json.loads(Path(option(arguments, "wrap").split()[-1]).read_text())["runs"]
    assert option(arguments, "array").partition("%")[0] == f"0-{len(runs) - 1}"
    words = (folder / "ends").read_text().split() if (folder / "ends").is_file() else []
    for element, entry in enumerate(runs):
        word = words[len(tasks)] if len(tasks) < len(words) else "done"
        end(word, len(tasks), entry)
        key = {
            "array": option(arguments, "job-name"),
            "element": element,
            "job": str(job),
            "run": entry["overrides"],
        }
        tasks.append({**key, "state": STATES.get(word, word), "code": CODES.get(word, "0:0")})


def squeue(arguments: list[str], tasks: list[dict]) -> None:
    for task in tasks:
        if task["array"] in option(arguments, "name").split(",") and task["state"] != "VANISHED":
            state, _, reason = task["state"].partition(":")
            fields = (
                task["array"],
                task["element"],
                task["job"],
                state,
                task["code"],
                reason or "None",
            )
            print("".join(f"{field!s:20}|" for field in fields))


def main(folder: Path, name: str, arguments: list[str]) -> None:
    with (folder / "commands").open("a") as file:
        file.write(" ".join([name, *arguments]) + "\n")
    if (folder / "broken").is_file():
        raise SystemExit((folder / "broken").read_text())
    tasks = json.loads((folder / "tasks.json").read_text())
    if name == "squeue":
        squeue(arguments, tasks)
        return
    if name == "sbatch":
        sbatch(folder, arguments, tasks)
    for task in tasks:
        if name == "scancel" and {task["job"], f"{task['job']}_{task['element']}"} & set(arguments):
            task["state"] = "CANCELLED"
    write(folder / "tasks.json", tasks)


def submitted(folder: Path) -> list[list[str]]:
    """For each array in order, the overrides of its runs."""
    tasks = json.loads((folder / "tasks.json").read_text())
    return [
        [" ".join(task["run"]) for task in tasks if task["job"] == job]
        for job in dict.fromkeys(task["job"] for task in tasks)
    ]


def called(folder: Path, name: str) -> list[str]:
    """The arguments with which a command was called."""
    path = folder / "commands"
    return re.findall(rf"^{name} (.*)$", path.read_text() if path.is_file() else "", re.MULTILINE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
