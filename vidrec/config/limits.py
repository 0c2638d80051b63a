"""Single values that are outside of what their field allows (`vidrec.config.fields`)."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from vidrec.config import fields
from vidrec.errors import did_you_mean


def outside_limits(conf: Any, path: str = "") -> Iterator[str]:
    """Numbers that are too small or too large, and words that are no choice, at any depth.

    conf: an instance of a dataclass.
    """
    for field in dataclasses.fields(conf):
        value, where = getattr(conf, field.name), f"{path}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from outside_limits(value, f"{where}.")
        if value is None:
            continue
        if (limits := fields.limits(field)) and not limits[0] <= value <= limits[1]:
            yield f"{where}={value} is outside [{limits[0]:g}, {limits[1]:g}]"
        choices = fields.choices(field)
        if choices and str(value) not in choices:
            yield f"{where}='{value}'; {did_you_mean(str(value), choices)}"
