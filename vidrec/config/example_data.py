"""The embedded example data: their versions, and where they are written by default.

Imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""

from collections.abc import Mapping

# Increased when the drawings change, so that older copies on disk are not taken for new ones.
VERSIONS = {"shapes": 3, "motions": 3, "shapes_ava": 2, "shapes_anet": 1}


def example_folder(name: str, prepare: Mapping[str, object] | None) -> str:
    """A folder for each version and each choice of sizes.

    Jobs that differ in `data.prepare` never share a folder. Without preparation it is a folder that
    you fill.

    >>> example_folder("shapes", {"num_train": 16}), example_folder("shapes", None)
    ('data/shapes_v3_num_train-16', 'data/shapes')
    """
    if prepare is None:
        return f"data/{name}"
    sizes = sorted(key for key in map(str, prepare) if key not in ("_target_", "root"))
    values = [f"{key}-{prepare[key]}" for key in sizes]
    return "data/" + "_".join([name, f"v{VERSIONS[name]}", *values])
