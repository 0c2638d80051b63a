import pytest

from tests.data.poses.layouts import COCO, NTU
from vidrec.data.poses.joints import Joints

ARM = {"names": ["neck", "left", "right"], "edges": [[1, 0], [2, 0]]}


def test_left_and_right_joints_change_places_in_a_mirror():
    order = COCO.mirrored
    names = [COCO.names[joint] for joint in order]
    swapped = {"left": "right", "right": "left"}
    assert names == [" ".join(swapped.get(w, w) for w in name.split()) for name in COCO.names]
    assert order[order].tolist() == list(range(17))
    assert NTU.mirrored.tolist() == list(range(25))


def test_bones_may_differ_from_edges():
    assert (11, 0) in COCO.bones
    assert (11, 0) not in COCO.edges


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"names": []}, "names is empty"),
        ({"names": ["a", "b", "a"]}, "names has 'a' twice"),
        ({"center": 3}, "center has joint 3, which does not exist: there are 3 names"),
        ({"center": -1}, "center has joint -1"),
        ({"center": 1.0}, "center has 1.0, which is not the number of a joint"),
        ({"edges": [[1, 0], [3, 0]]}, "edges has joint 3, which does not exist"),
        ({"edges": [[1, 0, 2]]}, r"edges has \[1, 0, 2\], which is not a pair"),
        ({"edges": [[1, 1]]}, r"edges connects joint 1 \(left\) with itself"),
        ({"bones": [[0, 5]]}, "bones has joint 5"),
        ({"bones": [[1, 0], [1, 2]]}, r"bones has the child joint 1 \(left\) twice"),
        ({"limbs": [[0, 9]]}, "limbs has joint 9"),
        ({"left": [3], "right": [1]}, "left has joint 3"),
        ({"left": [1], "right": []}, "left has 1 joints and right 0"),
        ({"left": [1], "right": [1]}, r"left and right have joint 1 \(left\) twice"),
    ],
)
def test_what_is_wrong_with_a_layout_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        Joints(**{**ARM, **wrong})
