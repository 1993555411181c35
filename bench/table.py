#!/usr/bin/env python3
"""The results of one run as tables, the worst first.

usage: table.py RESULTS.jsonl             on the terminal
       table.py --readme RESULTS.jsonl    into docs/BENCH.md and docs/bench.svg, in short into README.md
"""

import json
import sys

import budgets
import plot

VERDICTS = {"pass": "pass", "short": "FALLS SHORT", "unclear": "unclear", "-": ""}
BEGIN, END = "<!-- bench: begin; made by `make bench-readme` -->\n", "<!-- bench: end -->\n"


def load(path):
    with open(path) as f:
        head, *results = [json.loads(text) for text in f]
    return head, results


def number(x):
    if x == 0 or abs(x) >= 100:
        return f"{x:.0f}"
    return f"{x:.3g}" if abs(x) < 10 else f"{x:.1f}"


UNITS = {"ratio": "times", "us more": "us", "ns more": "ns", "instr. more": "more", "% off": "%",
         "% of CPU": "% CPU", "switches": ""}


def scaled(r):
    """[unit, value, lo, hi], of which nobody has to count the digits."""
    unit, values = UNITS.get(r["unit"], r["unit"]), [r["value"], r["lo"], r["hi"]]
    if unit == "ns" and r["value"] >= 1000:
        unit, values = "us", [v / 1000 for v in values]
    return unit, *values


def amount(r):
    unit, value, *_ = scaled(r)
    return f"{value:.2f} times" if unit == "times" and value < 10 else f"{number(value)} {unit}".strip()


def between(r):
    return "" if r["lo"] == r["hi"] else f"{number(r['lo'])} to {number(r['hi'])}"


def line(r):
    budget = number(r["budget"]) if "budget" in r else ""
    return (f"{r['name']:56} {number(r['value']):>7} {r['unit']:13} {between(r):>17} "
            f"{budget:>6} {VERDICTS[r['verdict']]:11} {r['note']}").rstrip()


def least_text(budget, r, results):
    least = budgets.least(budget, r, results)
    return f"{amount(least)}, {budget.least.what}" if least else ""


def budget_line(budget, r, results):
    if not r:
        return f"{budget.what:42} {budget.limit:>14}   not measured"
    return (f"{budget.what:42} {budget.limit:>14}   {amount(r):12} {VERDICTS[r['verdict']]:11} "
            f"{least_text(budget, r, results):28} {r['name']}")


def print_tables(head, results):
    for key, value in head.items():
        print(f"{key + ':':10} {value}")
    print("\nEach value is a median; 19 of 20 repetitions would find it in the range beside it.")
    print("Times are CPU time unless called wall.  A ratio is to the same without the shim.\n")
    print(f"{'what':56} {'value':>7} {'unit':13} {'range':>17} {'budget':>6}")
    for r in sorted((r for r in results if "budget" in r), key=budgets.severity, reverse=True):
        print(line(r))
    print("\nWithout a budget, for comparison:")
    for r in results:
        if "budget" not in r:
            print(line(r))
    print("\nEach budget, by the worst of its results, and what the same is with nothing of ours:")
    for budget, r in budgets.judged(results):
        print(budget_line(budget, r, results))


# ---- README

def budget_name(budget, r):
    """Of which server, where the worst of several counts."""
    return f"{budget.what}: {r['name'].split(',')[0]}" if "server's CPU" in budget.what else budget.what


def budget_row(budget, r, results):
    if not r:
        return f"| {budget.what} | {budget.limit} | not measured | | |"
    _, _, lo, hi = scaled(r)
    spread = f" ({number(lo)} to {number(hi)})" if lo != hi else ""
    return (f"| {budget_name(budget, r)} | {budget.limit} | {amount(r)}{spread} "
            f"| {VERDICTS[r['verdict']].lower()} | {least_text(budget, r, results)} |")


def peer_rows(results):
    by_name = {r["name"]: r for r in results}
    for who, pair, mixed in plot.PEERS:
        cells = [number(by_name[n]["value"]) if n in by_name else "" for n in (pair, mixed)]
        if any(cells):
            yield f"| {who} | {cells[0]} | {cells[1]} |"


def wall_rows(results):
    by_name = {r["name"]: r for r in results}
    for n in (10, 100, 1000, 10000):
        cells = [number(by_name[name]["value"]) if name in by_name else ""
                 for name in (f"wall, {n} threads", f"wall, {n} threads, {n // 10} wake",
                              f"as often by dumps, {n} threads")]
        if any(cells):
            yield f"| {n:,} | {' | '.join(cells)} |"


def where_measured(head):
    return f"Measured on {head['machine']}, {head['kernel']}; commit {head['commit']}, {head['taken']}."


def page_text(head, rows, peers, wall):
    """All budgets, and other profilers: docs/BENCH.md."""
    return f"""# What it costs

Written by `make bench-readme` from the last `make bench`, which takes twenty minutes and installs the
programs that it compares with. [DESIGN.md](DESIGN.md#measuring-ourselves) says how it is measured.

{where_measured(head)}
The worst first; a ratio is to the same program without the profiler, side by side.
In brackets: where 19 of 20 repetitions would find the median.  The last column is what the
same costs with nothing of ours; a bare library only jumps to malloc and has a thread that sleeps.

| what | at most | measured | | without us |
| --- | --- | --- | --- | --- |
{rows}

What recording allocations costs, in times of the same allocator alone (one thread):

| | one size | mixed sizes |
| --- | --- | --- |
{peers}

What a wall-clock profile costs, in per cent of one processor, by threads that sleep, with a tenth of them
waking every 2 ms, and what as many dumps of all threads would (20 times a second; fgprof takes 99):

| threads | asleep | a tenth wakes | by dumps |
| --- | --- | --- | --- |
{wall}

![the same as a plot](bench.svg)
"""


def cells_of(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def summary_text(head, rows):
    """What README has of the rows of docs/BENCH.md: those asked for most, and all that fall short."""
    every = [cells_of(row) for row in rows.splitlines()]
    asked = [c for name in budgets.ASKED_FOR for c in every if c[0].startswith(name)]
    short = [c[0] for c in every if c[3] != "pass"]
    table = "\n".join(f"| {c[0]} | {c[2]} | {c[1]} |" for c in asked)
    return f"""{where_measured(head)}

| what | measured | at most |
| --- | --- | --- |
{table}

{len(every) - len(short)} of {len(every)} budgets are met; not, or not surely: {"; ".join(short)}.
[All of them](docs/BENCH.md), what the same costs without us, and other profilers beside us.
"""


def write_readme(head, results):
    rows = "\n".join(budget_row(b, r, results) for b, r in budgets.judged(results))
    with open("docs/BENCH.md", "w") as f:
        f.write(page_text(head, rows, "\n".join(peer_rows(results)), "\n".join(wall_rows(results))))
    with open("README.md") as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open("README.md", "w") as f:
        f.write(before + BEGIN + summary_text(head, rows) + END + after)
    with open("docs/bench.svg", "w") as f:
        f.write(plot.svg(head, results))


def main():
    head, results = load(sys.argv[-1])
    if "--readme" in sys.argv:
        write_readme(head, results)
    else:
        print_tables(head, results)


if __name__ == "__main__":
    main()
