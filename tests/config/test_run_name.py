"""Names of run directories: plain characters, and never the same for different choices."""

import itertools
import re

from vidrec.config.run_name import former_run_name, run_name, short_name

TSN = {"model": "tsn", "data": "ucf101", "experiment": None}
# Pairs that a careless spelling would give one name.
OVERRIDES = [
    [], ["a=b"], ["a=b-c"], ["a-b=c"], ["a=b,c"], ["a=b--c"], ["a=-b"], ["a=b", "c=d"],
    ["a=b+c-d"], ["a=b,c=d"], ["a/b=c"], ["a.b=c"], ["~a"], ["a="], ["a='b c'"], ["a='b_c'"],
    ["a=x/y"], ["a=x/z"], ["a=" + "x" * 200], ["a=" + "x" * 201], ["a=é"], ["a=è"], ["a=b@c"],
    ["a=0.1,-1"], ["a=0.1-,1"], ["a=[1,2]"], ["a=1,2"],
]  # fmt: skip


def test_different_choices_have_different_names_of_plain_characters():
    names = [run_name(TSN, overrides) for overrides in OVERRIDES]
    names += [run_name({**TSN, "experiment": "tsn+a-b"}, []), short_name("sweep", ["a=b,c"])]
    for first, second in itertools.combinations(names, 2):
        assert first != second
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]{1,255}", name) for name in names)


def test_the_same_choices_have_one_name_in_any_order_and_with_any_launcher():
    given = [
        "schedule.epochs=3",
        "++model.clip.size=112",
        "runtime.num_workers=2",
        "hydra.verbose=true",
    ]
    for overrides in itertools.permutations(given):
        assert run_name(TSN, list(overrides)) == "tsn_ucf101+model.clip.size-112+schedule.epochs-3"
    assert former_run_name(TSN, ["schedule.epochs=3"]) == "tsn_ucf101,schedule.epochs=3"


def test_a_model_and_data_that_read_like_others_are_told_apart(tmp_path):
    for name in ("model/a.yaml", "model/a_b.yaml", "data/c.yaml", "data/b_c.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    names = {
        run_name({"model": model, "data": data}, [], [tmp_path])
        for model, data in (("a", "b_c"), ("a_b", "c"), ("a", "c"))
    }
    assert len(names) == 3
    assert "a_c" in names
