"""Clients that fetch everything a target offers, over and over.

    with Everything(lambda: [t.port]) as e:     # ports are asked for anew all the time
        ...
    e.bodies                                    # query -> the last body that came

What there is, the index page says; so a new endpoint is fetched as soon as it exists.
"""
import contextlib
import http.client
import re
import time

from harness import KEY, Clients

CLIENTS = 3
# Every allocation, every wait, every unlock that let another go on.
HIGHEST = {'PPROF_HEAP_RATE': '1', 'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}
CPU = 'profile?seconds=1&hz=1000'
WALL = 'wall?seconds=1&hz=100'


def get(port, path, timeout=30):
    """(status, body)."""
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
    try:
        c.request('GET', '/debug/pprof/' + path, headers={'Authorization': 'Bearer ' + KEY})
        answer = c.getresponse()
        return answer.status, answer.read()
    finally:
        c.close()


def queries(port):
    """Every endpoint that the index names, in every form."""
    status, index = get(port, '', timeout=5)
    names = re.findall(r'<a href="([a-z]+)', index.decode()) if status == 200 else []
    for name in names:
        if name == 'profile':
            yield CPU
        elif name == 'wall':
            yield WALL
        elif name == 'symbol':
            yield 'symbol?0x401000+0x7fffffffe000'
        elif name in ('cmdline', 'shim'):
            yield name
        else:
            yield from (name, name + '?debug=1', name + '?debug=2', name + '?seconds=1')


class Everything(Clients):
    def __init__(self, ports, clients=CLIENTS):
        super().__init__(clients, 35)
        self.ports = ports
        self.bodies, self.refused, self.count = {}, {}, 0

    def fetch(self, port, query):
        status, body = get(port, query)
        if status == 200:
            self.bodies[query] = body
            self.count += 1
        else:
            self.refused[query] = status

    def round(self, port, shift):
        """All of it once, each client from another beginning; the first takes CPU profiles only."""
        wanted = list(queries(port)) if shift else [CPU]
        for i in range(len(wanted)):
            if not self.running:
                return
            self.fetch(port, wanted[(i + shift * len(wanted) // CLIENTS) % len(wanted)])

    def loop(self, shift):
        while self.running:
            for port in self.ports():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.round(port, shift)
            time.sleep(0.02)
