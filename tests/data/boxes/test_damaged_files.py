"""Damaged annotations and results end in a sentence with the file's name, or do not matter."""

import json
import pickle
import random

import numpy as np
import pytest

from vidrec.data.boxes.annotations import read_ava
from vidrec.data.boxes.custom import read_boxes
from vidrec.data.boxes.person_proposals import read_proposals, write_proposals
from vidrec.metrics.ava_map import AVAMeanAP

FRAMES = [(f"v{i}", 902 + j) for i in range(3) for j in range(4)]
BOX = "0.1,0.2,0.5,0.6"
ENTRIES = [{"box": [0.1, 0.2, 0.5, 0.6], "actions": ["sit"]}]
TEXTS = {
    "a.csv": "".join(f"{v},{t:04d},{BOX},{1 + t % 3},0\n" for v, t in FRAMES),
    "out.csv": "v0,0903\nv1,0905\n",
    "l.pbtxt": "".join(f'item {{\n  name: "act {i}"\n  id: {i}\n}}\n' for i in (1, 2, 3)),
    "classes.txt": "sit\nstand\n",
    "c.csv": "video,timestamp,x1,y1,x2,y2,action\n"
    + "".join(f"{v},{t},{BOX},sit\n" for v, t in FRAMES),
    "c.json": json.dumps([{"video": v, "timestamp": t, "boxes": ENTRIES} for v, t in FRAMES]),
    "d.csv": "".join(f"{v},{t},{BOX},{1 + t % 3},0.7\n" for v, t in FRAMES),
}
PERSONS = {f"{v},{t:04d}": np.array([[0.1, 0.2, 0.5, 0.6, 0.95]], np.float32) for v, t in FRAMES}
PROPOSALS = [f"p.{suffix}" for suffix in ("pkl", "npz", "csv", "json")]


@pytest.fixture
def read(tmp_path):
    """Reads one of the files, all others being intact."""
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    for name in PROPOSALS:
        write_proposals(str(tmp_path / name), PERSONS)
    path = {name: str(tmp_path / name) for name in [*TEXTS, *PROPOSALS]}

    def ava(**files):
        own = {"ann_file": path["a.csv"], "label_file": path["l.pbtxt"]} | files
        return read_ava(**own, num_classes=4)

    metric = AVAMeanAP(ava())
    keys = {"a.csv": "ann_file", "out.csv": "exclude_file", "l.pbtxt": "label_file"}

    def read(name):
        if name == "d.csv":
            return metric.score_file(path[name])
        if name in ("c.csv", "c.json"):
            return read_boxes(path[name], path["classes.txt"])
        if name == "classes.txt":
            return read_boxes(path["c.csv"], path[name])
        return ava(**{keys.get(name, "proposal_file"): path[name]})

    return read


def damaged(data, rng):
    """A few bytes flipped, cut out, repeated or put in."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place : place + rng.choice((1, 5, 40))]
        elif kind == 2:
            data[place:place] = data[rng.randrange(len(data)) :][:20]
        elif kind == 3:
            put = (b'"', b"\0", b"\xff", b"9" * 30, b"-", b"nan", b"{", b"[", b"1e400", b"x" * 2000)
            data[place:place] = rng.choice(put)
        elif len(data) > 60:
            del data[max(place, 50) :]
    return bytes(data)


def refusal(read, name):
    """The message of the ValueError for a file; None if it is read."""
    try:
        read(name)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", [*TEXTS, *PROPOSALS])
def test_a_damaged_file_is_read_or_named(read, tmp_path, name):
    content = (tmp_path / name).read_bytes()
    refused = 0
    for seed in range(40):
        (tmp_path / name).write_bytes(damaged(content, random.Random(seed)))
        if (message := refusal(read, name)) is not None:
            assert str(tmp_path / name) in message, seed
            assert "\n" not in message
            assert len(message) < 600 + 2 * len(str(tmp_path))
            refused += 1
    assert refused > 8


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        # A stray quote would hide the lines up to the next one, or up to the end.
        ("a.csv", "1,0\nv0,0904", '1,"0\nv0,0904', "is a quote not closed"),
        (
            "a.csv",
            f"1,0\nv0,0904,{BOX},2,0",
            f'1,"0\nv0,0904,{BOX},2,0"',
            "line 3: .* is not video",
        ),
        ("p.csv", "v0,0902", '"v0,0902', "is a quote not closed"),
        ("a.csv", "v0,0904", "v0\0,0904", "a null character"),
        ("a.csv", "v0,0904", "v" * 2000 + ",0904", "line 3: 'v+'... is not video"),
        ("a.csv", "0.6,1,0", "0.6,100001,0", "line 2: .* is not video"),
        ("l.pbtxt", 'item {\n  name: "act 2"', 'item \n  name: "act 2"', "line 5: expected item"),
        ("l.pbtxt", '"act 2"', '"act 2', "line 5: expected item"),
        ("l.pbtxt", "id: 2", "di: 2", "line 5: expected item"),
        ("l.pbtxt", "id: 2", "id: 2 2", "line 5: expected item"),
        ("l.pbtxt", "act 2", "act 1", "has the id 2 or the name 'act 1' twice"),
        ("l.pbtxt", "id: 2", "id: 3000000000", "the id '3000000000' is more than 100000"),
        ("c.json", '"timestamp": 902', '"timestamp": true', "key frame 0: .*timestamp True"),
        ("c.json", '"timestamp": 902', '"timestamp": 1e300', "key frame 0: .*timestamp 1e"),
        ("c.json", "[0.1, 0.2, 0.5, 0.6]", '"0011"', "key frame 0: .*box '0011'"),
        ("c.json", "[0.1, 0.2, 0.5, 0.6]", "null", "key frame 0 is not .*a box is null"),
        ("c.json", json.dumps(ENTRIES), "null", "key frame 0 is not .*boxes are no list"),
        ("c.csv", f"v0,902,{BOX},sit", f"v0,902,{BOX},sit,stand", "line 2: .* has 8 fields"),
        ("d.csv", "v0,903", ",903", "line 2: ',903"),
        ("d.csv", "v0,903", "v" * 5000 + ",903", "names of videos with 2048 characters"),
        ("d.csv", ",1,0.7", ",1e300,0.7", "line 2: .* is not video"),
        ("d.csv", BOX, "-300,-200,0.5,0.6", "detection 1 has the box .*divide pixels"),
    ],
)
def test_small_mistakes_hide_nothing(read, tmp_path, name, old, new, message):
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as error:
        read(name)
    assert str(tmp_path / name) in str(error.value)


def test_the_keys_of_a_small_pickle_cannot_share_one_large_array(tmp_path):
    shared = np.zeros((30_000, 5), np.float32)
    (tmp_path / "p.pkl").write_bytes(pickle.dumps({f"v,{i}": shared for i in range(1000)}))
    with pytest.raises(ValueError, match=r"p\.pkl has more than 20,000,000 boxes"):
        read_proposals(str(tmp_path / "p.pkl"))
