"""Attaches to programs that run, has them profiled, and detaches, over and over.

    with Attacher(pids) as a:     # asked for anew all the time: processes to begin from
        ...
    a.count, a.refused            # attaches that were done; {sentence: how often}

Each is attached to by itself, every second time with --hooks; so are their descendants.
"""
import contextlib
import http.client
import os
import random
import re
import time

import everything
import harness
import test_attach

PAGES = ['profile?seconds=0.3&hz=1000', 'wall?seconds=0.3', 'heap', 'allocs', 'block', 'mutex',
         'goroutine?debug=2', 'shim', 'threadcreate']


def name_of(pid):
    return harness.read('/proc/%d/comm' % pid).strip()


def below(pid):
    """The process and those below it that are there now."""
    found = [pid]
    for p in found:
        for tid in harness.tasks(p):
            found += map(int, harness.read('/proc/%d/task/%d/children' % (p, tid)).split())
    return [p for p in found if os.path.exists('/proc/%d/exe' % p)]


class Attacher(harness.Clients):
    def __init__(self, pids, clients=2):
        super().__init__(clients, 90)
        self.pids, self.count, self.refused = pids, 0, {}
        self.busy = set()  # one client at a time

    def refuse(self, sentence):
        plain = re.sub(r'\d+', 'N', sentence.strip().split('\n')[-1])
        self.refused[plain] = self.refused.get(plain, 0) + 1

    def once(self, pid, hooks):
        port = harness.free_port()
        status, _, err = test_attach.tool(*hooks, '--port', port, pid)
        if status:
            self.refuse(err)
            return
        self.count += 1
        for page in random.sample(PAGES, 2):
            with contextlib.suppress(OSError, http.client.HTTPException):
                everything.get(port, page, timeout=10)
        status, _, err = test_attach.tool('--detach', pid)
        if status and os.path.exists('/proc/%d/exe' % pid):
            self.refuse('detach: ' + err)

    def loop(self, number):
        turn = 0
        while self.running:
            these = [p for start in self.pids() for p in below(start)]
            random.shuffle(these)
            for pid in these[:4]:
                turn += 1
                if self.running and pid not in self.busy:
                    self.busy.add(pid)
                    self.once(pid, ['--hooks'] if turn % 2 else [])
                    self.busy.discard(pid)
            time.sleep(0.01)
