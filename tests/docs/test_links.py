"""Every link of the documentation leads somewhere, and so does every page that a message names."""

import posixpath
import re

import pytest

from tests.docs.pages import DOCS, PAGES, name
from tests.paths import ROOT

_FENCE = re.compile(r"^[ ]*```.*?^[ ]*```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)


def prose(text: str) -> str:
    return _CODE.sub("", _FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub, and the site in the same way, give to the headings."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def test_anchors_are_those_of_github():
    text = "# What travels\n## `run=DIR`, and *more*\n### The [zoo](zoo.md): A/B & C\n"
    assert anchors(text) == {"what-travels", "rundir-and-more", "the-zoo-ab--c"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading_in_it(page):
    for link in _LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{name(page)}: {link}"
        if anchor.startswith("vidrec."):  # an object of the API reference
            package = anchor.rpartition(".")[0]
            shown = re.findall(r"^::: (\S+)", target.read_text(), re.MULTILINE)
            assert any(package.startswith(module) for module in shown), f"{name(page)}: {link}"
        elif anchor:
            assert anchor in anchors(target.read_text()), f"{name(page)}: {link}"


def test_every_page_that_code_and_comments_name_exists():
    folders = ("vidrec", "conf", "benchmarks", "examples", ".github", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.suffix in (".py", ".toml", ".cff", "")]
    for file in files:
        if file.suffix not in (".py", ".yaml", ".yml", ".toml", ".md", "") or file.is_dir():
            continue
        for target in re.findall(r"\bdocs/[\w/.-]+[\w]", file.read_text(errors="ignore")):
            assert (ROOT / target).exists(), f"{file.relative_to(ROOT)}: {target}"


def test_every_page_is_reached_from_the_navigation():
    listed = set(re.findall(r": ([\w/.-]+\.md)$", (DOCS / "site/mkdocs.yml").read_text(), re.M))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert listed == pages | {"index.md", "contributing.md", "changelog.md"}


def test_links_of_the_api_reference_are_relative_to_their_folder():
    for page in (DOCS / "reference").glob("*.md"):
        for link in _LINK.findall(prose(page.read_text())):
            target = posixpath.normpath(posixpath.join("reference", link.partition("#")[0]))
            assert (DOCS / target).exists(), f"{name(page)}: {link}"
