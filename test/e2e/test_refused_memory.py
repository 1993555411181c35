#!/usr/bin/env python3
"""Mappings of ours that the kernel refuses: the program's result does not change.

Runs under the library of `make debug`, of which the Nth mapping fails, or that one and
all after it (PPROF_DEBUG_FAIL_MAP).  Each N up to more than a run asks for; an endpoint
may be missing or say why it cannot answer, the program does what it does without us.

Seen to fail against ring_init() without its look at NULL.
"""
import concurrent.futures
import contextlib
import http.client
import os

from everything import HIGHEST
from harness import BUILD, Target, check, plain, run, same

DEBUG = os.path.join(BUILD, 'debug/libpprofshim.so')
PATHS = ('profile?seconds=1&hz=1000', 'heap', 'goroutine?debug=2', 'block', 'mutex?debug=1',
         'threadcreate', 'shim')
LAST = 24


def fetch_all(target):
    """How many of the pages came; errors are answers too."""
    came = 0
    for path in PATHS:
        with contextlib.suppress(OSError, http.client.HTTPException):
            came += target.fetch(path) is not None
    return came


def with_refusals(which):
    """(which, what the program did, pages that came)."""
    with Target('hostile_memory', preload=DEBUG,
                env={**HIGHEST, 'PPROF_DEBUG_FAIL_MAP': which}) as t:
        t.wait_for('ready')
        t.wait_ready(2)
        came = fetch_all(t)
        t.say()
        return which, t.finish(), came


def compare(refusals):
    expected = plain('hostile_memory')
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(with_refusals, refusals))
    for which, got, _ in results:
        same('mapping %s refused' % which, (got.code, got.out), (expected.code, expected.out))
        check('mapping %s refused: no assertion' % which, 'assertion failed' not in got.err, got.err)
    return {which: came for which, _, came in results}


def test_one_mapping_is_refused():
    came = compare([str(n) for n in range(1, LAST + 1)])
    check('most pages come when one mapping is missing', sum(came.values()) > LAST, came)


def test_all_mappings_are_refused_from_one_on():
    compare(['%d+' % n for n in range(1, LAST + 1, 6)])


def test_nothing_is_refused():
    _, got, came = with_refusals('0')
    same('a program under the debug library', (got.code, came), (0, len(PATHS)))


run(test_nothing_is_refused, test_one_mapping_is_refused,
    test_all_mappings_are_refused_from_one_on)
