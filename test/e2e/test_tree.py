#!/usr/bin/env python3
"""One port for a whole tree of processes: who is in a profile, whose each sample is, and what is
missing.

CPU totals are compared with the processes' clocks, read before and after the request: the
profile's window lies between.  Nothing here depends on how much a worker gets to do.
"""
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import time

import harness
import pprof_reader
from harness import Target, check, poll, same

AS_ROOT = os.geteuid() == 0


# Of a worker's 2 MB 122 are sampled on average: none with a probability of exp(-122).
SAMPLED = {'PPROF_HEAP_RATE': '16384'}


class Tree(Target):
    """The fixture with so many workers, in a process group of its own."""

    def __init__(self, mode, count=3, **more):
        super().__init__('tree_workers', mode, count, preexec=os.setsid, **more)

    def start(self):
        check('it answers', self.wait_ready(), self.output(1))
        check('its workers are there', self.wait_for('ready'), self.output())
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(*unused)

    def workers(self):
        return [int(line.split()[1]) for line in self.output().splitlines()
                if line.startswith('worker')]

    def profile(self, page):
        blob = self.fetch(page, timeout=60)
        return pprof_reader.parse(blob) if check(f'{page}: there is an answer', blob) else None

    def joined(self, page='heap', count=None):
        """A profile in which all workers are: they join at their next wait."""
        count = count or len(self.workers())
        last = [None]

        def all_there():
            last[0] = self.profile(page)
            return included(last[0]) == count + 1
        check('all workers join', poll(all_there, 30), last[0] and last[0].comments)
        return last[0]


class TreeBelowShell(Tree):
    """The same, where the process with the port has loaded another program."""

    def __init__(self, mode, count=2):  # pylint: disable=super-init-not-called
        Target.__init__(self, shutil.which('sh'), '-c', f'{harness.fixture("tree_workers")} {mode} {count}; exit 0',
                        preexec=os.setsid)


def included(p):
    """The number of processes that the profile says are in it."""
    for comment in p.comments:
        if comment.startswith('Processes in this profile: '):
            return int(comment.split()[4].rstrip('.'))
    return None


def missing(p):
    """pid -> why it is not in the profile, as it says."""
    for comment in p.comments:
        if comment.startswith('Processes not in this profile: '):
            parts = comment[len('Processes not in this profile: '):].split('; ')
            return {int(part.split(': ')[0].rsplit(' ', 1)[1]): part.split(': ', 1)[1]
                    for part in parts if ': ' in part}
    return {}


def clock(pid):
    """The CPU time of a process in ns; 0 when it is not there."""
    with contextlib.suppress(OSError):
        return time.clock_gettime_ns(~pid << 3 | 2)
    return 0


def by_label(p, key, value_type):
    """Sums by a label's value."""
    sums = {}
    for s in p.samples:
        name = s.labels.get(key)
        sums[name] = sums.get(name, 0) + s.values[p.index(value_type)]
    return sums


# ---- who is in it

def check_workers(mode, seconds=2):
    with Tree(mode).start() as t:
        t.joined()
        pids = [t.pid, *t.workers()]
        before = {pid: clock(pid) for pid in pids}
        p = t.profile(f'profile?seconds={seconds}&hz=250')
        most = {pid: clock(pid) - before[pid] for pid in pids}
        same(f'{mode}: processes in it', included(p), 4)
        got = by_label(p, 'pid', 'cpu')
        same(f'{mode}: whose the samples are', sorted(got), sorted(pids))
        for pid in pids:
            # the request lasts longer than the profile, and never less
            check(f'{mode}: CPU time of {pid}', 0 < got[pid] <= most[pid] * 1.01 + 2e7,
                  (got[pid], most[pid]))
        flat = p.cum('cpu')
        check(f'{mode}: names', flat['work_even'] > 0 and flat['work_odd'] > 0, dict(flat))
        names = by_label(p, 'process', 'cpu')
        check(f'{mode}: processes have names', {'worker-0', 'worker-1', 'worker-2'} <= set(names),
              names)
        return p


def test_workers_are_in_the_profile():
    check_workers('plain')


def test_whatever_workers_do_to_themselves():
    for mode in ['closeall', 'threads', *(['setuid', 'jail', 'chroot'] if AS_ROOT else [])]:
        check_workers(mode, 1)


def test_workers_that_forbid_themselves_threads():
    """As haproxy's.  Seen to fail: no thread could be started, all their time was [unsampled]."""
    check_workers('no-threads', 1)


def test_who_does_not_wake_is_named_and_its_time_told():
    with Tree('computing').start() as t:
        p = t.profile('profile?seconds=2')
        why = missing(p)
        same('computing: not in it', sorted(why), sorted(t.workers()))
        check('computing: what they used so far', all('s of CPU time so far)' in w for w in why.values()), why)
        got = by_label(p, 'pid', 'cpu')
        check('computing: its CPU time is there', all(got.get(pid, 0) > 0 for pid in t.workers()),
              got)
        unsampled = p.flat('cpu')['[unsampled]']
        workers = sum(got[pid] for pid in t.workers())
        check('computing: as time that was not sampled', unsampled >= workers, (unsampled, got))
    with Tree('asleep').start() as t:
        p = t.profile('profile?seconds=1')
        same('asleep: not in it', sorted(missing(p)), sorted(t.workers()))
        got = by_label(p, 'pid', 'cpu')
        check('asleep: it has used nothing', sum(got.get(pid, 0) for pid in t.workers()) < 1e6, got)


def check_sleepers(t, workers):
    epoll_wait = ('232 ', '281 ')
    check('they sleep', poll(lambda: all(harness.read(f'/proc/{pid}/syscall').startswith(epoll_wait)
                                         for pid in workers), 20))
    p = t.profile('goroutine')
    same('goroutine: who is not in it', missing(p), {})
    got = {pid for pid, n in by_label(p, 'pid', 'goroutine').items() if n == 1}
    check('goroutine: each with its one thread', workers <= got, got)
    same('goroutine: where they are', p.cum('goroutine')['sleep_for_ever'], len(workers))
    same('goroutine: and how they came there', p.cum('goroutine')['start_worker'], len(workers))
    same('goroutine: what they wait for', by_label(p, 'wait_reason', 'goroutine')['epoll wait'], len(workers))
    p = t.profile('wall?seconds=1')
    seen = p.cum('wall')['sleep_for_ever'] / p.duration_ns
    check('wall: all their time', abs(seen - len(workers)) < 0.1, seen)
    text = t.fetch('goroutine?debug=2', timeout=60).decode()
    for pid in workers:
        part = text.split(f', pid {pid}\n')[1].split('# process')[0]
        check('debug=2: it says how it was read', 'read from outside' in part, part)
        check('debug=2: and where it is', part.count('goroutine ') == 1 and 'sleep_for_ever' in part, part)
    same('nothing of ours came to them', [len(harness.tasks(pid)) for pid in workers], [1] * len(workers))


def test_what_sleepers_wait_in():
    with Tree('asleep').start() as t:
        check_sleepers(t, set(t.workers()))
        os.kill(t.workers()[0], signal.SIGSTOP)
        check('it stops', poll(lambda: ') T ' in harness.read(f'/proc/{t.workers()[0]}/stat'), 20))
        p = t.profile('goroutine')
        same('one that is stopped as well', p.cum('goroutine')['sleep_for_ever'], 3)
    with TreeBelowShell('asleep').start() as t:
        check_sleepers(t, set(t.workers()))


MIB = 1 << 20


def asleep(pids):
    epoll_wait = ('232 ', '281 ')
    return all(harness.read(f'/proc/{pid}/syscall').startswith(epoll_wait) for pid in pids)


def test_what_sleepers_hold():
    """Each allocates 50 blocks of 1 MiB twice, of which it keeps the first 50, and sleeps.

    At 64 KiB a sample a block is missed with a probability of exp(-16).
    """
    with Tree('filled', 3, env={'PPROF_HEAP_RATE': '65536'}).start() as t:
        workers = set(t.workers())
        check('they sleep', poll(lambda: asleep(workers), 20))
        p = t.profile('heap')
        same('heap: who is not in it', missing(p), {})
        same('heap: whose it is', pids_below(p, 'keep_much'), workers)
        same('heap: and below what', pids_below(p, 'start_worker') - {t.pid}, workers)  # it prints there
        held = by_label(p, 'pid', 'inuse_space')
        check('heap: what each holds', all(abs(held[pid] / MIB - 50) < 3 for pid in workers), held)
        same('heap: what was freed is not held', p.cum('inuse_space')['keep_nothing'], 0)
        made = by_label(t.profile('allocs'), 'pid', 'alloc_space')
        check('allocs: what each allocated', all(abs(made[pid] / MIB - 100) < 5 for pid in workers), made)
        check('heap: the parent has its own', pids_below(p, 'keep_parent') == {t.pid})
        check('it says how', p.comments[0].count('read from outside') == 3, p.comments)
        same('nothing of ours came to them', [len(harness.tasks(pid)) for pid in workers], [1] * 3)
        one, other = t.workers()[:2]
        os.kill(one, signal.SIGKILL)
        check('one ends', poll(lambda: harness.status_field(one, 'State')[:1] in 'Z', 10))
        os.kill(other, signal.SIGSTOP)
        check('one stops', poll(lambda: ') T ' in harness.read(f'/proc/{other}/stat'), 20))
        made_later = by_label(t.profile('allocs'), 'pid', 'alloc_space')
        same('what it had allocated stays', made_later.get(one), made[one])
        same('one that is stopped has all', made_later.get(other), made[other])
        held = by_label(t.profile('heap'), 'pid', 'inuse_space')
        same('who ended holds nothing', held.get(one, 0), 0)


def test_what_workers_held_that_are_another_program_now():
    """One that this library is not in, and one that answers itself."""
    def of_workers(p, value):
        made = collections.Counter()
        for s in p.samples:
            if 'keep_much' in s.stack:
                made[s.labels['pid']] += s.values[p.index(value)]
        return made

    def executes(pid):
        return poll(lambda: '(sleep)' in harness.read(f'/proc/{pid}/stat'), 20)

    with Tree('filled-program', 2, env={'PPROF_HEAP_RATE': '65536'}).start() as t:
        check('they sleep', poll(lambda: all(harness.read(f'/proc/{pid}/syscall').startswith('34 ')
                                             for pid in t.workers()), 20))
        p = t.profile('heap')
        made = of_workers(p, 'alloc_space')
        same('who holds', set(+of_workers(p, 'inuse_space')), set(t.workers()))
        for pid, how in zip(t.workers(), (signal.SIGUSR1, signal.SIGUSR2)):
            os.kill(pid, how)
        check('they are other programs', all(executes(pid) for pid in t.workers()))
        check('one answers', poll(lambda: included(t.profile('heap')) == 2, 20))
        p = t.profile('heap')
        same('they hold nothing any more', +of_workers(p, 'inuse_space'), {})
        same('what they had allocated stays', of_workers(p, 'alloc_space'), made)


def test_what_stopped_workers_waited_for():
    with Tree('locked', 2, env={'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}).start() as t:
        t.joined('block')
        for pid in t.workers():
            os.kill(pid, signal.SIGSTOP)
            check('it stops', poll(lambda: ') T ' in harness.read(f'/proc/{pid}/stat'), 20))
        for page, what in ('block', 'wait'), ('mutex', 'hold'):
            p = t.profile(page)
            same(f'{page}: who is not in it', missing(p), {})
            same(f'{page}: those that are stopped are', pids_below(p, f'{what}_worker'), set(t.workers()))
            same(f'{page}: with what they did', pids_below(p, f'{what}_parent'), {t.pid})


def test_who_cannot_be_read_is_named_with_its_memory():
    with Tree('program', 2).start() as t:
        why = missing(t.profile('heap'))
        same('who is not in it', sorted(why), sorted(t.workers()))
        check('how much it has', all('MiB of anonymous memory)' in w for w in why.values()), why)


def test_a_stopped_worker_is_waited_for_no_longer_than_others():
    with Tree('plain').start() as t:
        t.joined()
        os.kill(t.workers()[0], signal.SIGSTOP)
        t.fetch('heap')  # what it had begun
        started = time.monotonic()
        p = t.profile('profile?seconds=1')
        took = time.monotonic() - started
        check('the answer comes', took < 1 + 15, took)  # half a second, on a machine that is idle
        same('the others are in it', included(p), 3)
        check('it is named', t.workers()[0] in missing(p), p.comments)
        os.kill(t.workers()[0], signal.SIGCONT)
        t.joined()


def test_no_thread_before_somebody_asks():
    with Tree('plain').start() as t:
        t.shim_page()
        same('threads of a worker', [len(harness.tasks(pid)) for pid in t.workers()], [1] * 3)
        t.joined()
        same('threads of a member', [len(harness.tasks(pid)) for pid in t.workers()], [2] * 3)


def test_workers_that_are_replaced_all_the_time():
    with Tree('replaced').start() as t:
        p = t.profile('profile?seconds=3&hz=250')
        check('more than live at a time are in it', included(p) > 4, p.comments)
        check('they worked', p.cum('cpu')['work_even'] > 0 and p.cum('cpu')['work_odd'] > 0)


def test_sums_do_not_fall_when_workers_are_replaced():
    with Tree('heap', 2, env=SAMPLED).start() as t:
        before = t.joined('allocs')
        workers = t.workers()
        had = by_label(before, 'pid', 'alloc_space')
        os.kill(workers[0], signal.SIGKILL)
        check('it ends', poll(lambda: harness.status_field(workers[0], 'State')[:1] in 'Z', 10))
        after = t.profile('allocs')
        got = by_label(after, 'pid', 'alloc_space')
        same('what it had allocated stays', got.get(workers[0]), had[workers[0]])
        held = by_label(after, 'pid', 'inuse_space')
        same('it holds nothing any more', held.get(workers[0], 0), 0)
        for name, total in before.cum('alloc_space').items():
            check(f'{name}: does not fall', after.cum('alloc_space')[name] >= total)


def pids_below(p, name):
    """Of the samples with this function."""
    return {s.labels['pid'] for s in p.samples if name in s.stack}


def test_a_worker_has_not_waited_when_its_parent_did():
    with Tree('locked', 2, env={'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}).start() as t:
        for page, what in ('block', 'wait'), ('mutex', 'hold'):
            t.joined(page)
            last = [None]

            def they_wait():
                last[0] = t.profile(page)
                return pids_below(last[0], f'{what}_worker') == set(t.workers())
            check(f'{page}: workers have theirs', poll(they_wait, 20), last[0].comments)
            same(f'{page}: and not their parent\'s', pids_below(last[0], f'{what}_parent'), {t.pid})


def test_who_ended_unasked_is_counted():
    """Each worker allocates 2000 blocks of 1000 bytes and ends."""
    with Tree('unasked', 4, env={'PPROF_HEAP_RATE': '4096'}).start() as t:
        ended = [f'/proc/{pid}/stat' for pid in t.workers()]
        check('they end', poll(lambda: all(') Z ' in harness.read(stat) for stat in ended), 20))
        pattern = r'ended before anybody asked them: (\d+), at least; what they (.*) is not here(?: .about (\d+) bytes.)?'
        found = re.search(pattern, '\n'.join(t.profile('allocs').comments))
        if check('allocs: it is told', found):
            same('allocs: how many', found.group(1, 2), ('4', 'allocated'))
            check('allocs: how much', abs(int(found.group(3)) / 8e6 - 1) < 0.2, found.group(3))
        found = re.search(pattern, '\n'.join(t.profile('block').comments))
        check('block: it is told', found and found.group(1, 2, 3) == ('4', 'waited for', None))
        for page in ('heap', 'mutex'):
            check(f'{page}: it is told', re.search(pattern, '\n'.join(t.profile(page).comments)))
        check('threadcreate has nothing to tell', not re.search(
            pattern, '\n'.join(t.profile('threadcreate').comments)))
        check('heap of one process has nothing of it', not re.search(
            pattern, '\n'.join(t.profile(f'heap?pid={t.pid}').comments)))
        check('nor has a difference', not re.search(
            pattern, '\n'.join(t.profile('heap?seconds=1').comments)))


# ---- other profiles

def test_a_worker_has_what_it_allocated_itself():
    """Of 20 MB 1,200 allocations are sampled: a quarter less is 8 standard errors away."""
    with Tree('heap', env=SAMPLED).start() as t:
        p = t.joined()
        sums = by_label(p, 'pid', 'inuse_space')
        check('the parent\'s 20 MB', sums[t.pid] > 15e6, sums)
        for pid in t.workers():
            check('a worker has not', sums.get(pid, 0) < 10e6, sums)
        parents = [s for s in p.samples if 'keep_parent' in s.stack]
        same('whose that is', {s.labels['pid'] for s in parents}, {t.pid})
        workers = [s for s in p.samples if 'keep_worker' in s.stack]
        used = [c for c in p.comments if 'In use here: ' in c]
        check('whose the sums are that are told', used and all(re.match(r'(tree_workers|worker-\d) \d+( and \d others?)?: ', c)
                                                               for c in used), used)
        own = t.profile(f'heap?pid={t.pid}')
        same('the parent, by its number', {s.labels.get('pid') for s in own.samples}, {t.pid})
        check('and what they allocated', workers and t.pid not in
              {s.labels['pid'] for s in workers}, [s.labels for s in workers])


def test_old_blocks_of_all_processes():
    with Tree('heap', env=SAMPLED).start() as t:
        t.joined()
        last = [None]

        def all_there():
            last[0] = t.profile('heap?older=1s')
            return {s.labels['pid'] for s in last[0].samples} >= {t.pid, *t.workers()}
        check('old blocks have their processes', poll(all_there, 30), last[0] and last[0].comments)
        same('nothing was allocated', sum(s.values[last[0].index('alloc_space')] for s in last[0].samples), 0)


def test_threads_of_all_processes():
    with Tree('threads').start() as t:
        t.joined()
        p = t.profile('goroutine')
        same('processes', included(p), 4)
        counts = by_label(p, 'pid', 'goroutine')
        same('threads of each', [counts[pid] for pid in (t.pid, *t.workers())], [1, 4, 4, 4])
        text = t.fetch('goroutine?debug=2').decode()
        for pid in (t.pid, *t.workers()):
            check('each has its part', f', pid {pid}\n' in text, text[:500])
        check('with its threads', text.count('goroutine ') >= 13, text[:500])
        text = t.fetch('goroutine?debug=1').decode()
        check('debug=1 has labels', all(f'"pid":"{pid}"' in text for pid in t.workers()),
              text[:500])


def test_wall_time_of_all_processes():
    with Tree('threads').start() as t:
        t.joined()
        p = t.profile('wall?seconds=2')
        same('wall: processes', included(p), 4)
        times = by_label(p, 'pid', 'wall')
        for pid, threads in zip((t.pid, *t.workers()), (1, 4, 4, 4)):
            seen = times.get(pid, 0) / p.duration_ns
            check(f'wall: the time of {threads} threads', abs(seen - threads) < threads / 8, seen)
        states = by_label(p, 'state', 'wall')
        check('wall: states of all', {'running', 'blocked'} <= set(states), states)
        one = t.workers()[0]
        p = t.profile(f'wall?seconds=1&state=blocked&pid={one}')
        same('wall: of one process, blocked', [set(by_label(p, k, 'wall')) for k in ('pid', 'state')],
             [{one}, {'blocked'}])


def test_what_members_say_of_their_part_is_told():
    """The first process is root, and knows where its threads wait; its workers are not."""
    if not AS_ROOT:
        return
    with Tree('setuid').start() as t:
        t.joined()
        p = t.profile('wall?seconds=1')
        said = [c for c in p.comments if 'does not tell this process where its threads wait' in c]
        same('said once, of all three', len(said), 1)
        check('and by whom', said and re.match(r'worker-\d \d+ and 2 others: ', said[0]), p.comments)


# ---- questions

def test_pid_and_process_choose():
    with Tree('plain').start() as t:
        page = t.fetch('').decode()
        same('before they are asked', page.count('joins when a profile is asked for'), 3)
        t.joined()
        one, two, three = t.workers()
        for query, expected in ((f'pid={one}', {one}), (f'pid={one},{three}', {one, three}),
                                ('process=worker-1', {two}), ('process=worker-[02]', {one, three}),
                                ('process=tree*', {t.pid})):
            p = t.profile(f'profile?seconds=1&hz=250&{query}')
            same(query, set(by_label(p, 'pid', 'cpu')), expected)
        p = t.profile('profile?seconds=1&pid=self')
        check('pid=self: no labels of processes', all('pid' not in s.labels for s in p.samples))
        check('pid=self: only the parent\'s', p.cum('cpu')['work_parent'] > 0 and
              not p.cum('cpu')['work_even'])
        text = t.fetch(f'shim?pid={two}').decode()
        check('shim?pid=: of that process', 'http_requests' in text and text != t.shim_page(), text)
        text = t.fetch(f'shim?pid={t.pid}').decode()
        check('shim?pid=: its own', text.startswith('pprofshim ') and 'PPROF_PORT' in text, text[:200])
        listed = json.loads(t.fetch('sd'))
        same('sd: a target for each', {int(x['labels']['__param_pid']) for x in listed},
             {t.pid, one, two, three})
        page = t.fetch('').decode()
        rows = [row.split('</td><td>') for row in page.split('<tr><td>') if '</td><td>joined</td>' in row]
        same('the index has them, without threads of ours', {row[0]: row[5] for row in rows},
             {str(pid): '1' for pid in (one, two, three)})
        for page in 'heap', 'goroutine', 'goroutine?debug=2', 'profile?seconds=1', 'wall?seconds=1', 'shim':
            c = t.open(page + ('&' if '?' in page else '?') + 'pid=99999999')
            same(f'{page}: who is not there', c.answer.status, 404)
            check('is told', b'/debug/pprof/sd lists' in c.answer.read())
            c.close()
        p = t.profile(f'heap?pid=99999999,{one}')
        same('modules of others are none of ours that could not be read', t.counter('modules_unreadable'), 0)
        same('of two the one that is there', set(by_label(p, 'pid', 'alloc_space')) - {one}, set())
        c = t.open('heap?pid=nobody')
        same('nonsense is refused', c.answer.status, 400)
        check('with a sentence', b'"pid"' in c.answer.read())
        c.close()


def test_a_tree_of_one_is_as_before():
    with Target('heap_allocators', 'malloc', env={'PPROF_HEAP_RATE': '4096'}) as t:
        t.wait_ready()
        p = pprof_reader.parse(t.fetch('heap'))
        check('no labels, no comments', all(not s.labels for s in p.samples) and
              included(p) is None, p.comments)
        for query in f'pid={t.pid}', 'pid=1', 'process=nobody':
            c = t.open('heap?' + query)
            c.answer.read()
            same(query, c.answer.status, 404 if query == 'pid=1' else 200)
            c.close()
            p = pprof_reader.parse(t.fetch('heap'))
            check(f'nothing of {query} stays', all(not s.labels for s in p.samples) and
                  included(p) is None, p.comments)


def test_the_tree_can_be_switched_off():
    with Tree('plain', env={'PPROF_TREE': '0'}).start() as t:
        p = t.profile('profile?seconds=1')
        check('this process alone', included(p) is None and 'pid' not in p.samples[0].labels)
        same('and no socket', [line for line in harness.read('/proc/net/unix').splitlines()
                               if f'@pprofshim-{t.port}-' in line], [])


# ---- trees of executed programs

def test_programs_that_the_first_one_executed():
    server = harness.for_everyone(harness.fixture('tree_workers'))
    shim = harness.for_everyone(harness.SHIM)
    for wrapper in (['/bin/sh', '-c', f'{server} plain 1; :'],
                    ['/bin/bash', '-c', f'{server} plain 1; :'],
                    ['timeout', '60', server, 'plain', '1'],
                    ['setsid', '-w', server, 'plain', '1'],
                    *([['runuser', '-u', 'nobody', '--', server, 'plain', '1'],
                       ['su', '-s', '/bin/sh', '-c', f'{server} plain 1', 'nobody']]
                      if AS_ROOT else [])):
        name = os.path.basename(wrapper[0])
        with Target(shutil.which(wrapper[0]), *wrapper[1:], preexec=os.setsid, preload=shim) as t:
            try:
                if not (check(f'{name}: it answers', t.wait_ready()) and
                        check(f'{name}: the server runs', t.wait_for('ready'), t.output(1))):
                    continue
                last = [None]

                def whole():
                    last[0] = pprof_reader.parse(t.fetch('profile?seconds=1&hz=250'))
                    got = last[0].cum('cpu')
                    return got['work_even'] and got['work_parent']
                check(f'{name}: the work of all', poll(whole, 30), last[0] and last[0].comments)
                states = re.findall(r'>threads</a> </td><td>([^<]*)', t.fetch('').decode())
                check(f'{name}: the page has them as joined', states.count('joined') >= 2, states)
                same(f'{name}: nobody complains', t.output(1), '')
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(t.pid, signal.SIGKILL)


def test_programs_that_were_executed_a_moment_ago():
    """
    They look for a profile after 5 ms, 10, 20 and so on, and are members as soon as there is one.
    Seen to fail: 52 to 55 ms were not sampled, as it was looked for once and then for the port.
    """
    lost = []

    def is_soon():
        with TreeBelowShell('plain', 1) as t:
            check('it is ready', t.wait_for('ready'), t.output(1))
            p = t.profile('profile?seconds=1')
            lost.append(sum(s.values[p.index('cpu')] for s in p.samples
                            if s.stack == ['[unsampled]'] and s.labels['process'] == 'tree_workers'))
        return lost[-1] < 20e6
    check('nearly all is sampled', poll(is_soon, 10), lost)


def test_two_trees_with_one_port_stay_apart():
    with Tree('plain', 1).start() as first:
        with Target('tree_workers', 'plain', '1', port=first.port, preexec=os.setsid) as second:
            check('the second runs', second.wait_for('ready'))
            for _ in range(3):
                p = first.profile('profile?seconds=1')
            check('none of it is in the first', included(p) == 2 and
                  second.pid not in by_label(p, 'pid', 'cpu'), p.comments)
            os.killpg(second.pid, signal.SIGKILL)
    with Tree('plain', 1, env={'PPROF_TREE': 'any'}).start() as first:
        with Target('tree_workers', 'plain', '1', port=first.port, preexec=os.setsid,
                    env={'PPROF_TREE': 'any'}) as second:
            check('the second runs', second.wait_for('ready'))
            last = [None]

            def both():
                last[0] = first.profile('profile?seconds=1')
                return included(last[0]) == 4
            check('any: it is', poll(both, 30), last[0].comments)
            os.killpg(second.pid, signal.SIGKILL)


# ---- ends

def test_the_first_process_is_killed():
    """Its executed child, a member, has the port then."""
    server = harness.fixture('tree_workers')
    with Target('/bin/sh', '-c', f'{server} plain 1; :', preexec=os.setsid) as t:
        t.wait_ready()
        t.wait_for('ready')
        connection = t.open('profile?seconds=20')
        os.kill(t.pid, signal.SIGKILL)
        t.p.wait()
        connection.close()
        check('the endpoint is there again', poll(t.answers, 30))
        p = pprof_reader.parse(t.fetch('profile?seconds=1&hz=250'))
        check('of the server', p.cum('cpu')['work_parent'] > 0, dict(p.cum('cpu')))
        os.killpg(t.pid, signal.SIGKILL)


def test_a_worker_that_writes_nonsense_to_shared_memory():
    with Tree('scribble').start() as t:
        for _ in range(5):
            p = t.profile('profile?seconds=1&hz=1000')
            check('the parent serves on', p and t.pid in by_label(p, 'pid', 'cpu'))
            check('every page', all(t.fetch(page) for page in ('', 'shim', 'heap', 'goroutine')))
        t.say()
        same('it ends well', t.finish().code, 0)


if __name__ == '__main__':
    harness.run(test_workers_are_in_the_profile, test_whatever_workers_do_to_themselves,
                test_workers_that_forbid_themselves_threads,
                test_who_does_not_wake_is_named_and_its_time_told,
                test_what_sleepers_wait_in, test_what_sleepers_hold,
                test_what_workers_held_that_are_another_program_now,
                test_what_stopped_workers_waited_for, test_who_cannot_be_read_is_named_with_its_memory,
                test_a_stopped_worker_is_waited_for_no_longer_than_others,
                test_no_thread_before_somebody_asks, test_workers_that_are_replaced_all_the_time,
                test_sums_do_not_fall_when_workers_are_replaced,
                test_a_worker_has_not_waited_when_its_parent_did,
                test_who_ended_unasked_is_counted,
                test_a_worker_has_what_it_allocated_itself, test_old_blocks_of_all_processes,
                test_threads_of_all_processes,
                test_wall_time_of_all_processes, test_what_members_say_of_their_part_is_told,
                test_pid_and_process_choose, test_a_tree_of_one_is_as_before,
                test_the_tree_can_be_switched_off, test_programs_that_the_first_one_executed,
                test_programs_that_were_executed_a_moment_ago,
                test_two_trees_with_one_port_stay_apart, test_the_first_process_is_killed,
                test_a_worker_that_writes_nonsense_to_shared_memory)
