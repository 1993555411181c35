#!/usr/bin/env python3
"""How much of the program's stack each hook may take: the sum along the deepest way of calls.

usage: stack.py FOLDER LIMIT    FOLDER has what gcc -fcallgraph-info=su wrote, one .ci for each file

Functions of libc, and those called through pointers (the next definitions, mostly), count
as nothing: the program would call them itself.
"""
import glob
import re
import sys

NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
# where the stubs in shim/arch lead
DOORS = ['pprofshim_futex', 'pprofshim_taken_syscall', 'pprofshim_before_loader', 'pprofshim_before_filter']


def read(folder):
    size, calls = {}, {}
    for name in glob.glob(folder + '/**/*.ci', recursive=True):
        with open(name) as f:
            text = f.read()
        size.update((title, int(n)) for title, n in NODE.findall(text))
        for source, target in EDGE.findall(text):
            calls.setdefault(source, set()).add(target)
    return size, calls


def deepest(name, size, calls, known, on_way=()):
    """(bytes, names) of the way from here; a circle is followed once."""
    if name not in known:
        below = [deepest(c, size, calls, known, on_way + (name,))
                 for c in sorted(calls.get(name, ())) if c != name and c not in on_way]
        best = max(below, default=(0, ()))
        known[name] = size.get(name, 0) + best[0], (name.split(':')[-1],) + best[1]
    return known[name]


def main(folder, limit):
    with open('shim/exports.txt') as f:
        hooks = [line.split('@')[0] for line in f.read().split()] + DOORS
    size, calls = read(folder)
    known = {}
    ways = sorted((deepest(h, size, calls, known), h) for h in hooks if h in size)
    if len(ways) < 100:
        print('FAIL stack          only %d hooks are known: was this made by gcc?' % len(ways))
        return 1
    for (n, way), _ in ways:
        if n > limit:
            print('FAIL stack          %d bytes: %s' % (n, ' > '.join(way)))
    (n, way), _ = ways[-1]
    print('%s stack          %d hooks take %d bytes of the stack at most, limit %d: %s' % (
        'ok  ' if n <= limit else 'FAIL', len(ways), n, limit, ' > '.join(way)))
    return n > limit


sys.exit(main(sys.argv[1], int(sys.argv[2])))
