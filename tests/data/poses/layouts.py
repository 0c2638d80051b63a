"""The layouts of COCO and NTU RGB+D as the published networks use them."""

from vidrec.data.poses.joints import Joints


def pairs(text: str) -> list[tuple[int, ...]]:
    """`1-0 2-0` -> [(1, 0), (2, 0)]."""
    return [tuple(map(int, pair.split("-"))) for pair in text.split()]


COCO = Joints(
    names=[
        "nose",
        *(
            f"{side} {part}"
            for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
            for side in ("left", "right")
        ),
    ],
    edges=pairs("15-13 13-11 16-14 14-12 11-5 12-6 9-7 7-5 10-8 8-6 5-0 6-0 1-0 3-1 2-0 4-2"),
    left=range(1, 17, 2),
    right=range(2, 17, 2),
    bones=pairs("0-0 1-0 2-0 3-1 4-2 5-0 6-0 7-5 8-6 9-7 10-8 11-0 12-0 13-11 14-12 15-13 16-14"),
)
NTU = Joints(
    names=[f"joint {number}" for number in range(25)],
    edges=pairs(
        "0-1 1-20 2-20 3-2 4-20 5-4 6-5 7-6 8-20 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 "
        "18-17 19-18 21-7 22-7 23-11 24-11"
    ),
    center=20,
    bones=pairs(
        "0-1 1-20 2-20 3-2 4-20 5-4 6-5 7-6 8-20 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 "
        "18-17 19-18 21-22 20-20 22-7 23-24 24-11"
    ),
)
