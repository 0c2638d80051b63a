"""Tables of a page: numbers aligned, shares with a bar, the rest of long ones folded."""

from collections.abc import Sequence
from html import escape
from typing import Any

SHOWN, MOST = 15, 1000  # rows before the fold, and in all

Cell = str | int | float | None


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """HTML of a table. Text is escaped; floats in [0, 1] are shares, which get a bar."""
    head = "".join(
        f'<th scope="col"{_class(_is_number_column(rows, i))}>{escape(name)}</th>'
        for i, name in enumerate(columns)
    )
    shares = [_is_share_column(rows, i) for i in range(len(columns))]

    def body(part: Sequence[Sequence[Cell]]) -> str:
        return "".join(
            f"<tr>{''.join(_cell(c, s) for c, s in zip(row, shares, strict=True))}</tr>"
            for row in part
        )

    def whole(part: Sequence[Sequence[Cell]]) -> str:
        return (
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body(part)}</tbody></table></div>"
        )

    if len(rows) <= SHOWN + 5:
        return whole(rows)
    left = len(rows) - MOST
    more = f"<p>{left:,} more are left out.</p>" if left > 0 else ""
    return (
        f"{whole(rows[:SHOWN])}<details><summary>{min(len(rows), MOST) - SHOWN:,} more</summary>"
        f"{whole(rows[SHOWN:MOST])}{more}</details>"
    )


def facts(pairs: Sequence[tuple[str, Any]]) -> str:
    """A list of names and values; empty values are left out. Text is escaped."""
    items = "".join(
        f"<div{_wide(value)}><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in pairs
        if value not in (None, "")
    )
    return f'<dl class="facts">{items}</dl>' if items else ""


def _wide(value: object) -> str:
    return ' class="wide"' if len(str(value)) > 45 else ""


def _cell(value: Cell, is_share: bool) -> str:
    if value is None:
        return '<td class="number">–</td>'
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if is_share:
        bar = f'<span class="bar" style="--part:{float(value):.3g}"></span>'
        return f'<td class="number share">{bar}<span>{value:.3f}</span></td>'
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return f'<td class="number">{text}</td>'


def _is_number_column(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    return bool(rows) and all(not isinstance(row[column], str) for row in rows)


def _is_share_column(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    values = [row[column] for row in rows if row[column] is not None]
    return (
        bool(values)
        and all(isinstance(v, int | float) and 0 <= v <= 1 for v in values)
        and any(isinstance(v, float) for v in values)
    )


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
