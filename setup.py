"""Builds the distribution: text and links for a package index; the rest is in setup.cfg."""

import re
from pathlib import Path

from setuptools import setup

# The address of the public repository, as https://HOST/OWNER/NAME. Empty: not published yet, and
# the distribution names no address. Only here does the project name its address.
REPOSITORY = ""

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)[^)]*\)")


def index_page(readme: str) -> str:
    """README without links into the repository, which do not work on a package index.

    The text of each link stays. Pictures are left out.
    """
    return LINK.sub(lambda link: "" if link[1] else link[2], readme)


def project_urls(repository: str) -> dict[str, str]:
    """The links that a package index shows beside the page; none without an address."""
    if not repository:
        return {}
    pages = f"{repository}/blob/main"
    return {
        "Repository": repository,
        "Documentation": f"{pages}/docs/index.md",
        "Changelog": f"{pages}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(
        long_description=index_page(readme),
        long_description_content_type="text/markdown",
        project_urls=project_urls(REPOSITORY),
    )
