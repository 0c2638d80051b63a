import pytest

from vidrec.data.unreadable import BadVideos


def test_each_file_is_named_once_and_the_limit_is_fatal():
    bad = BadVideos(num_samples=1000, max_fraction=0.002)
    assert bad.add([("a.mp4", "empty"), ("b.mp4", "no video stream")]) == [
        "unreadable video a.mp4: empty",
        "unreadable video b.mp4: no video stream",
    ]
    assert bad.add([("a.mp4", "empty")]) == []
    with pytest.raises(
        RuntimeError, match=r"3 unreadable videos .* 2 .*max_bad_fraction.*c\.mp4: cut"
    ):
        bad.add([("c.mp4", "cut")])


def test_nothing_is_allowed_where_the_fraction_is_zero():
    with pytest.raises(RuntimeError, match=r"a\.mp4"):
        BadVideos(num_samples=10, max_fraction=0).add([("a.mp4", "empty")])
