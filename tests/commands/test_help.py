"""The help: the version, the commands, and the keys of a config with type, default and meaning."""

import dataclasses

import pytest

from debias import __version__
from debias.__main__ import main
from debias.config import Config


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_version(capsys):
    assert printed(capsys, "--version") == f"debias {__version__}\n"


def test_no_command_prints_the_help(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out == printed(capsys, "--help")


@pytest.mark.parametrize("command", ["train", "check"])
def test_help_lists_every_key_with_type_default_and_meaning(command, capsys):
    lines = printed(capsys, command, "--help").splitlines()
    for line, meaning in (
        ("  epochs=100", "int: passes over the order of the sampler."),
        ("  clip=null", "float or null: largest gradient norm of a player; null does not clip."),
        ("  cache=true", "bool: decode images once into a memory-mapped file."),
        (
            "  sampler.name=shuffled",
            "section: which training images an epoch visits, and how often.",
        ),
        ("  out=runs", "str: folder that receives the run's folder."),
    ):
        assert lines[lines.index(line) + 1].strip() == meaning
    keys = {line[2:].partition("=")[0] for line in lines if line[:2] == "  " and line[2:3] != " "}
    names = {key.partition(".")[0] for key in keys}
    assert {item.name for item in dataclasses.fields(Config)} <= names


def test_other_help_lists_no_keys(capsys):
    assert "batch_size" not in printed(capsys, "compare", "--help")
