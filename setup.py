"""Builds the distribution. Everything but the text for a package index is in setup.cfg."""

import re
from pathlib import Path

from setuptools import setup

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)[^)]*\)")


def index_page(readme: str) -> str:
    """README without links into the repository, which do not work on a package index.

    The text of each link stays. Pictures are left out.
    """
    return LINK.sub(lambda link: "" if link[1] else link[2], readme)


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(long_description=index_page(readme), long_description_content_type="text/markdown")
