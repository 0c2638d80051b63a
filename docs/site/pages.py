"""Hooks of mkdocs: pages and files of the site that are not in docs/.

Links in the pages are those of the checkout, so that they also work where the repository is shown.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
LINKED = ("conf/**/*.yaml", "examples/**/*.*", "benchmarks/*.py", "LICENSE")
_FILE = re.compile(r"^<!-- file: (\S+) -->\n```(\w+)$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:)[^\s)#]+(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top of the checkout, and the files that pages link."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, "style.css", abs_src_path=f"{ROOT}/docs/site/style.css"))
    for pattern in LINKED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **rest: object) -> str:
    """Lead links to where their targets are in the site, and show the paths of files."""
    uri = page.file.src_uri
    source = uri if uri.startswith("examples/") else f"docs/{uri}"
    folder = posixpath.dirname(PAGES.get(uri, source))

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[0]))
        names = [name for name, source in PAGES.items() if source == target]
        name = names[0] if names else target.removeprefix("docs/")
        return posixpath.relpath(name, posixpath.dirname(uri))

    return _LINK.sub(moved, _FILE.sub(r'```\2 title="\1"', markdown))
