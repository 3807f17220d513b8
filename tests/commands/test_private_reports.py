"""Pages never tell where files lie, ``report.json`` does not where asked, and such a run goes on
like any other.
"""

import getpass
import json
import platform
import re

import pytest

from debias import config as configs
from debias.__main__ import main
from debias.commands import evaluate
from debias.commands.train import train
from debias.reports.privacy import without_places
from debias.sweeps.files import write_plan
from debias.sweeps.plan import plan
from tests.commands.conftest import SMALL


@pytest.mark.slow
def test_no_page_and_no_anonymous_report_names_a_folder_a_user_or_a_host(tmp_path, capsys):
    home = tmp_path / "Ann Other" / "zanzibar"
    home.mkdir(parents=True)
    (home / "own.yaml").write_text("extends: drawn_birds\n")
    told = [*SMALL, "epochs=1", "anonymous=true", f"data.root={home}/birds"]
    (home / "sweep.yaml").write_text(f"configs: [own.yaml]\nout: {home}/runs\n")
    planned = plan(home / "sweep.yaml", [text for text in told if not text.startswith("progress")])
    (run,) = planned.runs
    write_plan(planned)
    train(run.config)
    capsys.readouterr()
    assert main(["compare", f"{home}/runs"]) == 0
    assert main(["sweep", "report", f"{home}/runs", "format=html"]) == 0
    assert main(["index", f"{home}/runs"]) == 0
    pages = sorted((home / "runs").rglob("*.html"))
    assert {path.stem for path in pages} == {"comparison", "index", "report", "sweep"}
    # on some machines the user has the name of a word of the page, as in data.root
    user = [getpass.getuser()] if getpass.getuser() not in ("root", "data", "test", "user") else []
    for path in [*pages, run.folder / "report.json"]:
        text = re.sub(r"base64,[^\"]*", "", path.read_text(encoding="utf-8"))
        for secret in [str(tmp_path), "Ann Other", "zanzibar", platform.node(), *user]:
            assert not re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text), (path.name, secret)
    report = json.loads((run.folder / "report.json").read_text())
    assert (report["config"]["data"]["root"], report["config"]["name"]) == ("birds", "own.yaml")
    assert configs.read(run.folder / "config.yaml").data["root"] == f"{home}/birds"
    evaluate.run(str(run.folder), ["progress=false", "measures=none"])
    assert "zanzibar" not in (run.folder / "report.json").read_text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data", "data"),
        ("w=/a/b,/c/d", "w=b,d"),
        ("/home/Ann Other/birds/", "birds"),
        ("~/birds", "birds"),
        (r"C:\Users\Ann\birds", "birds"),
        ("runs/a", "runs/a"),
        ("../runs/a", "../runs/a"),
        (
            "drawn_birds data.root=/home/ann/birds seed=0",
            "drawn_birds data.root=birds seed=0",
        ),
        (
            "weights: /a/b/c.safetensors (tensors sha256 12)",
            "weights: c.safetensors (tensors sha256 12)",
        ),
        ("no file '/a/b/c.csv': restore it", "no file 'c.csv': restore it"),
        ("https://a.org/b/c and 3 / 4, yes/no", "https://a.org/b/c and 3 / 4, yes/no"),
        ("data:image/jpeg;base64,/9j/4AA/Qx=", "data:image/jpeg;base64,/9j/4AA/Qx="),
    ],
)
def test_what_is_left_of_a_path(text, shown):
    assert without_places({"key": [text, 3, None]}) == {"key": [shown, 3, None]}
