"""The distribution: what a package index shows."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def index_page(readme):
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.index_page(readme)


def test_the_page_of_a_package_index_has_no_link_into_the_repository():
    readme = "![run](docs/run.png) See [Data](docs/data.md#csv), [timm](https://a.b) and [up](#top)"
    page = " See Data, [timm](https://a.b) and [up](#top)"
    assert index_page(readme) == page


def test_the_readme_keeps_its_words_on_a_package_index():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = index_page(readme)
    assert not re.search(r"\]\((?!https?:|#)", page)
    assert "from debias.losses.group_dro import GroupDROLoss" in page
    assert "| launch a training sweep | one machine, Slurm |" in page
