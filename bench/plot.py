"""The results as a picture: how much of its budget each takes, and the peers."""

import math
from html import escape

import budgets

# How it is called, and the results of one size and of mixed sizes, one thread.
PEERS = [
    ("pprofshim", "malloc+free pair, 1 thread", "malloc+free mixed sizes, 1 thread"),
    ("pprofshim over jemalloc", "malloc+free pair, 1 thread, pprofshim over jemalloc",
     "malloc+free mixed sizes, 1 thread, pprofshim over jemalloc"),
    ("jemalloc prof", "malloc+free pair, 1 thread, jemalloc prof, 512 KiB",
     "malloc+free mixed sizes, 1 thread, jemalloc prof, 512 KiB"),
    ("pprofshim over tcmalloc", "malloc+free pair, 1 thread, pprofshim over tcmalloc",
     "malloc+free mixed sizes, 1 thread, pprofshim over tcmalloc"),
    ("tcmalloc sampling", "malloc+free pair, 1 thread, tcmalloc sampling, 512 KiB",
     "malloc+free mixed sizes, 1 thread, tcmalloc sampling, 512 KiB"),
    ("heaptrack", "malloc+free pair, 1 thread, heaptrack",
     "malloc+free mixed sizes, 1 thread, heaptrack"),
    ("valgrind massif", "malloc+free pair, 1 thread, massif", ""),
]

WIDTH, LEFT, RIGHT, ROW = 760, 300, 120, 20
COLOURS = {"pass": "#4c9a6a", "unclear": "#c9a227", "short": "#c0504d", "-": "#7f8fa6"}


class Canvas:
    def __init__(self):
        self.parts, self.y = [], 10

    def text(self, x, text, anchor="start", weight="normal", size=12):
        self.parts.append(f'<text x="{x:.0f}" y="{self.y + 14:.0f}" text-anchor="{anchor}" '
                          f'font-weight="{weight}" font-size="{size}">{escape(text)}</text>')

    def bar(self, width, colour):
        self.parts.append(f'<rect x="{LEFT}" y="{self.y + 3}" width="{max(width, 1):.0f}" '
                          f'height="{ROW - 6}" fill="{colour}"/>')

    def line(self, x, y, height):
        self.parts.append(f'<line x1="{x:.0f}" y1="{y}" x2="{x:.0f}" y2="{y + height}" '
                          f'stroke="#444" stroke-dasharray="3 3"/>')

    def title(self, text):
        self.y += 6
        self.text(10, text, weight="bold", size=14)
        self.y += ROW + 4

    def row(self, label, width, colour, value):
        self.text(LEFT - 8, label, anchor="end")
        self.bar(width, colour)
        self.text(LEFT + max(width, 1) + 6, value, size=11)
        self.y += ROW

    def finish(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y + 12}" '
                f'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def number(x):
    return f"{x:.3g}" if abs(x) < 100 else f"{x:.0f}"


def draw_budgets(c, results):
    """100 % is the line; what is far beyond is cut there."""
    c.title("How much of its budget each takes")
    most, room, top = 1.6, WIDTH - LEFT - RIGHT, c.y
    for budget, r in budgets.judged(results):
        if r:
            share = budgets.severity(r)
            c.row(budget.what, room * min(share, most) / most, COLOURS[r["verdict"]],
                  f"{number(r['value'])} {r['unit']}")
    c.line(LEFT + room / most, top, c.y - top)


def draw_peers(c, results, column, title):
    by_name = {r["name"]: r for r in results}
    shown = [(p[0], by_name[p[column]]["value"]) for p in PEERS if p[column] in by_name]
    if not shown:
        return
    c.title(title)
    most = math.log(max(max(v for _, v in shown), 2))
    for who, value in shown:
        width = (WIDTH - LEFT - RIGHT) * max(math.log(value), 0) / most
        c.row(who, width, COLOURS["pass" if who.startswith("pprofshim") else "-"],
              f"{number(value)} times")


def svg(head, results):
    c = Canvas()
    draw_budgets(c, results)
    draw_peers(c, results, 1, "malloc+free of one size, over the same allocator alone (log scale)")
    draw_peers(c, results, 2, "malloc+free of mixed sizes, over the same allocator alone (log scale)")
    c.y += 8
    c.text(10, f"{head['machine']}; commit {head['commit']}, {head['taken']}", size=10)
    c.y += ROW
    return c.finish()
