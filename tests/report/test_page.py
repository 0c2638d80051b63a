"""The page of a card: what it says, and that no text of a user is read as HTML."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.report.runs import ROWS, make_run
from vidrec.report import files
from vidrec.report.line_chart import Line, line_chart, ticks
from vidrec.report.media import MOST_BYTES
from vidrec.report.page import page
from vidrec.report.rewriting import rewrite_report
from vidrec.report.run_files import card_of_run
from vidrec.report.tables import table

HOSTILE = "<script>alert('x')</script>\" onload=\"x"
VOID = {"wbr", "meta", "link", "img", "line", "circle", "polyline"}


class Tags(HTMLParser):
    """The tags of a page with their attributes; raises AssertionError if they do not close."""

    def __init__(self, content):
        super().__init__()
        self.found, self.open, self.texts = [], [], []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def card(tmp_path):
    return card_of_run(make_run(tmp_path / "mine"))


def test_texts_of_users_are_shown_and_never_read_as_html(card, tmp_path):
    card.name = card.command = card.protocol = card.error = card.shown = HOSTILE
    card.scores = {HOSTILE: 0.5}
    card.tables = [{"title": HOSTILE, "columns": [HOSTILE], "rows": [[HOSTILE]], "note": HOSTILE}]
    card.figures = [{"caption": HOSTILE, "file": HOSTILE}]
    card.unreadable, card.num_unreadable = [[HOSTILE, HOSTILE]], 1
    card.lists = {HOSTILE: {"file": HOSTILE, "sha256": HOSTILE}}
    card.environment = {HOSTILE: HOSTILE}
    card.changes = {HOSTILE: [HOSTILE, HOSTILE]}
    card.datasets = {HOSTILE: {"samples": 1}}
    rows = [row | {f"val/{HOSTILE}": 0.5} for row in ROWS]
    content = page(card, tmp_path, rows)
    tags = Tags(content)
    assert "script" not in {tag for tag, _ in tags.found}
    assert not any(name.startswith("on") for _, own in tags.found for name in own)
    assert sum(HOSTILE in text for text in tags.texts) > 10


def test_a_page_needs_nothing_else(card, tmp_path):
    content = page(card, tmp_path, ROWS)
    for _, attributes in Tags(content).found:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in content
    assert "@import" not in content


def test_the_page_says_how_far_a_run_is_and_what_it_waits_for(card, tmp_path):
    content = page(card, tmp_path, ROWS)
    assert "was stopped before its end" in content
    assert "3 of 4 epochs are validated." in content
    assert "68 % of a step is waiting for data" in content
    assert '<span class="name">top1</span><span class="value">0.7500</span>' in content
    assert "python train.py model=tsn_tiny schedule.epochs=4" in content


def test_the_page_of_a_run_is_the_same_every_time(tmp_path):
    folder = make_run(tmp_path / "mine")
    first = rewrite_report(folder).read_text()
    assert rewrite_report(folder).read_text() == first


def test_a_report_replaces_no_file_that_vidrec_did_not_write(tmp_path):
    folder = make_run(tmp_path / "mine")
    rewrite_report(folder)
    (folder / files.PAGE).write_text("my notes")
    with pytest.raises(FileExistsError, match=r"report\.html exists"):
        rewrite_report(folder)
    assert (folder / files.PAGE).read_text() == "my notes"


def test_pictures_are_inside_until_the_page_would_be_too_large(card, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x" * 1000)
    (tmp_path / "b.mp4").write_bytes(b"x" * MOST_BYTES)
    card.figures = [
        {"caption": name, "file": f"{name}.mp4"} for name in ("a", "b", "c", "../../etc/passwd")
    ]
    content = page(card, tmp_path)
    assert len(content) < 60_000
    assert [own["src"][:14] for tag, own in Tags(content).found if tag == "video"] == [
        "data:video/mp4"
    ]
    assert '<a href="b.mp4">b.mp4</a>, too large for this page' in content
    assert "c.mp4 is not in the folder any more" in content


def test_only_columns_of_shares_have_bars():
    content = table(("a", "b"), [("x", 0.5), ("y", 1.0)])
    assert re.findall(r"--part:([\d.]+)", content) == ["0.5", "1"]
    assert "--part" not in table(("a", "b"), [("x", 0.5), ("y", 1.5)])
    assert "--part" not in table(("a", "b"), [("x", 0), ("y", 1)])


def test_long_tables_are_folded_and_lose_no_row():
    rows = [(f"class {i}", i) for i in range(60)]
    content = table(("name", "count"), rows)
    assert "45 more" in content
    assert all(f">class {i}<" in content for i in range(60))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.1, 0.2), (3, 70), (0, 1e-6), (-2, 5e4)])
def test_ticks_are_a_few_even_steps_within_the_range(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 6
    assert low <= found[0] < found[-1] <= high
    steps = [b - a for a, b in pairwise(found)]
    assert max(steps) == pytest.approx(min(steps))


def test_points_of_a_chart_lie_where_their_values_are():
    """Of values from 0 to 100, 25 is a quarter of the way up, and 2 of 0 to 8 a quarter across."""
    lines = [Line("a", [0, 2, 8], [0, 25, 100])]
    (points,) = re.findall(r'points="([^"]+)"', line_chart("t", lines, "epoch"))
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in points.split())
    assert (x1 - x0) / (x2 - x0) == pytest.approx(0.25, abs=1e-3)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(0.25, abs=1e-3)
