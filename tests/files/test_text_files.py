"""Errors in files that people write give the place."""

import pytest

from vidrec.files.text_files import csv_rows, numbered_lines, read_json_file, read_text


def test_lines_are_numbered_as_in_an_editor(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa 0\n\n# note\n  b 1  \n")
    comments = []
    assert list(numbered_lines(str(path), comments)) == [(1, "a 0"), (4, "b 1")]
    assert comments == [3]
    assert list(numbered_lines(str(path))) == [(1, "a 0"), (3, "# note"), (4, "b 1")]
    path.write_bytes(b"a 0\n\xff 1\n")
    with pytest.raises(ValueError, match=r"list\.txt:2: .* is not UTF-8"):
        list(numbered_lines(str(path)))
    path.write_text("\n# note\n")
    with pytest.raises(ValueError, match="2 lines, all blank or comments"):
        list(numbered_lines(str(path), []))


def test_only_a_hash_and_a_space_or_nothing_is_a_comment(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("#\n#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi 1\n  #\tnote\n# b 1\n##\n")
    comments = []
    assert [number for number, _ in numbered_lines(str(path), comments)] == [2, 5]
    assert comments == [1, 3, 4]


def test_rows_of_a_csv_are_numbered_too(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x,"two\nlines"\n\ny,z\n')
    assert list(csv_rows(str(path))) == [(2, ["x", "two\nlines"]), (4, ["y", "z"])]
    path.write_bytes(b"\xff,1\n")
    with pytest.raises(ValueError, match="is not a csv in UTF-8"):
        list(csv_rows(str(path)))


def test_a_missing_or_broken_file_is_located(tmp_path):
    (tmp_path / "a.json").write_text('{\n"x": }\n')
    with pytest.raises(ValueError, match=r"a\.json:2: not JSON"):
        read_json_file(str(tmp_path / "a.json"))
    for content in ("[" * 100_000, "9" * 5000):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(ValueError, match=r"a\.json cannot be read as JSON"):
            read_json_file(str(tmp_path / "a.json"))
    with pytest.raises(FileNotFoundError, match=r"did you mean 'a\.json'"):
        read_text(str(tmp_path / "b.json"))
    with pytest.raises(FileNotFoundError, match="is a folder, expected a file"):
        read_text(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"only its parent {tmp_path} does"):
        read_text(str(tmp_path / "gone" / "b.json"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty is empty"):
        read_text(str(tmp_path / "empty" / "b.json"))
