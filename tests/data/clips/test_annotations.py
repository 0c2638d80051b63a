"""Readers against files written out by hand, packed records against plain Python lists."""

import json
import pickle
import re
import time

import numpy as np
import pytest

from vidrec.data.clips.annotations import (
    read_class_folders,
    read_frame_list,
    read_json,
    read_label_map,
    read_video_list,
    scan_folders,
)
from vidrec.data.clips.records import Record, Records


@pytest.fixture
def write(tmp_path):
    def write(content, name="list.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


PATHS = ["a.mp4", "", "ordner/größe 日本.mp4", "b b.mp4", "\udcff.mp4"]


def columns(multi_label):
    labels = [(3, 0), (), (1,), (2, 2, 5), (7,)] if multi_label else [3, 0, 1, 2, 9]
    return {"labels": labels, "num_frames": [10, None, 0, 7, 1], "offset": [0, 5, 1, 2, 3]}


@pytest.mark.parametrize("multi_label", [False, True])
def test_packed_records_are_the_rows_that_went_in(multi_label):
    given = columns(multi_label)
    rows = [Record(*row) for row in zip(PATHS, *given.values(), strict=True)]
    packed = Records.pack(iter(PATHS), **{name: iter(column) for name, column in given.items()})
    for records in (packed, pickle.loads(pickle.dumps(packed))):
        assert list(records) == rows
        assert len(records) == 5
        assert records.multi_label is multi_label
    assert packed[-1] == rows[-1]
    assert packed[np.int64(2)] == rows[2]
    for row in (5, -6):
        with pytest.raises(IndexError, match=f"no record {row}, there are 5"):
            packed[row]


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_part_of_the_records_is_that_part_of_the_rows(multi_label):
    records = Records.pack(PATHS, **columns(multi_label))
    rows = list(records)
    assert list(records[1:4]) == rows[1:4]
    assert list(records[::-2]) == rows[::-2]
    assert list(records.take([4, 0, 0, -2])) == [rows[i] for i in (4, 0, 0, 3)]
    mask = np.array([True, False, False, True, False])
    assert list(records.take(mask)) == [rows[0], rows[3]]
    assert list(records.take([])) == []
    for wrong in ([5], [-6], [0.5], mask[:3]):
        with pytest.raises(IndexError):
            records.take(wrong)


def test_a_large_shuffle_moves_every_row(monkeypatch):
    # Several pieces, the last one shorter.
    monkeypatch.setattr("vidrec.data.ragged._GATHERED", 7)
    paths = ["x" * (i % 11) + str(i) for i in range(100)]
    order = np.random.default_rng(0).permutation(100)
    shuffled = Records.pack(paths, range(100)).take(order)
    assert [record.path for record in shuffled] == [paths[i] for i in order]
    np.testing.assert_array_equal(shuffled.labels(), order)


def test_labels_are_dense_where_there_are_several():
    single = Records.pack(["a", "b"], [4, 2]).labels()
    assert single.dtype == np.int64
    assert single.tolist() == [4, 2]
    records = Records.pack(["a", "b", "c"], [(0, 3), (), (1, 1)])
    dense = records.labels(4)
    assert dense.dtype == np.float32
    assert dense.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    with pytest.raises(ValueError, match="label 3 is not below num_classes=3"):
        records.labels(3)
    with pytest.raises(ValueError, match="needs num_classes"):
        records.labels()


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 paths, but 1 labels"):
        Records.pack(["a", "b"], [1])
    with pytest.raises(ValueError, match="2 paths, but 3 num_frames"):
        Records.pack(["a", "b"], [1, 2], num_frames=[1, 2, 3])
    for mixed in ([1, (2,)], [(1,), 2]):
        with pytest.raises(ValueError, match="either all numbers or all sequences"):
            Records.pack(["a", "b"], mixed)


def test_ten_million_samples_are_a_few_flat_arrays():
    records = Records.pack((f"v{i}.mp4" for i in range(1000)), range(1000))
    assert vars(records.paths).keys() == {"values", "ends"}
    arrays = [records.paths.values, records.paths.ends, records.label]
    assert [value for value in vars(records).values() if value is not None] == [
        records.paths,
        records.label,
    ]
    assert all(type(value) is np.ndarray for value in arrays)
    assert sum(value.nbytes for value in arrays) < 1000 * (len("v999.mp4") + 16) + 16


# A delimiter, and a path that holds it.
DELIMITED = [
    (" ", "dir/two words.mp4"),
    (" ", "dir/two  spaces.mp4"),
    ("\t", "dir/a tab\tin it.mp4"),
    (",", "dir/a, b.mp4"),
    (";", "a;b.mp4"),
    (" || ", "a || b.mp4"),
]


@pytest.mark.parametrize(("delimiter", "path"), DELIMITED)
def test_lists_are_read_from_the_right_with_any_delimiter(write, delimiter, path):
    videos = write(f"{path}{delimiter}3\nplain.mp4{delimiter}0\n")
    assert list(read_video_list(videos, delimiter=delimiter)) == [
        Record(path, 3, None, 0),
        Record("plain.mp4", 0, None, 0),
    ]
    line = delimiter.join([path, "3", "0", "12"])
    several = read_video_list(write(line), delimiter=delimiter, multi_label=True)
    assert list(several) == [Record(path, (3, 0, 12), None, 0)]
    frames = read_frame_list(write(delimiter.join([path, "30", "4"])), delimiter=delimiter)
    assert list(frames) == [Record(path, 4, 30, 0)]
    line = delimiter.join([path, "7", "30", "4"])
    frames = read_frame_list(write(line), delimiter=delimiter, with_offset=True)
    assert list(frames) == [Record(path, 4, 30, 7)]
    frames = read_frame_list(
        write(line + delimiter + "5"), delimiter=delimiter, with_offset=True, multi_label=True
    )
    assert list(frames) == [Record(path, (4, 5), 30, 7)]


def test_comments_blank_lines_and_windows_files_are_read(write):
    content = (
        "\ufeff# made by hand\r\n\r\na.mp4 1\r\n  \r\n#b.mp4 2\r\n./#c é.mp4   3  \r\n\td.mp4\t4"
    )
    records = read_video_list(write(content))
    assert [(r.path, r.label) for r in records] == [
        ("a.mp4", 1),
        ("#b.mp4", 2),
        ("./#c é.mp4", 3),
        ("d.mp4", 4),
    ]
    [remark] = records.remarks
    assert re.search(r"list\.txt: 1 lines are comments .* line 1$", remark)


@pytest.mark.parametrize(
    ("reader", "line", "options", "message"),
    [
        (read_video_list, "a", {}, "'a': it has no label.* expected 'path label'"),
        (read_video_list, "3", {}, "'3': it has no label"),
        (read_video_list, "a.mp4,1", {}, r"'a.mp4,1': .*set data\.train\.records\.delimiter=','"),
        (read_video_list, "a.mp4 1.0", {}, "'a.mp4 1.0'"),
        (read_video_list, "a.mp4 1_0", {}, "'a.mp4 1_0'"),
        (read_video_list, "a.mp4 ²", {}, "'a.mp4 ²'"),
        (read_video_list, "a.mp4 99999999999999999999", {}, "no label, a whole number"),
        (read_video_list, ",1", {"delimiter": ","}, "',1'.*expected 'path,label'"),
        (read_video_list, "a.mp4 1 2", {}, "2 numbers .* instead of 1; set multi_label"),
        (read_video_list, "a.mp4 x", {"multi_label": True}, r"expected 'path label \[label \.+\]'"),
        (read_video_list, "a.mp4 -1", {}, "-1 is negative"),
        (read_video_list, "a\0.mp4 1", {}, "has a null character"),
        (read_video_list, "a.mp4 3000000000", {}, "label 3000000000 is not below"),
        (
            read_video_list,
            "a.mp4 2 0 2",
            {"multi_label": True},
            "label 2 is given twice.*multi_hot",
        ),
        (read_video_list, "a.mp4 5", {"num_classes": 5}, "label 5 is not below num_classes=5"),
        (
            read_video_list,
            "a.mp4 0 5",
            {"num_classes": 5, "multi_label": True},
            "label 5 is not below num_classes=5",
        ),
        (read_frame_list, "a", {}, "it has no label.* expected 'path num_frames label'"),
        (read_frame_list, "a 2 30 1", {}, "3 numbers .* instead of 2; .*with_offset"),
        (read_frame_list, "a -1 30 1", {"with_offset": True}, "-1 is negative"),
        (
            read_frame_list,
            "a 30",
            {"with_offset": True},
            "'a 30': 1 whole .* expected 'path offset num_frames label'",
        ),
    ],
)
def test_a_wrong_line_is_named_with_what_belongs_there(write, reader, line, options, message):
    delimiter = options.get("delimiter", " ")
    good = delimiter.join(["good"] + ["1"] * (1 + (reader is read_frame_list)))
    good += (delimiter + "1") * options.get("with_offset", False)
    with pytest.raises(ValueError, match=r"list\.txt:3: .*" + message):
        reader(write(f"# first\n{good}\n{line}\n"), **options)


def test_a_line_that_is_not_utf8_is_named(write):
    with pytest.raises(ValueError, match=r"list\.txt:2: .* is not UTF-8"):
        read_video_list(write(b"a.mp4 1\n\xff.mp4 1\n"))


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
def test_a_list_without_samples_is_refused(write, content):
    with pytest.raises(ValueError, match=r"list\.txt has no samples"):
        read_video_list(write(content))


def test_a_missing_file_is_named_with_its_neighbours(write, tmp_path):
    write("", "train_list.txt")
    write("", "val_list.txt")
    with pytest.raises(
        FileNotFoundError, match=r"trian_list\.txt does not exist; did you mean 'train_list\.txt'"
    ):
        read_video_list(str(tmp_path / "trian_list.txt"))
    with pytest.raises(FileNotFoundError, match=f"only its parent {tmp_path} does"):
        read_json(str(tmp_path / "no" / "where" / "a.json"))
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_label_map(str(tmp_path))


def test_json_objects_under_all_their_names(write):
    entries = [
        {"path": "a b.mp4", "label": 1},
        {"video": "c.mp4", "label": "2", "num_frames": 9},
        {"filename": "d.mp4", "label": 0, "note": "kept apart"},
        {"frame_dir": "e", "label": 3, "total_frames": 30, "offset": 4},
    ]
    expected = [
        Record("a b.mp4", 1, None, 0),
        Record("c.mp4", 2, 9, 0),
        Record("d.mp4", 0, None, 0),
        Record("e", 3, 30, 4),
    ]
    assert list(read_json(write(json.dumps(entries)))) == expected
    listed = {"metainfo": {}, "data_list": entries}
    assert list(read_json(write(json.dumps(listed)), num_classes=4)) == expected
    several = write(json.dumps([{"path": "a", "label": [1, 0]}, {"path": "b", "label": []}]))
    assert [r.label for r in read_json(several, multi_label=True)] == [(1, 0), ()]


def test_something_something_files_as_they_are_published(write):
    labels = write(json.dumps({"Holding something": "1", "Dropping something": "0"}), "labels.json")
    entry = {"id": "78687", "label": "holding potato", "template": "Holding [something]"}
    listed = write(json.dumps([entry]), "train.json")
    assert list(read_json(listed, classes=labels)) == [Record("78687.webm", 1, None, 0)]
    assert read_json(listed, classes=labels, template="v/{}.mp4")[0].path == "v/78687.mp4"
    names = write("Dropping something\nHolding something\n", "names.txt")
    assert read_json(listed, classes=names)[0].label == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"label": 1}, "expected one of path, video"),
        ({"path": "a", "video": "b", "label": 1}, "expected one of path"),
        ({"path": "", "label": 1}, "expected one of path"),
        ({"path": "a"}, "it has no label, unlike those before it"),
        ({"path": "a", "label": [1]}, "multi_label is False"),
        ({"path": "a", "label": 1.5}, "1.5 is not a number; pass `classes`"),
        ({"path": "a", "label": True}, "True is not a number"),
        ({"path": "a", "label": "jump"}, "'jump' is not a number; pass `classes`"),
        ({"path": "a", "label": 4}, "label 4 is not below num_classes=4"),
        ({"path": "a", "label": 1, "num_frames": "9"}, "'9' is not a number of frames"),
        ({"path": "a", "label": 1, "offset": -1}, "-1 is not a number of frames"),
        ("a.mp4 1", "expected an object"),
        ({"path": "a\0", "label": 1}, "has a null character"),
        ({"path": "a\ud800", "label": 1}, "is not text: surrogates not allowed"),
        ({"path": "a", "label": 1, "num_frames": 10**30}, "is not a number of frames"),
        ({"id": 1, "template": None}, "'None' is not a number; pass `classes`"),
    ],
)
def test_a_wrong_json_object_is_named(write, entry, message):
    path = write(json.dumps([{"path": "good", "label": 1}, entry]), "list.json")
    with pytest.raises(ValueError, match=r"list\.json: entry 1 of the list: .*" + message):
        read_json(path, num_classes=4)


def test_a_name_that_the_label_map_lacks_is_named_with_the_nearest(write):
    names = write("jump\nrun\n", "names.txt")
    path = write(json.dumps([{"path": "a", "label": "jumps"}]))
    with pytest.raises(ValueError, match="'jumps' is not in the label map; did you mean 'jump'"):
        read_json(path, classes=names)


def test_broken_json_is_named_with_its_line(write):
    with pytest.raises(ValueError, match=r"list\.json:2: not JSON"):
        read_json(write('[{"path": "a",\n', "list.json"))
    for nothing in ("[]", "{}", "3"):
        with pytest.raises(ValueError, match="has no samples; expected a list"):
            read_json(write(nothing, "list.json"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("map.txt", "abseiling\nair drumming\n", ["abseiling", "air drumming"]),
        ("map.txt", "10 pin bowling\nrun, then jump\n", ["10 pin bowling", "run, then jump"]),
        ("classInd.txt", "1 Archery\r\n2 YoYo\r\n", ["Archery", "YoYo"]),
        ("map.txt", "1 YoYo\n0 Archery\n", ["Archery", "YoYo"]),
        ("ava.txt", "1: stand\n3: run (fast)\n", ["", "stand", "", "run (fast)"]),
        ("k400.csv", 'id,name\n0,"run, jump"\n1,sit\n', ["run, jump", "sit"]),
        ("one.csv", "action\nrun\n", ["run"]),
        ("map.txt", "action\nrun\n", ["action", "run"]),
        ("map.txt", "#1 fan\n\nrun\n", ["#1 fan", "run"]),
        ("map.json", '["run", "sit"]', ["run", "sit"]),
        ("map.json", '{"sit": "1", "run": 0}', ["run", "sit"]),
    ],
)
def test_label_maps_in_their_published_forms(write, name, content, expected):
    assert read_label_map(write(content, name)) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("map.txt", "0 a\n0 b\n", "number 0 is given to more than one class"),
        ("map.txt", "\n", "has no samples"),
        ("map.txt", "3000000000 c\n", "map.txt: class 'c' has the label '3000000000'"),
        ("map.txt", f"{'9' * 5000} c\n", "map.txt: class 'c' has the label '9999"),
        ("map.json", '{"c": 3000000000}', "map.json: class 'c' has the label '3000000000'"),
        ("map.json", '{"c": -1}', "class 'c' has the label '-1'"),
        ("map.txt", "run\nsit\nrun\n", "map.txt: the name 'run' is given to 2 classes"),
        (
            "map.txt",
            "1 a\n2 b\n3 c\n2 d\n",
            "number 2 is given to more",
        ),
        ("map.json", '{"a": "x"}', "class 'a' has the label 'x'"),
        ("map.json", "{}", "has no names"),
    ],
)
def test_a_wrong_label_map_is_refused(write, name, content, message):
    with pytest.raises(ValueError, match=message):
        read_label_map(write(content, name))


@pytest.fixture
def folders(tmp_path):
    """train has classes run, sit and Walk; val lacks sit."""
    for file in ("train/run/b.mp4", "train/run/a.MKV", "train/run/.hidden.mp4", "train/run/a.txt"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    for file in (
        "train/sit/day 1/c.avi",
        "train/Walk/d.webm",
        "train/.cache/x.mp4",
        "val/run/e.mp4",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "train/readme.mp4").touch()
    return tmp_path


def test_folders_are_classes_in_sorted_order(folders):
    records, names = scan_folders(str(folders / "train"))
    assert names == ["Walk", "run", "sit"]
    assert [(r.path, r.label) for r in records] == [
        ("Walk/d.webm", 0),
        ("run/a.MKV", 1),
        ("run/b.mp4", 1),
        ("sit/day 1/c.avi", 2),
    ]
    with pytest.raises(ValueError, match=r"Walk has 1 files, but none with the extension \.mp4"):
        scan_folders(str(folders / "train"), extensions=[".mp4"])


def test_validation_folders_take_the_labels_of_the_training_folders(folders):
    train, val = str(folders / "train"), str(folders / "val")
    assert list(read_class_folders(val, train, num_classes=3)) == [Record("run/e.mp4", 1, None, 0)]
    with pytest.raises(ValueError, match="train has 3 folders, one per class, but num_classes=4"):
        read_class_folders(val, train, num_classes=4)
    (folders / "val" / "Sit").mkdir()
    with pytest.raises(ValueError, match=r"Sit is not the folder of a known class; .*'sit'"):
        read_class_folders(val, train)


def test_folders_without_videos_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        scan_folders(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="has no folders"):
        scan_folders(str(tmp_path))
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="contain no videos"):
        scan_folders(str(tmp_path))


def test_what_a_folder_of_classes_has_besides_videos_is_counted(folders):
    (folders / "train" / "sit" / "readme").touch()
    records, names = scan_folders(str(folders / "train"))
    assert records.class_names == names == ["Walk", "run", "sit"]
    [remark] = records.remarks
    assert "train: 3 files are left out" in remark
    for count in ("1 .mp4", "1 .txt", "1 without ending"):  # readme.mp4 is in no class
        assert count in remark
    assert "such as readme.mp4" in remark
    for file in ("train/readme.mp4", "train/run/a.txt", "train/sit/readme"):
        (folders / file).unlink()
    assert scan_folders(str(folders / "train"))[0].remarks is None


def test_links_to_folders_are_followed_and_circles_end(folders, tmp_path):
    disk = tmp_path / "disk"
    for file in ("more/x.mp4", "class/y.mp4"):
        (disk / file).parent.mkdir(parents=True)
        (disk / file).touch()
    train = folders / "train"
    (train / "sit" / "linked").symlink_to(disk / "more")
    (disk / "more" / "back").symlink_to(train / "sit")  # which leads to disk/more again
    (train / "stand").symlink_to(disk / "class")
    records, names = scan_folders(str(train))
    assert names == ["Walk", "run", "sit", "stand"]
    assert [r.path for r in records if r.label >= 2] == [
        "sit/day 1/c.avi",
        "sit/linked/x.mp4",
        "stand/y.mp4",
    ]


def test_names_of_a_label_map_stay_with_the_records(write):
    names = write("jump\nrun\n", "names.txt")
    path = write(json.dumps([{"path": "a", "label": "run"}, {"path": "b", "label": "jump"}]))
    records = read_json(path, classes=names)
    assert records.class_names == ["jump", "run"]
    assert records[::-1].class_names == ["jump", "run"]


@pytest.mark.parametrize(
    ("line", "labels"),
    [("a 1.mp4 0 1 1 0", (1, 2)), ("a.mp4 0 0 0 0", ()), ("b.mp4 1 0 0 1", (0, 3))],
)
def test_rows_of_a_flag_for_each_class_have_their_own_option(write, line, labels):
    options = {"multi_label": True, "multi_hot": True, "num_classes": 4}
    [record] = read_video_list(write(line), **options)
    assert record.label == labels
    assert record.path == line[: -len(" 0 1 1 0")]
    [record] = read_frame_list(write(line[:-8] + " 30" + line[-8:]), **options)
    assert (record.label, record.num_frames) == (labels, 30)
    flags = [int(flag) for flag in line.split()[-4:]]
    [record] = read_json(write(json.dumps([{"path": "a", "label": flags}])), **options)
    assert record.label == labels


@pytest.mark.parametrize("line", ["a.mp4 0 1 1", "a.mp4 0 1 1 0 1", "a.mp4 0 1 2 0"])
def test_wrong_flags_are_refused(write, line):
    with pytest.raises(ValueError, match=r"list\.txt:1: .*num_classes=4 numbers 0 or 1"):
        read_video_list(write(line), multi_label=True, multi_hot=True, num_classes=4)


def test_flags_need_several_labels_and_a_number_of_classes(write):
    for options in ({"multi_label": True}, {"num_classes": 4}):
        with pytest.raises(ValueError, match="needs multi_label=true and num_classes"):
            read_video_list(write("a.mp4 0 1 1 0"), multi_hot=True, **options)


def test_a_doubled_label_of_a_json_list_is_refused(write):
    path = write(json.dumps([{"path": "a", "label": [1, 1]}]))
    with pytest.raises(ValueError, match=r"entry 0 .*label 1 is given twice"):
        read_json(path, multi_label=True)


def test_a_line_of_very_many_numbers_is_read_at_once(write):
    """In linear time: with a copy of the line for each number it took half a minute."""
    labels = " ".join(map(str, range(100_000)))
    started = time.process_time()
    [record] = read_video_list(write(f"a  b.mp4 {labels}"), multi_label=True)
    assert record.path == "a  b.mp4"
    assert record.label == tuple(range(100_000))
    assert time.process_time() - started < 5
    with pytest.raises(ValueError, match="100000 numbers after the path instead of 1") as raised:
        read_video_list(write(f"a  b.mp4 {labels}"))
    assert len(str(raised.value)) < 1000


def test_a_split_file_of_hmdb51_is_no_list_of_classes(write):
    path = write("a.avi 1\n", "clap_test_split1.txt")
    with pytest.raises(ValueError, match=r"clap_test_split1\.txt .*data=hmdb51"):
        read_video_list(path)


def test_several_lists_are_read_one_after_another_each_in_its_folder(tmp_path):
    (tmp_path / "a.txt").write_text("x.mp4 1\ny.mp4 0\n")
    (tmp_path / "b.txt").write_text("x.mp4 2\n")
    lists = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    records = read_video_list(lists, folders=["first", "second/val"])
    assert [(row.path, row.label) for row in (records[0], records[1], records[2])] == [
        ("first/x.mp4", 1),
        ("first/y.mp4", 0),
        ("second/val/x.mp4", 2),
    ]
    (tmp_path / "b.txt").write_text("x.mp4\n")
    with pytest.raises(ValueError, match=r"b\.txt:1"):
        read_video_list(lists)
    with pytest.raises(ValueError, match=r"a\.txt is given twice as a list"):
        read_video_list([lists[0], lists[0]], folders=["first", "second"])
    with pytest.raises(ValueError, match="2 lists, but 1 folders"):
        read_video_list(lists, folders=["first"])


def test_lists_without_any_labels_are_of_videos_to_predict(write):
    """The paths of labelled ones; training and scoring refuse them by their reason."""
    records = read_video_list(write("a b.mp4\n# remark\nc/d.WEBM\n"), num_classes=3)
    assert [record.path for record in records] == ["a b.mp4", "c/d.WEBM"]
    assert records.unlabelled.endswith(
        "list.txt:1: 'a b.mp4' has no label; expected 'path label' (delimiter=' ')"
    )
    assert records.take([1]).unlabelled == records.unlabelled
    records = read_video_list(write("a.mp4\nb.mp4\n"), multi_label=True, num_classes=3)
    assert records.multi_label
    assert records.labels(3).sum() == 0
    records = read_frame_list(write("a 30\nb 12\n"))
    assert [(record.path, record.num_frames) for record in records] == [("a", 30), ("b", 12)]
    assert "list.txt:1: 'a 30' has no label" in records.unlabelled
    records = read_frame_list(write("a 2 30\n"), with_offset=True)
    assert (records[0].offset, records[0].num_frames) == (2, 30)
    records = read_json(write('[{"path": "a.mp4"}, {"id": 7}]', "list.json"))
    assert [record.path for record in records] == ["a.mp4", "7.webm"]
    assert records.unlabelled.endswith("list.json: entry 0 of the list has no `label`")
    assert read_video_list(write("a.mp4 0\n")).unlabelled is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.mp4 1\nb.mp4\n", r"list\.txt:2: 'b\.mp4': it has no label, unlike those before it"),
        (
            "a.mp4\nb.mp4 1\n",
            r"list\.txt:2: 'b\.mp4 1': it has a label, but .*list\.txt:1: 'a\.mp4' has none",
        ),
    ],
)
def test_a_list_that_is_labelled_in_part_is_an_error_with_the_line(write, lines, message):
    with pytest.raises(ValueError, match=message):
        read_video_list(write(lines))


def test_a_folder_of_files_alone_has_no_labels(tmp_path):
    for name in ("train/run/1.mp4", "train/sit/2.mp4", "new/b.mp4", "new/a.MKV", "new/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    new, train = str(tmp_path / "new"), str(tmp_path / "train")
    records = read_class_folders(new, train)
    assert [record.path for record in records] == ["a.MKV", "b.mp4"]
    assert records.class_names == ["run", "sit"]
    assert records.unlabelled == f"{new} has videos, but no folders of classes"
    assert "1 files are left out" in records.remarks[0]
    with pytest.raises(ValueError, match="has no folders"):  # training names the classes
        read_class_folders(new)
