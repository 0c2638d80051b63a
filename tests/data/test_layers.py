"""What the parts of `vidrec.data` may import: every arrow points down, none between the kinds."""

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT

DATA = ROOT / "vidrec" / "data"
KINDS = ["clips", "boxes", "segments"]
SHARED = ["ragged", "collate", "unreadable"]  # files beside the folders
ALLOWED = {
    "video": ["video"],
    "transforms": ["transforms", "video"],
    **{kind: [kind, "transforms", "video", *SHARED] for kind in KINDS},
    "poses": ["poses", "transforms", "video", *SHARED],
    "synthetic": ["synthetic", *KINDS, "poses", "video"],
    "ragged": [],
    "collate": ["unreadable"],
    "unreadable": ["video"],
    "loader": [],
    "classes": [],
}


def imported(path: Path) -> set[str]:
    """The modules of vidrec that a file imports, in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return {name for name in found if name.startswith("vidrec")}


def files(part: str) -> list[Path]:
    return [DATA / f"{part}.py"] if (DATA / f"{part}.py").exists() else [*DATA.glob(f"{part}/*.py")]


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part):
    below = {"vidrec.files", "vidrec.ops", "vidrec.progress", "vidrec.errors"} | {
        f"vidrec.data.{name}" for name in ALLOWED[part]
    }
    for path in files(part):
        for name in imported(path) - {"vidrec.config.example_data"}:  # where examples are written
            levels = 3 if name.startswith("vidrec.data.") else 2
            assert ".".join(name.split(".")[:levels]) in below, f"{path.name} imports {name}"


def test_every_part_has_a_place():
    parts = {path.stem for path in DATA.iterdir() if path.name[:2] != "__"}
    assert parts == set(ALLOWED)
    assert all(files(part) for part in ALLOWED)
