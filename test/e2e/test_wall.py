#!/usr/bin/env python3
"""Compares wall-clock profiles with what a program itself knows about its time.

wall_truth's askers spend drawn lengths of time in five functions and add up, by the
kernel's account of each thread, how long they ran, waited for a processor and were
blocked, and in which function.

How likely is it to fail by chance?  Each look at a thread is a draw: it finds it in a
function with share p, and the stretches (1 to 40 ms) are shorter than the time between
two looks, so that draws of one thread do not depend on each other.  Of n looks sigma is
sqrt(p * (1 - p) / n).  A machine on which all looks fit the budget has 10,000 in SECONDS,
and 2 points are more than 4 sigma of the largest share (0.35); a slow or busy one has
fewer, as the profile says, and then SIGMAS of what it had are allowed: one failure in
150,000 for each share.  Totals of states come from clocks and not from looks.
"""
# Runs alone: its bounds are for a machine that has time for a look every 10 ms.
import collections
import json
import math
import os
import re
import subprocess
import sys

import harness
import pprof_reader

ASKERS = 20
SECONDS = 25
LOOKS_HZ = 20
POINTS = 2.0
SIGMAS = 4.5
PLACES = ('in_sleep', 'in_poll', 'in_pipe', 'in_lock')


def expect(sentence, ok):
    harness.check(sentence, ok)
    if ok:
        print('ok: ' + sentence, flush=True)


def answer(target, command):
    told = target.output().count('\n')
    target.say(command + '\n')
    if not harness.poll(lambda: target.output().count('\n') > told, 20):
        raise RuntimeError('wall_truth does not answer')
    return json.loads(target.output().splitlines()[-1])


def fetched(target, query, seconds=1):
    return pprof_reader.parse(target.fetch(query, seconds + 30))


# ---- the truth

def parts(p, **labels):
    """[(names of the stack, ns)] of the samples with these labels."""
    index = p.index('wall')
    return [(s.stack, s.values[index]) for s in p.samples
            if all(s.labels.get(key) == value for key, value in labels.items())]


def total(found):
    return sum(ns for _, ns in found)


def within(found, function):
    return sum(ns for names, ns in found if function in names)


def looks_of(p):
    """At all askers together."""
    known = [re.match(r'Each look knew where (?:less than )?(\d+) %', c) for c in p.comments]
    part = next((int(m[1]) for m in known if m), 100) / 100
    return ASKERS * LOOKS_HZ * p.duration_ns / 1e9 * part


def allowed(p, share):
    sigma = math.sqrt(share * (1 - share) / looks_of(p))
    return max(POINTS, 100 * SIGMAS * sigma)


def compare(name, p, truth):
    askers = {state: parts(p, thread='asker', state=state)
              for state in ('running', 'runnable', 'blocked')}
    all_ns, all_true = sum(map(total, askers.values())), sum(truth.values())
    states = {state: truth[state] for state in ('running', 'runnable')}
    states['blocked'] = all_true - sum(states.values())
    for state, ns in states.items():
        share, true = 100 * total(askers[state]) / all_ns, 100 * ns / all_true
        expect(f'{name}: {state} is {share:.2f} %, should be {true:.2f} %',
               abs(share - true) <= POINTS)
    for place in PLACES:
        share = 100 * within(askers['blocked'], place) / all_ns
        true = 100 * truth[place] / all_true
        most = allowed(p, true / 100)
        expect(f'{name}: blocked {place} is {share:.2f} %, should be {true:.2f} % +- {most:.1f}',
               abs(share - true) <= most)


def check_whole(name, p, strays, threads):
    problems = pprof_reader.check(p, main=harness.fixture('wall_truth'))
    expect(f'{name}: a valid profile {problems[:5] or ""}', not problems)
    expect(f'{name}: types {[t.type for t in p.sample_types]}',
           p.sample_types == [('samples', 'count'), ('wall', 'nanoseconds')])
    sum_s, whole_s = p.total('wall') / 1e9, threads * p.duration_ns / 1e9
    expect(f'{name}: the sum is {sum_s:.2f} s of {whole_s:.2f} s',
           abs(sum_s - whole_s) <= whole_s / 100)
    expect(f'{name}: no call ended early ({strays})', strays == 0)


def all_there(target, askers):
    """Each asker has its name, and a feeder; besides them there are the first thread and ours."""
    def are_there():
        tids = harness.tasks(target.pid)
        names = [harness.read(f'/proc/{target.pid}/task/{tid}/comm').strip() for tid in tids]
        return names.count('asker') == askers and len(tids) == 2 * askers + 2
    harness.check('all threads are there', harness.poll(are_there), harness.tasks(target.pid))


def run_truth(name):
    with harness.Target('wall_truth', ASKERS, 600) as target:
        if not harness.check(f'{name}: the shim answers', target.wait_ready()):
            return
        all_there(target, ASKERS)
        p = fetched(target, f'wall?seconds={SECONDS}', SECONDS)
        truth = answer(target, f'window {p.time_ns} {p.time_ns + p.duration_ns}')
        strays = answer(target, 'strays')['strays']
    check_whole(name, p, strays, 2 * ASKERS + 1)
    compare(name, p, truth)


def test_truth_on_a_quiet_machine():
    run_truth('quiet')


def test_truth_on_an_overloaded_machine():
    """Twice as many programs that compute as there are processors."""
    busy = [subprocess.Popen([sys.executable, '-c', 'while True: pass'])
            for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        run_truth('overloaded')
    finally:
        for program in busy:
            program.kill()
            program.wait()


# ---- what is asked for

def labels(p, key):
    return {s.labels.get(key) for s in p.samples}


def check_filters(target):
    askers = fetched(target, 'wall?seconds=1&thread=ask*')
    expect(f'thread=ask*: {labels(askers, "thread")}', labels(askers, 'thread') == {'asker'})
    threads = askers.total('wall') / askers.duration_ns
    expect(f'thread=ask*: the time of {threads:.2f} threads', abs(threads - 4) < 0.1)
    nobody = fetched(target, 'wall?seconds=1&thread=nobody')
    expect(f'thread=nobody: it says why it is empty: {nobody.comments}', not nobody.samples and
           any('Nothing here is of a thread' in c for c in nobody.comments))
    expect('and not where there is something', not any('Nothing here' in c for c in askers.comments))
    blocked = fetched(target, 'wall?seconds=1&state=blocked&hz=100')
    expect(f'state=blocked: {labels(blocked, "state")}', labels(blocked, 'state') == {'blocked'})
    reasons = labels(blocked, 'wait_reason')
    expect(f'reasons: {reasons}', {'sleep', 'poll', 'read pipe', 'mutex wait'} <= reasons)
    idle = {s.labels['thread'] for s in blocked.samples if s.labels.get('idle')}
    expect(f'nobody who works is idle: {idle}', not idle)


def check_forms(target):
    bare = fetched(target, 'wall?seconds=1&labels=0')
    expect('labels=0', bare.samples and not any(s.labels for s in bare.samples))
    text = target.fetch('wall?seconds=1&format=collapsed&state=blocked').decode()
    expect('format=collapsed', 'in_sleep;' in text and 'in_work' not in text)
    for page in ('wall', 'fgprof', '../fgprof'):
        p = fetched(target, page + '?seconds=1')
        expect(f'{page}: a profile', p.kind() == 'wall' and p.samples)


def refusal(target, path):
    connection = target.open(path)
    try:
        return connection.answer.status, connection.answer.read().decode().strip()
    finally:
        connection.close()


def check_refusals(target):
    for query, word in (('hz=101', 'hz'), ('hz=0', 'hz'), ('state=asleep', 'state'),
                        ('thread=' + 'x' * 63, 'thread'), ('second=1', 'seconds')):
        status, said = refusal(target, 'wall?' + query)
        expect(f'{query} is refused: {said}', status == 400 and word in said)
    for query, word in ('profile?state=running', 'wall'), ('heap?thread=x', 'tagfocus'), ('goroutine?state=blocked', 'wall'):
        status, said = refusal(target, query)
        expect(f'{query} is refused: {said}', status == 400 and word in said)


def check_cpu_of_threads(target):
    p = fetched(target, 'profile?seconds=2&hz=500&thread=ask*', 2)
    names = {s.labels.get('thread') for s in p.samples}
    expect(f'profile?thread=ask* has those: {names}', names == {'asker'})
    p = fetched(target, 'profile?seconds=1&thread=nosuch', 1)
    expect('profile?thread=nosuch is empty and says why',
           not p.samples and any('of a thread' in c for c in p.comments))


def test_what_is_asked_for():
    with harness.Target('wall_truth', 4, 600) as target:
        if harness.check('the shim answers', target.wait_ready()):
            all_there(target, 4)
            check_filters(target)
            check_forms(target)
            check_refusals(target)
            check_cpu_of_threads(target)


def test_threads_that_do_nothing_are_idle():
    with harness.Target('waiting_threads', 20,
                        os.path.join(harness.FIXTURES, 'wait_calls_plugin.so')) as target:
        if not harness.check('the threads wait', target.wait_for('ready') and target.wait_ready()):
            return
        threads = len(harness.tasks(target.pid)) - 1  # ours
        p = fetched(target, 'wall?seconds=2', 2)
    idle = total(parts(p, idle='true', state='blocked')) / p.duration_ns
    expect(f'the time of {idle:.1f} of {threads} threads is idle', abs(idle - threads) < 1.5)


def test_where_the_kernel_does_not_tell():
    """After a change of user: totals by clocks, blocked time in one frame, and that is told."""
    if os.geteuid() != 0:
        harness.skip('another user', 'not root')
        return
    with harness.Target('wall_truth', 4, 600, 'nobody') as target:
        if not harness.check('the shim answers', target.wait_ready()):
            return
        all_there(target, 4)
        p = fetched(target, 'wall?seconds=3', 3)
    threads = p.total('wall') / p.duration_ns
    expect(f'nobody: the time of {threads:.2f} of 9 threads', abs(threads - 9) < 0.1)
    leaves = {names[0] for names, _ in parts(p, state='blocked')}
    expect(f'nobody: blocked is {leaves}', leaves == {'[blocked]'})
    expect(f'nobody: that is told: {p.comments}', any('[blocked]' in c for c in p.comments))
    expect('nobody: what ran has names', p.cum('wall')['in_work'] > 0)


NO_PROC = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']


def test_without_proc():
    """Who told of its start is known: totals by clocks, names of what ran, blocked time in one frame.

    Seen to fail: the first thread alone was in it, and a CPU profile was all [unsampled].
    """
    if not harness.may_mount():
        harness.skip('without /proc', 'no mounts of its own')
        return
    with harness.Target('wall_truth', 4, 600, prefix=NO_PROC) as target:
        if not harness.check('the shim answers', target.wait_ready()):
            return
        all_there(target, 4)
        p = fetched(target, 'wall?seconds=3', 3)
        cpu = fetched(target, 'profile?seconds=2', 2)
    threads = p.total('wall') / p.duration_ns
    expect(f'no /proc: the time of {threads:.2f} of 9 threads', abs(threads - 9) < 0.1)
    expect(f'no /proc: that is told: {p.comments}', any('/proc' in c for c in p.comments))
    expect('no /proc: what ran has names', p.cum('wall')['in_work'] > 0)
    share = cpu.cum('cpu')['in_work'] / cpu.total('cpu')
    expect(f'no /proc: {share:.0%} of CPU time is in_work', share > 0.5)
    expect(f'no /proc: that is told: {cpu.comments}', any('/proc' in c for c in cpu.comments))


# ---- whose it is

ALONE = ('piper', 'locker', 'socketeer', 'poller', 'napper', 'ticker', 'wall_names')
NEVER_IDLE = ('napper', 'ticker')
# Of all time.  Of 2000 sleepers some are looked at in any window, and they stand for the
# others; who is alone with its name and is not looked at has no place: 7 of 307 at most.
UNSAMPLED = 0.03


def ran_ns(pid):
    """Of all threads until now, by name and by the kernel's account."""
    ran = collections.Counter()
    for tid in harness.tasks(pid):
        with open(f'/proc/{pid}/task/{tid}/comm') as name, \
                open(f'/proc/{pid}/task/{tid}/schedstat') as account:
            ran[name.read().rstrip()] += int(account.read().split()[0])
    return ran


def check_names(name, p, sleepers, ran):
    """Running time is a CPU profile's, to a tick; so here it is the kernel's."""
    for thread, count in [('sleeper', sleepers)] + [(alone, 1) for alone in ALONE]:
        waited = total(parts(p, thread=thread)) - total(parts(p, thread=thread, state='running'))
        found = (waited + ran[thread]) / p.duration_ns
        expect(f'{name}: {thread}: the time of {found:.3f} of {count}',
               abs(found - count) <= count / 100)
    strangers = labels(p, 'thread') - {'sleeper', None} - set(ALONE)
    expect(f'{name}: no other names {strangers or ""}', not strangers)
    share = within(parts(p), '[unsampled]') / p.total('wall')
    expect(f'{name}: {share:.2%} are unsampled, {UNSAMPLED:.0%} may', share <= UNSAMPLED)


def check_idle(name, p, sleep_s):
    """Who wakes in the window is not idle, looked at or not."""
    idle = {s.labels['thread'] for s in p.samples if s.labels.get('idle')}
    expect(f'{name}: idle are {idle}', not idle & set(NEVER_IDLE))
    if p.duration_ns > 2 * sleep_s * 1e9:
        expect(f'{name}: no sleeper is idle', 'sleeper' not in idle)


def run_names(sleepers, sleep_s, seconds):
    name = f'{sleepers} for {sleep_s} s, {seconds} s'
    with harness.Target('wall_names', sleepers, int(1000 * sleep_s)) as target:
        if not harness.check(f'{name}: ready', target.wait_for('ready') and target.wait_ready()):
            return
        before = ran_ns(target.pid)
        p = fetched(target, f'wall?seconds={seconds}', seconds)
        ran = ran_ns(target.pid) - before
    expect(f'{name}: the window is {p.duration_ns / 1e9:.3f} s', p.duration_ns >= seconds * 0.99e9)
    check_names(name, p, sleepers, ran)
    check_idle(name, p, sleep_s)


def test_each_name_has_the_time_of_its_threads():
    run_names(300, 5, 1)
    run_names(2000, 5, 4)
    run_names(2000, 5, 5)
    run_names(2000, 0.9, 2)


harness.run(test_where_the_kernel_does_not_tell, test_without_proc, test_what_is_asked_for,
            test_threads_that_do_nothing_are_idle, test_each_name_has_the_time_of_its_threads,
            test_truth_on_a_quiet_machine, test_truth_on_an_overloaded_machine)
