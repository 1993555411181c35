#!/usr/bin/env python3
"""Processes that live for a few milliseconds within a profile, as those of servers that fork for
each request: their time is in it, with stacks.

The server's own clock and its clock of children that it has waited for are read before and
after.  Each child burns the same CPU time whatever else the machine does.
"""
import contextlib
import os
import signal
import time

import harness
import pprof_reader
from harness import Target, check, poll

SECONDS = 2
CHILDREN = 2


class Short(Target):
    def __init__(self, ending, ms=5, **more):
        super().__init__('tree_short', ending, str(ms), str(CHILDREN), preexec=os.setsid, **more)

    def start(self):
        check('it answers', self.wait_ready(), self.output(1))
        check('it forks', self.wait_for('ready'), self.output())
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(*unused)

    def clocks(self):
        """CPU time in ns of the server, and of its children that ended."""
        with open(f'/proc/{self.pid}/stat', encoding='ascii') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        children = sum(int(n) for n in fields[13:15]) * 10**9 // os.sysconf('SC_CLK_TCK')
        return time.clock_gettime_ns(~self.pid << 3 | 2), children

    def profile(self, seconds=SECONDS):
        """A profile, and what the clocks say that was used within it, or a little more."""
        before = self.clocks()
        blob = self.fetch(f'profile?seconds={seconds}&hz=100', timeout=60)
        after = self.clocks()
        check('there is an answer', blob)
        return pprof_reader.parse(blob), sum(after) - sum(before)

    def end(self):
        self.say('\n')
        return poll(lambda: 'ended' in self.output(), 10) and self.output().split()[-3:]


def times(p):
    """In all, with a stack, in what children do, and in what is executed."""
    flat, cum = p.flat('cpu'), p.cum('cpu')
    total = sum(flat.values())
    return total, total - flat.get('[unsampled]', 0), cum.get('serve_request', 0), \
        cum.get('serve_executed', 0)


def check_ending(ending, ms=5, least=0.9, **more):
    with Short(ending, ms, **more).start() as t:
        last = [None]

        def all_is_there():
            p, used = t.profile()
            total, sampled, work, executed = times(p)
            last[0] = (used, total, sampled, work, executed)
            # a machine that has other things to do makes the request longer than the profile
            return 0.9 * used < total < 1.05 * used and sampled > least * total and \
                work + executed > 0.5 * total
        check(f'{ending} after {ms} ms: what they did is there', poll(all_is_there, 40), last)
        ended = t.end()
        check(f'{ending}: all ended as they should', ended and ended[-1] == '0', ended)


def test_children_that_exit():
    check_ending('exit')


def test_children_that_say_nothing():
    check_ending('kill')


def test_children_of_children_and_their_threads():
    check_ending('thread', 20)
    check_ending('grandchild', 20)


def test_children_that_execute_another_program():
    check_ending('exec', 20, 0.7)


def test_a_program_that_ends_waits_for_us_and_has_no_time_there():
    """Most are met by no tick; while they are asked, at their end, they wait for our thread.

    Seen to fail: 15 to 20 % of all was [between ticks] there.
    """
    with Short('exec', 6).start() as t:
        last = [None]

        def work_is_in_place():
            p, _ = t.profile()
            total, _, _, executed = times(p)
            last[0] = (total, executed, p.cum('cpu').get('pprofshim:listener_finish', 0))
            return executed > 0.1 * total
        check('they are in it', poll(work_is_in_place, 40), last)
        total, executed, waits = last[0]
        check('their time is where they spent it', waits < 0.1 * executed, last)
        ended = t.end()
        check('all ended as they should', ended and ended[-1] == '0', ended)


def test_children_under_a_filter():
    """libc's handler for the signal of ticks, which comes with the first thread, makes a call.

    Seen to fail: one child of five was killed for it.
    """
    with Short('filter', 5).start() as t:
        for _ in range(2):
            t.fetch('profile?seconds=2&hz=1000', timeout=60)
        ended = t.end()
        check('filter: all ended as they should', ended and ended[-1] == '0', ended)


def test_what_children_write_to_shared_memory_harms_nobody():
    with Short('scribble', 1).start() as t:
        for _ in range(2):
            p, _used = t.profile(1)
            check('scribble: there are samples', sum(p.flat('cpu').values()) > 0)
        check('scribble: nonsense is counted', t.counter('forked_ticks_nonsense') > 0 or
              t.counter('forked_ticks_lost') > 0, t.shim_page())
        ended = t.end()
        check('scribble: all ended as they should', ended and ended[-1] == '0', ended)


if __name__ == '__main__':
    harness.run(test_children_that_exit, test_children_that_say_nothing,
                test_children_of_children_and_their_threads,
                test_children_that_execute_another_program,
                test_a_program_that_ends_waits_for_us_and_has_no_time_there,
                test_children_under_a_filter,
                test_what_children_write_to_shared_memory_harms_nobody)
