"""What is made of measured values, and how a row of the result looks."""

import json
import statistics
from dataclasses import dataclass, field

# Fewer values say nothing about the hundredth.
ENOUGH_FOR_P99 = 100


@dataclass(frozen=True)
class Figure:
    """A measured value, with the least and the greatest of those it was made of."""

    value: float
    least: float | None = None
    greatest: float | None = None

    def __str__(self):
        spread = "" if self.least is None else f" ({number(self.least)} to {number(self.greatest)})"
        return number(self.value) + spread


def middle(values):
    """The median of repeated measurements, with their spread."""
    return Figure(statistics.median(values), min(values), max(values))


def added(values, base):
    """What these have more than the median of others."""
    return middle([value - statistics.median(base) for value in values])


def late(values):
    """The 99th percentile; of too few values, the greatest."""
    if len(values) < ENOUGH_FOR_P99:
        return Figure(max(values))
    return Figure(sorted(values)[round(0.99 * (len(values) - 1))])


def late_name(values):
    return "p99" if len(values) >= ENOUGH_FOR_P99 else f"slowest of {len(values)}"


def slope(values):
    """What one more of them adds: the straight line through what was measured after each."""
    return statistics.linear_regression(range(len(values)), values).slope


@dataclass
class Row:
    """One line of the result: figures, or plain numbers where one measurement is all there is.

    What has no limit, peer or goal of its own has None there."""

    row: str
    unit: str
    ours: Figure | float
    limit: Figure | float | None = None
    peer: Figure | float | None = None
    remark: str = ""
    goal: float | None = field(default=None, init=False)
    met: bool | None = field(default=None, init=False)
    # More of it is better.
    more: bool = field(default=False, init=False)

    def at_most(self, *goals):
        """Sets a goal that is met by what does not exceed it: the strictest of these."""
        self.goal = min(goals)
        self.met = value(self.ours) <= self.goal
        return self

    def at_least(self, *goals):
        self.goal, self.more = max(goals), True
        self.met = value(self.ours) >= self.goal
        return self

    def exactly(self, goal):
        self.goal, self.met = goal, value(self.ours) == goal
        return self


def value(figure):
    return figure.value if isinstance(figure, Figure) else figure


def number(amount):
    return f"{amount:.3g}" if abs(amount) < 1000 else f"{amount:.0f}"


def table(rows):
    """The rows as text."""
    heads = ("", "ours", "limit", "peer", "unit", "ours/limit", "peer/ours", "goal", "met", "")
    lines = [heads, *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def cells(row):
    show = lambda figure: "" if figure is None else str(figure) if isinstance(figure, Figure) else number(figure)
    met = {None: "", True: "yes", False: "NO"}[row.met]
    return (row.row, show(row.ours), show(row.limit), show(row.peer), row.unit, ratio(row.ours, row.limit),
            ratio(row.peer, row.ours), show(row.goal), met, row.remark)


def ratio(one, other):
    if one is None or other is None or not value(other):
        return ""
    return number(value(one) / value(other))


def write(rows, path):
    """The rows for programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [{"row": row.row, "ours": value(row.ours), "limit": value(row.limit), "peer": value(row.peer),
              "unit": row.unit, "goal": row.goal, "met": row.met} for row in rows]
    path.write_text(json.dumps(plain, indent=1) + "\n")
