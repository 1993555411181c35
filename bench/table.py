#!/usr/bin/env python3
"""The results of one run as a table, the worst first.

usage: table.py RESULTS.jsonl
"""

import json
import sys

VERDICTS = {"pass": "PASS", "short": "SHORT", "unclear": "unclear", "-": ""}


def number(x):
    if x == 0 or abs(x) >= 100:
        return f"{x:.0f}"
    return f"{x:.3g}" if abs(x) < 10 else f"{x:.1f}"


def between(r):
    return "" if r["lo"] == r["hi"] else f"{number(r['lo'])} to {number(r['hi'])}"


def share_of_budget(r):
    return r["value"] / r["budget"] if r["budget"] else r["value"]


def line(r):
    budget = number(r["budget"]) if "budget" in r else ""
    return (f"{r['name']:50} {number(r['value']):>7} {r['unit']:12} {between(r):>17} "
            f"{budget:>6} {VERDICTS[r['verdict']]:8} {r['note']}").rstrip()


def main():
    with open(sys.argv[1]) as f:
        lines = [json.loads(text) for text in f]
    head = lines.pop(0)
    for key, value in head.items():
        print(f"{key + ':':10} {value}")
    print("\nEach value is a median; 19 of 20 repetitions would find it in the range beside it.")
    print("Times are CPU time unless called wall.\n")
    print(f"{'what':50} {'value':>7} {'unit':12} {'range':>17} {'budget':>6}")
    for r in sorted((r for r in lines if "budget" in r), key=share_of_budget, reverse=True):
        print(line(r))
    print("\nWithout a budget, for comparison:")
    for r in lines:
        if "budget" not in r:
            print(line(r))


main()
