"""Python files are read as Python and MMEngine read them, without being executed."""

import pytest

from tests.conf.recipes import one_per_family
from tests.migrate.python_files import write_whole, write_with_bases, write_with_read_base
from vidrec.migrate.canonical import canonical
from vidrec.migrate.expressions import Symbol
from vidrec.migrate.published import published
from vidrec.migrate.python_file import read_python

WRITERS = [write_whole, write_with_bases, write_with_read_base]
# What Python itself makes of it is the oracle.
PLAIN = """
import math
import os.path as osp
"a docstring"
root = 'data'
n, m = 3, (1, 2.5, -4)
name = f'{root}/x_{n:03d}_{m[1]!r}' 'tail'
old = '%s-%05d' % (root, 7) + '{}_{:>4}'.format('a', n)
model = dict(backbone=dict(depth=50, stages=(1, 1)), head={'n': n * 2, 'flag': not True})
pipeline = [dict(type='A'), *[dict(type='B', k=i) for i in range(3) if i != 1]] + [None] * 2
other = dict(**model['head'], extra=[*m][1:])
steps = math.ceil(10 / n) + 7 // 2 - 2 ** 3
path = osp.join(root, 'lists', name)
chosen = 'big' if n > 2 and root in ('data',) else 'small'
model['backbone'].update(depth=101, frozen=n)
pipeline[0]['type'] = 'C'
pipeline.append(dict(type='D'))
del pipeline[1]
n += 1
if chosen == 'small':
    n = 0
"""


def test_plain_statements_mean_what_they_mean_in_python(tmp_path):
    (tmp_path / "a.py").write_text(PLAIN)
    expected: dict = {}
    exec(PLAIN, expected)
    found = read_python(tmp_path / "a.py").values
    names = {k for k in expected if not k.startswith("__")} - {"math", "osp"}
    assert found == {name: expected[name] for name in names}


def test_values_lie_over_those_of_the_bases(tmp_path):
    (tmp_path / "_base_").mkdir()
    (tmp_path / "_base_" / "one.py").write_text(
        "model = dict(a=dict(x=1, y=2), b=dict(type='B', z=3))\nsteps = [1, 2]\nlr = 0.1\n"
    )
    (tmp_path / "_base_" / "two.py").write_text("_base_ = 'deep.py'\nroot = 'data/'\n")
    (tmp_path / "_base_" / "deep.py").write_text("depth = 4\nroot = 'other'\n")
    (tmp_path / "mine.py").write_text(
        "_base_ = ['_base_/one.py', '_base_/two.py']\n"
        "model = dict(a=dict(x=5), b=dict(_delete_=True, type='C'))\n"
        "lr = {{_base_.lr}} * 10\n"
        "file = '{{_base_.root}}list_{{ fileBasenameNoExtension }}.txt'\n"
        "steps = [*_base_.steps, 3]\n"
        "where = '{{$VIDREC_TEST_NOT_SET:default/dir}}'\n"
    )
    assert read_python(tmp_path / "mine.py").values == {
        "model": {"a": {"x": 5, "y": 2}, "b": {"type": "C"}},
        "steps": [1, 2, 3],
        "lr": 1.0,
        "root": "data/",
        "depth": 4,
        "file": "data/list_mine.txt",
        "where": "default/dir",
    }


def test_pure_python_style(tmp_path):
    (tmp_path / "base.py").write_text("model = dict(a=dict(x=1, y=2), c=3)\nopt = dict(lr=1)\n")
    (tmp_path / "mine.py").write_text(
        "from torch.optim import SGD\nfrom mmengine.config import read_base\n"
        "with read_base():\n    from .base import model, opt as optimizer\n"
        "model.update(dict(a=dict(x=7)))\nmodel.a.z = 8\n"
        "optimizer.merge(dict(_delete_=True, type=SGD))\n"
    )
    assert read_python(tmp_path / "mine.py").values == {
        "model": {"a": {"x": 7, "y": 2, "z": 8}, "c": 3},
        "optimizer": {"type": Symbol("torch.optim.SGD")},
    }


@pytest.mark.parametrize("stem", one_per_family(published()))
def test_published_configurations_are_read_back(stem, tmp_path):
    config, write = published()[stem], WRITERS[len(stem) % 3]
    found = canonical(read_python(write(config, tmp_path / "mine.py")).values)
    assert found == {"load_from": None} | config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = open('f')", "mine.py:1: the name 'open' has no value"),
        ("import os\nx = os.system('ls')", "mine.py:2: os.system('ls') is not read"),
        ("x = (lambda: 1)()", "is not read: nothing of the file is executed"),
        ("x = ''.__class__", "there is no '__class__'"),
        ("for i in [1]:\n    pass", "mine.py:1: 'for i in \\[1\\]:' is not read"),
        ("def f():\n    return 1", "'def f\\(\\):' is not read"),
        ("x = 'a' * 10**8", "is too large"),
        ("x = 9 ** 9 ** 9", "is too large"),
        ("x = f'{1:99999999}'", "asks for a very long text"),
        ("x = range(10 ** 9)", "too many numbers"),
        ("x = {'a': 1}['b']", "KeyError"),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("x = (1,", "mine.py:1: not Python"),
        ("x = " + "-" * 5000 + "1", "nested too deeply"),
        ("_base_ = 'mmaction::_base_/x.py'", "a file of an installed package: put a copy"),
        ("_base_ = 'mine.py'", "leads back to"),
        ("_base_ = ['a.py', 'b.py']", "two files of _base_ define x"),
        ("_base_ = 'a.py'\nx = dict(y=1)", "x is a dict, but int in the base"),
        ("_base_ = 'a.py'\nz = '{{_base_.y.z}}'", "the files of _base_ have no 'y'"),
        ("from mmaction.configs import *", "outside of read_base"),
    ],
)
def test_what_is_not_plain_data_is_refused(text, problem, tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("x = 1\n")
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=problem.replace("('", r"\('").replace("')", r"'\)")):
        read_python(tmp_path / "mine.py")


def test_a_missing_base_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("_base_ = '../../_base_/models/tsn_r50.py'\n")
    with pytest.raises(FileNotFoundError, match=r"mine\.py:1: .*_base_/models/tsn_r50\.py is not"):
        read_python(tmp_path / "mine.py")
