"""The distribution: what a package index shows."""

import configparser
import importlib.util
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from setuptools.command.egg_info import FileList

ROOT = Path(__file__).parents[2]


def setup_script():
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def index_page(readme):
    return setup_script().index_page(readme)


def test_the_page_of_a_package_index_has_no_link_into_the_repository():
    readme = "![run](docs/run.png) See [Data](docs/data.md#csv), [timm](https://a.b) and [up](#top)"
    page = " See Data, [timm](https://a.b) and [up](#top)"
    assert index_page(readme) == page


def test_the_readme_keeps_its_words_on_a_package_index():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = index_page(readme)
    assert not re.search(r"\]\((?!https?:|#)", page)
    assert "from debias.losses.group_dro import GroupDROLoss" in page
    assert "| launch a training sweep | one machine, Slurm, Ray |" in page


def test_the_address_of_the_repository_is_in_every_link_of_an_index():
    urls = setup_script().project_urls("https://a.b/c/d")
    assert urls["Changelog"] == "https://a.b/c/d/blob/main/CHANGELOG.md"
    paths = [url.partition("/blob/main/")[2] for url in urls.values()]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert setup_script().project_urls("") == {}


def test_the_workflow_runs_the_supported_pythons_by_scripts_of_the_repository():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    python = "Programming Language :: Python :: "
    supported = re.findall(rf"^{python}(3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)
    assert setup["options"]["python_requires"] == f">={supported[0]}"
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))[
        "jobs"
    ]
    assert jobs["newest"]["strategy"]["matrix"]["python"] == supported
    assert jobs["oldest"]["strategy"]["matrix"]["python"] == [supported[0], supported[-1]]
    runs = [
        step["run"].split()[0] for job in jobs.values() for step in job["steps"] if "run" in step
    ]
    assert set(runs) == {"scripts/test", "scripts/bounds", "scripts/docs"}
    assert all(os.access(ROOT / run, os.X_OK) for run in runs)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git knows the files of the repository")
def test_the_source_distribution_holds_all_that_the_tests_need(monkeypatch):
    """setuptools adds the package, and the files that it builds from."""
    monkeypatch.chdir(ROOT)
    held = FileList()
    for line in Path("MANIFEST.in").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            held.process_template_line(line)
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    files = {name for name in listed.stdout.splitlines() if not name.startswith("debias/")}
    automatic = {"LICENSE", "README.md", "pyproject.toml", "setup.cfg", "setup.py", "MANIFEST.in"}
    assert files - automatic - {".gitignore"} == set(held.files) & files
    assert not [name for name in held.files if name.endswith(".pyc") or "__pycache__" in name]
