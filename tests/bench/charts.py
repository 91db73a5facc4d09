"""Bars of what was measured, as SVG for the README: from target/bench.json's rows, without a library."""

import math
from html import escape

WIDTH, LABEL, BAR, GAP, HEAD = 880, 330, 12, 14, 62
KINDS = (("ours", "this package", "#1f6f54"), ("peer", "its predecessor", "#c2691c"), ("limit", "nothing in between", "#8b949e"))
SHARE = 0.98


def chart(title, rows):
    """Bars of each row, on a scale of its own; the figures stand beside them."""
    groups = [(row, [(color, row[kind]) for kind, _, color in KINDS if row[kind] is not None]) for row in rows]
    height = HEAD + sum(len(bars) * (BAR + 2) + GAP for _, bars in groups) + 8
    parts = [head(title, height)]
    y = HEAD
    for row, bars in groups:
        middle = y + len(bars) * (BAR + 2) / 2 + 3
        unit = f" ({row['unit']})" if row["unit"] else ""
        parts.append(text(LABEL - 10, middle, row["row"] + unit, "end"))
        most = max(amount for _, amount in bars) or 1
        for color, amount in bars:
            length = max(1.5, (WIDTH - LABEL - 90) * SHARE * amount / most)
            parts.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{color}"/>')
            parts.append(text(LABEL + length + 6, y + BAR - 2, number(amount)))
            y += BAR + 2
        y += GAP
    return "\n".join([*parts, "</svg>\n"])


def head(title, height):
    keys, x = [], LABEL
    for _, name, color in KINDS:
        keys.append(f'<rect x="{x}" y="36" width="{BAR}" height="{BAR}" rx="2" fill="{color}"/>{text(x + 18, 46, name)}')
        x += 165
    # Readable on light and on dark pages: a ground of its own.
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12" fill="#1f2328">\n'
            f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>\n'
            f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>\n' + "\n".join(keys))


def text(x, y, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def number(amount):
    if amount and abs(amount) < 1000:
        return f"{amount:.{max(0, 2 - math.floor(math.log10(abs(amount))))}f}".rstrip("0").rstrip(".") if abs(amount) < 100 \
            else f"{amount:.0f}"
    return f"{amount:.0f}"


def write(rows, more, folder):
    """bench-least.svg: less is better; bench-most.svg: more is, of the rows named."""
    compared = [row for row in rows if row["goal"] is not None and row["peer"] is not None]
    for name, title, chosen in (("least", "Less is better", [row for row in compared if row["row"] not in more]),
                                ("most", "More is better", [row for row in compared if row["row"] in more])):
        if chosen:
            (folder / f"bench-{name}.svg").write_text(chart(title, chosen))
