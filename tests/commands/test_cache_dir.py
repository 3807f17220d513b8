"""Every command with a config keeps the copies of its data in the config's cache folder."""

import pytest

from debias import components
from debias.__main__ import main
from debias.errors import InputError

OWN = """
extends: waterbirds
data: {name: table, file: 's3://bucket/t.csv', root: .}
cache_dir: fast
"""


@pytest.mark.parametrize(
    "command",
    [
        "check own.yaml",
        "train own.yaml",
        "audit own.yaml",
        "data check own.yaml",
        "data diagnose own.yaml cues=[a,b] out=cues.csv",
        "masks boxes own.yaml out=m source=b.csv",
        "evaluate timm:test_resnet data=own.yaml",
    ],
)
def test_the_cache_folder_of_the_config(command, tmp_path, monkeypatch, capsys):
    def stop(options, cache_dir):
        raise InputError(f"copies in {cache_dir}")

    (tmp_path / "own.yaml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEBIAS_CACHE", "elsewhere")
    monkeypatch.setattr(components, "with_copies", stop)
    assert main(command.split()) == 2
    assert capsys.readouterr().err == "debias: copies in fast\n"
