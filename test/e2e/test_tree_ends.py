#!/usr/bin/env python3
"""Workers that end within a profile, in whatever way: what they did until shortly before is in it.

Each lives 700 ms and is asked as soon as it waits; what it has is sent every 200 ms, and by a hook
at exit and _exit.  So most of what they did is there on a machine that is idle; on a crowded one it
may take a few profiles until a third is.  Without what is sent ahead, nothing is of those without a
hook, however often one asks.
"""
import harness
from harness import check, poll
from test_tree import Tree, by_label


def of_workers(p):
    """Sampled CPU time in what workers do, and what is told as not sampled."""
    work = p.cum('cpu')['work_even'] + p.cum('cpu')['work_odd']
    return work, p.flat('cpu')['[unsampled]']


def check_way(mode, least=0.3):
    with Tree(mode).start() as t:
        last = [None]

        def most_is_there():
            last[0] = p = t.profile('profile?seconds=4&hz=250')
            work, unsampled = of_workers(p)
            return work > least * (work + unsampled)
        check(f'{mode}: what they did is there', poll(most_is_there, 60), of_workers(last[0]))
        got = by_label(last[0], 'pid', 'cpu')
        check(f'{mode}: of several generations', len(set(got) & set(t.workers())) > 4, got)
        check(f'{mode}: who ended is told', any(' [ended]' in c for c in last[0].comments),
              last[0].comments)


def test_workers_that_exit():
    check_way('quick')


def test_workers_whose_main_returns():
    check_way('returning')


def test_workers_that_are_killed():
    check_way('killed')


def test_workers_that_execute_another_program():
    check_way('executing')


if __name__ == '__main__':
    harness.run(test_workers_that_exit, test_workers_whose_main_returns, test_workers_that_are_killed,
                test_workers_that_execute_another_program)
