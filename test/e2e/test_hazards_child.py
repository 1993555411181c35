#!/usr/bin/env python3
"""A hook never replaces a wait, and a program with one thread stays one (H07, H24, H46, H54, H90, H91).

Seen to fail against:
  cancelled      waits in pieces by raw system calls (ours): poll and seven others were never cancelled
  interrupted    the same: handlers saw nearly all signals blocked
  children       a thread that libc knows (ours): fork took malloc's locks, the child hung in malloc
  parents        the same: the parent hung, in fork, forkpty, system and popen
  newborns       births that a signal may interrupt (ours): 1 to 98 of 100 children died by SIGSEGV
  single         a thread that libc knows (ours): single threaded 0, heap 135168 at the start
  at_once        no listener that waits for the parent's end: no endpoint in most of the runs
  sessions       such a listener in each child that leads a session: two threads in each
  renamed        a parent known by a file's name (ours): a sentence for each child
  orphans, first  ancestors only, and not process 1 (ours): a sentence for each
"""
import os
import shutil
import subprocess

import harness
from harness import KEY, SHIM, Profiling, Target, check, plain, poll, rounds, run, same, seconds, skip
from test_hazards_fork import ending, is_there, told_pids

CHILD = 'hostile_child'


def as_without_us(what, *args, **options):
    with Target(CHILD, *args, **options) as t:
        t.wait_ready()
        t.say()
        got = t.finish()
    same(what, got.seen(), plain(CHILD, *args).seen())
    return got


def test_waits_of_a_child_are_cancelled():
    got = as_without_us('waits of a child that are cancelled', 'cancel')
    check('all were cancelled', got.out.count(': cancelled\n') > 30 and ': ended' not in got.out,
          got.out)


def test_waits_of_a_child_are_interrupted():
    got = as_without_us('waits of a child that are interrupted', 'interrupt')
    check('many were', got.out.count(', errno 4,') > 15, got.out)


def test_a_signal_meets_the_child_in_fork():
    as_without_us('a signal meets the child in fork', 'signal-children', rounds(100))


def test_signals_meet_the_parent_in_fork():
    for how in 'fork', '_Fork', 'clone', 'vfork', 'spawn', 'forkpty', 'system', 'popen':
        n = rounds(400 if how in ('fork', '_Fork', 'clone', 'vfork') else 40)
        as_without_us('signals meet the parent in ' + how, 'signal-parent', how, n)


def test_a_handler_forks_in_a_newborn_thread():
    with Target(CHILD, 'fork-in-handlers', rounds(8)) as t:
        t.wait_ready()
        with Profiling(t) as p:
            t.say()
            got = t.finish()
        same('a handler forks in a newborn thread', got.seen(),
             ('status 0', 'children that died: 0\n', ''))
    check('a profile was taken', p.blobs or p.refused == 0)


def test_libc_knows_no_thread_of_ours():
    got = as_without_us('libc knows no thread of ours', 'single')
    check('the program has one thread', got.out.startswith('at the start: single threaded 1, heap 0'),
          got.out)


def test_daemons_that_wait_at_once_answer():
    """The child leads a session and comes to its endless wait before its parent has ended."""
    for end in 'exit', '_exit', 'return', 'kill':
        for _ in range(rounds(3)):
            with Target(CHILD, 'detach', end) as t, ending(lambda: told_pids(t)):
                t.wait_ready()
                t.say()
                t.finish()
                check('a daemon whose parent ended by %s answers' % end, poll(t.answers, 20))
                check('the page tells', 'took over from process %d' % t.pid in t.shim_page())


def test_children_of_a_server_have_one_thread():
    with Target(CHILD, 'sessions') as t, ending(lambda: told_pids(t)):
        t.wait_ready()
        t.say()
        poll(lambda: len(told_pids(t)) == 3, 20)
        children = told_pids(t)
        # asleep in their waits
        poll(lambda: all(harness.status_field(p, 'State')[:1] == 'S' for p in children), 20)
        same('threads of a server\'s children', [len(harness.tasks(p)) for p in children], [1] * 3)
        page = t.shim_page()
        check('the page tells why they have no endpoint',
              'forked processes without an endpoint of their own: 3: they will answer through this process when' in page, page)
        for p in children:
            check('they live', is_there(p))


def test_children_under_a_renamed_library_are_silent():
    copy = os.path.join(harness.work, 'libother.so')
    shutil.copy(SHIM, copy)
    env = dict(os.environ, LD_PRELOAD=copy, ADMIN_KEY=KEY, PPROF_PORT=str(harness.free_port()))
    env.pop('PPROF_ONLY', None)
    # the first has the port before it starts the others: it waits for them to end
    got = subprocess.run(['sh', '-c', 'for i in 1 2 3; do sh -c "echo child; true"; done; true'],
                         env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         timeout=60)
    same('children of a program under a renamed library', (got.stdout, got.stderr),
         ('child\n' * 3, ''))


def run_preloaded(*command):
    env = dict(os.environ, LD_PRELOAD=SHIM, ADMIN_KEY=KEY, PPROF_PORT=str(harness.free_port()))
    env.pop('PPROF_ONLY', None)
    got = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return got.stdout, got.stderr


def test_orphans_that_execute_are_silent():
    """Who has the port leads their session; their parent is gone when they execute another program."""
    orphan = '( (while [ ! -e "$0" ]; do sleep 0.02; done; exec sh -c "echo orphan; true") & )'
    go = os.path.join(harness.work, 'go')
    got = run_preloaded('setsid', '-w', 'sh', '-c', orphan + '; : >"$0"; sleep 1.5; echo leader; true', go)
    same('an orphan of a daemon', got, ('orphan\nleader\n', ''))


def test_children_of_the_first_process_are_silent():
    """In a container the process that has the port is number 1."""
    if not harness.may_mount():
        return skip('children of the first process', 'no namespaces of its own')
    got = run_preloaded('env', '-u', 'LD_PRELOAD', 'unshare', '-pf', '--mount-proc', 'env', 'LD_PRELOAD=' + SHIM,
                        'sh', '-c', 'for i in 1 2 3; do sh -c "echo child; true"; done; echo $$')
    same('children of process 1', got, ('child\n' * 3 + '1\n', ''))


def test_children_in_a_namespace_of_their_own_are_silent():
    """Where /proc is that of their parents, which has other numbers for them."""
    if not harness.may_mount():
        return skip('children in a namespace', 'no namespaces of their own')
    got = run_preloaded('sh', '-c', 'for i in 1 2 3; do unshare -pf sh -c "echo child; true"; done; echo $$ >&2; true')
    same('children in a namespace', (got[0], len(got[1].splitlines())), ('child\n' * 3, 1))


if __name__ == '__main__':
    run(test_waits_of_a_child_are_cancelled, test_waits_of_a_child_are_interrupted,
        test_a_signal_meets_the_child_in_fork, test_signals_meet_the_parent_in_fork,
        test_a_handler_forks_in_a_newborn_thread, test_libc_knows_no_thread_of_ours,
        test_daemons_that_wait_at_once_answer, test_children_of_a_server_have_one_thread,
        test_children_under_a_renamed_library_are_silent, test_orphans_that_execute_are_silent,
        test_children_of_the_first_process_are_silent,
        test_children_in_a_namespace_of_their_own_are_silent)
