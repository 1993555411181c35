#!/usr/bin/env python3
"""PPROF_TOGGLE: a signal begins and ends a CPU profile, as long as the program has no use for it.

Seen to fail without the toggle (the program dies of the signal); with one that takes a signal which the program
handles; with a second profile over the first one's file.
"""
import os
import re
import signal
import subprocess

import harness
from harness import SHIM, check, poll, run, same
from test_out import ENDS, Done, environment, load, new_folder
from test_socket import Connection

TOGGLE = signal.SIGUSR2


class Words:
    """out_ends that does what it is told; its shim page is read by a socket."""

    def __init__(self, folder, preexec=None, **more):
        self.folder, self.name = folder, '@pprof-toggle-%d' % harness.free_port()
        env = environment(folder, **{'PPROF_PORT': 'off', 'PPROF_SOCKET': self.name + '-%p', 'PPROF_TOGGLE': 'USR2', **more})
        if not folder:
            env = environment(None)
        self.p = subprocess.Popen([ENDS, 'words', '0.3'], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, preexec_fn=preexec)
        self.pid = self.p.pid
        self.read_to('cpu ')

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.p.kill()
        self.p.communicate()

    def read_to(self, text):
        lines = []
        while not lines or not lines[-1].startswith(text):
            lines.append(self.p.stdout.readline())
            if not lines[-1]:
                break
        return lines

    def say(self, word):
        self.p.stdin.write(word + '\n')
        self.p.stdin.flush()
        return self.read_to('did ' + word)

    def page(self, pid=None):
        c = Connection('%s-%d' % (self.name, pid or self.pid), 10)
        c.request('GET', '/debug/pprof/shim')
        page = c.getresponse().read().decode()
        c.close()
        return re.search('^toggle: (.*)', page, re.M)[1]

    def toggle(self, expected, pid=None):
        os.kill(pid or self.pid, TOGGLE)
        check('it is ' + expected, poll(lambda: self.page(pid) == expected, 20), self.page(pid))

    def finish(self):
        out, err = self.p.communicate(timeout=60)
        return self.p.returncode, out, err


ON, OFF = 'a profile is under way', 'waits for the signal'


def judge(what, path):
    p = load(path)
    total = p.total('cpu')
    check(f'{what}: what was done then', p.cum('cpu').get('burn_known', 0) > 0.9 * total and total > 0.2e9,
          [(s.stack, s.values) for s in p.samples])
    same(f'{what}: nothing else', p.cum('cpu').get('burn_other', 0), 0)
    same(f'{what}: its mode', os.stat(path).st_mode & 0o777, 0o600)


def test_each_time_has_a_file():
    with Words(new_folder()) as w:
        for number in '', '-2', '-3':
            w.say('other')
            w.toggle(ON)
            w.say('known')
            w.toggle(OFF)
            judge('profile ' + number, '%s/out_ends.%d%s.toggled.pb.gz' % (w.folder, w.pid, number))
        same('its end, and what it was told', w.finish(), (2, '', ''))
        same('no more files', len(os.listdir(w.folder)), 3)


def test_a_program_that_computes_when_the_signal_comes():
    """Its thread is in our handler, where it takes no tick, when the profile begins.

    Seen to fail: two of three of these had no stacks at all.
    """
    folder = new_folder()
    with subprocess.Popen(['sh', '-c', 'while :; do :; done'], env=environment(folder, PPROF_TOGGLE='USR2')) as p:
        poll(lambda: len(harness.tasks(p.pid)) > 1, 20)
        for number in range(1, 7):
            os.kill(p.pid, TOGGLE)
            until = harness.cpu_seconds(p.pid) + 0.5
            poll(lambda: harness.cpu_seconds(p.pid) > until, 60)
            os.kill(p.pid, TOGGLE)
            poll(lambda: len([f for f in os.listdir(folder) if f.endswith('toggled.pb.gz')]) == number, 20)
        p.kill()
    for file in sorted(f for f in os.listdir(folder) if f.endswith('toggled.pb.gz')):
        profile = load(os.path.join(folder, file))
        lost, total = profile.flat('cpu').get('[unsampled]', 0), profile.total('cpu')
        check(f'{file}: has stacks', total > 0.4e9 and lost < total / 2, (lost, total))
    same('six profiles', len([f for f in os.listdir(folder) if 'toggled' in f]), 6)


def test_what_is_under_way_at_the_end():
    for end in 'return', 'signal':
        with Words(new_folder(), PPROF_OUT_PROFILES='heap') as w:
            w.toggle(ON)
            w.say('known')
            if end == 'signal':
                w.p.terminate()
            same(f'{end}: its end', w.finish(), (-signal.SIGTERM if end == 'signal' else 2, '', ''))
            judge(end, '%s/out_ends.%d.toggled.pb.gz' % (w.folder, w.pid))


def test_a_program_with_a_use_for_it():
    for word, answer in ('handle', ['handled\n']), ('ignore', []):
        with Words(new_folder()) as w:
            w.say(word)
            same(f'{word}: given up', w.page(), 'none, since the program has a handler of its own for it, or ignores it')
            os.kill(w.pid, TOGGLE)
            same(f'{word}: the program gets it', w.say('x'), [*answer, 'did x\n'])
            w.say('default')
            os.kill(w.pid, TOGGLE)
            same(f'{word}: at its default again', w.finish()[0], -TOGGLE)
            same(f'{word}: no files', os.listdir(w.folder), [])


def test_one_that_blocks_it():
    with Words(new_folder()) as w:
        w.say('block')
        os.kill(w.pid, TOGGLE)
        same('it is told', w.page(), OFF + '; the main thread blocks it')
        w.say('unblock')
        check('it comes', poll(lambda: w.page() == ON, 20), w.page())


def test_one_that_is_told_to_ignore_it():
    with Words(new_folder(), preexec=lambda: signal.signal(TOGGLE, signal.SIG_IGN)) as w:
        os.kill(w.pid, TOGGLE)
        code, _, err = w.finish()
        same('its end', code, 2)
        check('one sentence', err.startswith('pprofshim: PPROF_TOGGLE has no effect') and err.count('\n') == 1, err)


def test_forked_children_have_their_own():
    with Words(new_folder()) as w:
        child = int(w.say('fork')[0].split()[1])
        w.read_to('did fork')  # both say it
        poll(lambda: os.listdir(w.folder) or os.kill(child, TOGGLE), 20, every=0.3)
        same('not the parent', w.page(), OFF)
        os.kill(child, signal.SIGKILL)
        same('files', os.listdir(w.folder), ['out_ends.%d.toggled.pb.gz' % child])


def test_names_and_the_default():
    for name in 'SIGUSR1', 'RTMIN+3', 'RTMAX-2', '10':
        got = Done([ENDS, 'return', '0'], new_folder(), PPROF_TOGGLE=name)
        same(f'{name}: the program sees the default', (got.code, got.lines, got.err), (2, [], ''))
    with Words(None) as w:
        os.kill(w.pid, TOGGLE)
        same('without us it ends the program', w.finish()[0], -TOGGLE)


def test_the_first_process_of_a_namespace():
    """The signal of a user of the same container comes, since the user wants it to."""
    if not harness.may_mount() or os.geteuid() != 0:
        harness.skip('the first process', 'needs root and namespaces')
        return
    folder = new_folder()
    got = Done(['unshare', '-p', '-f', '--kill-child', 'env', 'LD_PRELOAD=' + SHIM, ENDS, 'toggles', '0'], None,
               PPROF_OUT=folder, PPROF_TOGGLE='USR2')
    same('its end', (got.code, got.err), (2, ''))
    same('its file', os.listdir(folder), ['out_ends.1.toggled.pb.gz'])


if __name__ == '__main__':
    run(test_each_time_has_a_file, test_a_program_that_computes_when_the_signal_comes, test_what_is_under_way_at_the_end, test_a_program_with_a_use_for_it,
        test_one_that_blocks_it, test_one_that_is_told_to_ignore_it, test_forked_children_have_their_own,
        test_names_and_the_default, test_the_first_process_of_a_namespace)
