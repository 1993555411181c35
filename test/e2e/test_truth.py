#!/usr/bin/env python3
"""Compares CPU profiles with what a program itself knows about its CPU time.

cpu_truth reads each thread's CPU clock before each block of work, and so wherever it
goes from one function to the next: its account is exact.  The profile of the very same
window must agree: each function's share of all time within 2 points, the total within
1 % of what the process's clock said, which lies between two snapshots: on a busy machine
they may be far apart, and the bounds are those of the two.

How likely is it to fail by chance?  A tick meets a thread after every T of CPU time
on average: T is the kernel's tick (4 ms at 250 Hz), whatever higher rate is asked
for.  Two sigma, both for a machine where ticks come at random moments, because
other programs run too (on an idle one they come evenly, which is better):

steady threads: a function runs for R = 50 ms at a time on average, and p is its
share.  The time between the last tick before it and its start (its end) counts as
its own (as the next one's): each has variance T*T, and there are p*C/R such
stretches in C seconds of CPU time, so

        sigma  <=  T * sqrt(2 * p / (R * C))

short-lived threads run one function each, and each tick is a draw; so is it for a
function that runs for less than T at a time (busy_delayed: 2 ms):

        sigma  <=  sqrt(p * (1 - p) * T / C)

C is chosen so that 2 points are 4.5 sigma of the largest share (0.4), which gives
one failure in 150,000 per share: 13 s and 49 s at 250 Hz.  What a steady thread
does after its last tick of the window is not seen, T for each thread: C is so large
that this costs the largest share at most half a point.  If a busy machine grants
less CPU time than C, the case runs again for twice as long.
"""
# Runs alone: beside others it gets less CPU time than its bounds need, and runs again for twice as long.
import json
import os
import time

import harness
import pprof_reader

POINTS = 2.0
SIGMAS = 4.5
LARGEST_SHARE = 0.4
STRETCH_S = 0.05
TICK_S = max(time.clock_getres(getattr(time, 'CLOCK_REALTIME_COARSE', 5)), 0.001)
SECONDS_MAX = 90
TOTAL_PER_CENT = 1.0
SAMPLED_PER_CENT = 98.0

NORMAL = {name: name for name in ('busy_alpha', 'busy_beta', 'busy_gamma', 'busy_delta')}


def cpu_needed_s(mode, threads):
    sigma = POINTS / 100 / SIGMAS
    if mode == 'churn':
        return LARGEST_SHARE * (1 - LARGEST_SHARE) * TICK_S / sigma ** 2
    by_chance = 2 * LARGEST_SHARE / STRETCH_S * (TICK_S / sigma) ** 2
    at_the_end = threads * TICK_S * LARGEST_SHARE / 0.005
    return max(by_chance, at_the_end)


class Account:
    """CPU ns by function in exactly the window of the profile, and what the process used."""

    def __init__(self, told):
        del told['at']
        self.least, self.most = told.pop('least'), told.pop('most')
        self.by_function = told
        self.total = (self.least + self.most) / 2

    def off(self, total):
        """By how much `total` is certainly wrong, in per cent."""
        return 100 * (min(total - self.least, 0) + max(total - self.most, 0)) / self.total


def account_of(target, p):
    told = target.output().count('\n')
    target.say(f'window {p.time_ns} {p.time_ns + p.duration_ns}\n')
    if not harness.poll(lambda: target.output().count('\n') > told, 20):
        raise RuntimeError('cpu_truth does not answer')
    return Account(json.loads(target.output().splitlines()[-1]))


def measure(target, hz, needed_s, cores):
    """A profile and its account with enough CPU time in them."""
    seconds = int(1.2 * needed_s / cores) + 2
    while True:
        p = pprof_reader.parse(target.fetch(f'profile?seconds={seconds}&hz={hz}', seconds + 30))
        account = account_of(target, p)
        if account.total >= needed_s * 1e9 or seconds >= SECONDS_MAX:
            return p, account
        seconds = min(seconds * 2, SECONDS_MAX)


def expect(ok, sentence):
    harness.check(sentence, ok)
    if ok:
        print('ok: ' + sentence, flush=True)


def compare_totals(name, p, account, per_cent):
    total, off = p.total('cpu'), account.off(p.total('cpu'))
    expect(abs(off) <= per_cent,
           f'{name}: the total is {total / 1e9:.4f} s of {account.least / 1e9:.4f} to '
           f'{account.most / 1e9:.4f} s ({off:+.2f} %)')


def compare_shares(name, p, account, where):
    total, cum = p.total('cpu'), p.cum('cpu')
    for function, frame in where.items():
        share = 100 * cum[frame] / total
        true = 100 * account.by_function[function] / account.total
        expect(abs(share - true) <= POINTS,
               f'{name}: {frame} has {share:.2f} % of the time, should be {true:.2f} %')


def compare(mode, threads, hz=1000, where=None):
    """`where`: function of the account -> frame of the profile that must have its share."""
    name = f'{mode}, {threads} threads, {hz} Hz'
    cores = min(threads, len(os.sched_getaffinity(0)))
    needed_s = cpu_needed_s(mode, threads) if where else cores * 5
    with harness.Target('cpu_truth', mode, threads, 10 * SECONDS_MAX) as target:
        if not harness.check(f'{name}: the shim answers', target.wait_ready()):
            return
        p, account = measure(target, hz, needed_s, cores)
    problems = pprof_reader.check(p, main=harness.fixture('cpu_truth'))
    expect(not problems, f'{name}: a valid profile {problems[:5] or ""}')
    compare_totals(name, p, account, TOTAL_PER_CENT)
    compare_shares(name, p, account, where or {})


def test_steady_1_thread():
    compare('steady', 1, where=NORMAL)


def test_steady_4_threads():
    compare('steady', 4, where=NORMAL)


def test_steady_16_threads():
    compare('steady', 16, where=NORMAL)


def test_steady_64_threads():
    compare('steady', 64, where=NORMAL)


def test_short_threads_have_their_share():
    compare('churn', 8, where=NORMAL)


def test_threads_that_block_signals_are_sampled():
    """SIGPROF, all of them, or now and then: ticks come by a signal that nobody blocks."""
    compare('blocked', 4, where=dict(NORMAL, busy_blocked='busy_blocked'))
    compare('sigdelay', 4, where=dict(NORMAL, busy_delayed='busy_delayed'))


# At the default rate, in windows that users take: the total, and how much of it has a stack.

def sampled(mode, threads, where=(), seconds=(2, 5), needed_s=0):
    """
    Each thread's stacks are brought to what its clock says, so nothing here is left to chance
    but which functions ticks meet, and a thread or two of a few ms that came and went unseen:
    no 2 % of `needed_s` of CPU time, for which a busy machine needs longer windows.
    `where`: functions or threads that have it all.
    """
    with harness.Target('cpu_truth', mode, threads, 120) as target:
        if not harness.check(f'{mode}: the shim answers', target.wait_ready()):
            return
        # its threads have started: main, ours, and one at least
        harness.poll(lambda: len(harness.tasks(target.pid)) > 2, 20)
        for s in seconds:
            window(f'{mode}, {threads} threads, {s} s', target, s, where, needed_s)


def window(name, target, seconds, where, needed_s):
    while True:  # longer where the machine gave it too little time to judge by
        p = pprof_reader.parse(target.fetch(f'profile?seconds={seconds}', seconds + 30))
        account = account_of(target, p)
        if account.total >= needed_s * 1e9 or seconds >= 16:
            break
        seconds *= 2
    total, flat, cum = p.total('cpu'), p.flat('cpu'), p.cum('cpu')
    compare_totals(name, p, account, TOTAL_PER_CENT)
    share = 100 * (total - flat.get('[unsampled]', 0) - flat.get('[lost samples]', 0)) / total
    expect(share >= SAMPLED_PER_CENT, f'{name}: {share:.1f} % of it has a stack')
    for frame, least in dict(where).items():
        # but for the program's own book-keeping, which is more the more the machine has to do
        has = 100 * cum.get(frame, 0) / (total - cum.get('watch', 0))
        expect(has >= least, f'{name}: {frame} has {has:.1f} % of it, should be {least} % at least')


def test_everything_is_sampled_with_one_thread_per_request():
    sampled('churn', 8, needed_s=1)


def test_everything_is_sampled_while_masks_are_toggled():
    sampled('toggle', 4, {'toggle': 95}, needed_s=1)


def test_everything_is_sampled_with_all_signals_blocked():
    sampled('nosignals', 4, {'steady': 95}, needed_s=1)


def test_everything_is_sampled_of_threads_that_do_little():
    sampled('bursts', 8, {'bursts': 70})
    sampled('idle', 200, {'idle': 60})


def test_everything_is_sampled_of_threads_that_ticks_do_not_meet():
    sampled('ontick', 16, {'on_tick': 70})


def test_everything_is_sampled_of_threads_that_libc_starts():
    """The rest is the start and end of a thread for each call."""
    sampled('callbacks', 4, {'called_back': 75}, needed_s=1)


if __name__ == '__main__':
    harness.run(test_steady_1_thread, test_steady_4_threads, test_steady_16_threads,
        test_steady_64_threads, test_short_threads_have_their_share,
        test_threads_that_block_signals_are_sampled,
        test_everything_is_sampled_with_one_thread_per_request,
        test_everything_is_sampled_while_masks_are_toggled,
        test_everything_is_sampled_with_all_signals_blocked,
        test_everything_is_sampled_of_threads_that_do_little,
        test_everything_is_sampled_of_threads_that_ticks_do_not_meet,
        test_everything_is_sampled_of_threads_that_libc_starts)
