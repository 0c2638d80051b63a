"""How docs/site makes the site of the checkout: docstrings as Markdown, links out of docs/."""

import importlib.util
from types import SimpleNamespace

import pytest

from tests.docs.pages import DOCS


def load(module):
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{module}", DOCS / "site" / f"{module}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def docstring(tmp_path, source):
    """The docstring of `f` in `source`, as the site shows it."""
    griffe = pytest.importorskip("griffe")
    (tmp_path / "sample.py").write_text(source)
    extensions = griffe.load_extensions(load("docstrings").Readable())
    module = griffe.load("sample", search_paths=[tmp_path], extensions=extensions)
    return module["f"].docstring.value


def test_parameters_are_listed_and_results_follow(tmp_path):
    source = '''
def f(a, b, flag=False):
    """IoU of segments.

    a: (A, 2), b: (B, 2), rows [start, end]
        in seconds. flag: see below: it is one. Returns (A, B).

    Note: no parameter.
    """
'''
    assert docstring(tmp_path, source) == (
        "IoU of segments.\n\n"
        "\n\n- `a`: (A, 2), \n- `b`: (B, 2), rows [start, end] in seconds. "
        "\n- `flag`: see below: it is one. \n\nReturns (A, B).\n\n"
        "Note: no parameter."
    )


def test_examples_are_blocks_of_code(tmp_path):
    source = 'def f():\n    """Add.\n\n    >>> 1 + 1\n    2\n    """\n'
    assert docstring(tmp_path, source) == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```"


def test_comments_document_fields(tmp_path):
    source = "# of all\nf = 3\nclass C:\n    f: int = 1  # pixels\n"
    assert docstring(tmp_path, source) == "of all"


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "docs/config.md#python-api", "config.md#python-api"),
        ("index.md", "CONTRIBUTING.md", "contributing.md"),
        ("faq.md", "../CONTRIBUTING.md#adding-a-dataset", "contributing.md#adding-a-dataset"),
        ("zoo.md", "../conf/model/tsn.yaml", "conf/model/tsn.yaml"),
        ("faq.md", "config.md", "config.md"),
        ("examples/own/README.md", "../../docs/own_code.md", "../../own_code.md"),
        ("examples/own/README.md", "own/loss.py", "own/loss.py"),
        ("reference/models.md", "../architecture.md", "../architecture.md"),
        ("reference/models.md", "heads.md", "heads.md"),
        ("reference/models.md", "../../README.md", "../index.md"),
        ("faq.md", "https://example.com/docs/a.md", "https://example.com/docs/a.md"),
        ("faq.md", "#data", "#data"),
    ],
)
def test_links_lead_to_the_same_page_in_the_site(page, link, expected):
    pytest.importorskip("mkdocs")
    uri = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    shown = load("pages").on_page_markdown(f"See [it]({link}).", page=uri)
    assert shown == f"See [it]({expected})."


def test_a_block_that_is_a_file_shows_its_path():
    pytest.importorskip("mkdocs")
    page = SimpleNamespace(file=SimpleNamespace(src_uri="own_code.md"))
    text = "A loss:\n\n<!-- file: mylab/loss.py -->\n```python\nimport torch\n```\n"
    shown = load("pages").on_page_markdown(text, page=page)
    assert shown == 'A loss:\n\n```python title="mylab/loss.py"\nimport torch\n```\n'
