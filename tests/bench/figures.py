"""What is made of measured values, and how a row of the result looks."""

import json
import statistics
from dataclasses import asdict, dataclass, field

# Fewer values say nothing about the hundredth.
ENOUGH_FOR_P99 = 100


@dataclass
class Row:
    """One line of the result. What has no limit, peer or goal of its own has None there."""

    row: str
    ours: float
    unit: str
    limit: float | None = None
    peer: float | None = None
    goal: float | None = None
    met: bool | None = None
    remark: str = field(default="", kw_only=True)

    def at_most(self, goal):
        """Sets a goal that is met by what does not exceed it."""
        self.goal, self.met = goal, self.ours <= goal
        return self

    def exactly(self, goal):
        self.goal, self.met = goal, self.ours == goal
        return self


def spread(values):
    """Least to greatest, for people."""
    return f"{min(values):.0f} to {max(values):.0f}"


def p99(values):
    """The 99th percentile; of too few values, the greatest."""
    if len(values) < ENOUGH_FOR_P99:
        return max(values)
    return sorted(values)[round(0.99 * (len(values) - 1))]


def p99_name(values):
    return "p99" if len(values) >= ENOUGH_FOR_P99 else f"slowest of {len(values)}"


def slope(values):
    """What one more of them adds: the straight line through what was measured after each."""
    return statistics.linear_regression(range(len(values)), values).slope


def table(rows):
    """The rows as text."""
    heads = ("", "ours", "limit", "peer", "unit", "ratio", "more", "goal", "met", "")
    lines = [heads, *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    left = (0, 4, 8, 9)
    pad = lambda text, i: text.ljust(widths[i]) if i in left else text.rjust(widths[i])
    return "\n".join("  ".join(pad(text, i) for i, text in enumerate(line)).rstrip() for line in lines)


def cells(row):
    show = lambda value: "" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    ratio = row.ours / row.limit if row.limit else None
    more = row.ours - row.limit if row.limit else None
    met = {None: "", True: "yes", False: "NO"}[row.met]
    return (row.row, show(row.ours), show(row.limit), show(row.peer), row.unit, show(ratio), show(more),
            show(row.goal), met, row.remark)


def write(rows, path):
    """The rows for programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("row", "ours", "limit", "peer", "unit", "goal", "met")
    path.write_text(json.dumps([{key: asdict(row)[key] for key in keys} for row in rows], indent=1) + "\n")
