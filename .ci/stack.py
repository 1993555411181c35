#!/usr/bin/env python3
"""How much of the program's stack each hook may take: the sum along the deepest way of calls.

usage: stack.py FOLDER LIMIT    FOLDER has what gcc -S -fcallgraph-info=su wrote, a .s and a
                                .ci for each file

What a function jumps to as its last act stands where its own frame was.  Functions of libc,
and those called through pointers (the next definitions, mostly), count as nothing: the
program would call them itself.  So does the search for the next definitions of all hooks:
it is made once, before the program's first instruction, on the main stack.
"""
import glob
import re
import sys

NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
LABEL = re.compile(r'([A-Za-z_][\w.$]*):')
BRANCH = re.compile(r'\s+(call|j\w+)\s+([A-Za-z_][\w.$]*)')
# where the stubs in shim/arch lead
DOORS = ['pprofshim_futex', 'pprofshim_taken_syscall', 'pprofshim_before_loader', 'pprofshim_before_filter']
AT_START = ['real_fill']
# As include/pprofshim.h says of those that put a label together.
LIMITS = {'pprofshim_label_set': 840}


def read_calls(assembly):
    """{(function, what it calls)}; what it only jumps to is not among them."""
    found, name = set(), None
    for line in assembly:
        label, branch = LABEL.match(line), BRANCH.match(line)
        if label:
            name = label[1].removesuffix('.cold')
        elif branch and branch[1] == 'call':
            found.add((name, branch[2]))
    return found


def read(folder):
    """{function: bytes}, {function: {(what it calls or jumps to, whether its own frame stays)}}"""
    size, calls = {}, {}
    for name in glob.glob(folder + '/**/*.ci', recursive=True):
        with open(name) as f:
            text = f.read().replace('"*', '"')  # a star: the name was given by __asm__()
        with open(name[:-3] + '.s') as f:
            called = read_calls(f)
        size.update((title, int(n)) for title, n in NODE.findall(text))
        for source, target in EDGE.findall(text):
            stays = (source.split(':')[-1], target.split(':')[-1]) in called
            calls.setdefault(source, set()).add((target, stays))
    return size, calls


def deepest(name, size, calls, known, on_way=()):
    """(bytes, names) of the way from here; a circle is followed once."""
    if name not in known:
        ways = [(size.get(name, 0), ())]
        for c, stays in sorted(calls.get(name, ())):
            if c != name and c not in on_way:
                n, way = deepest(c, size, calls, known, on_way + (name,))
                ways.append((n + size.get(name, 0) * stays, way))
        n, way = max(ways)
        known[name] = n, (name.split(':')[-1],) + way
    return known[name]


def main(folder, limit):
    with open('shim/exports.txt') as f:
        hooks = [line.split('@')[0] for line in f.read().split()] + DOORS
    size, calls = read(folder)
    known = {name: (0, ()) for name in AT_START}
    ways = sorted((deepest(h, size, calls, known), h) for h in hooks if h in size)
    if len(ways) < 100:
        print('FAIL stack          only %d hooks are known: was this made by gcc?' % len(ways))
        return 1
    over = [(n, way) for (n, way), h in ways if n > LIMITS.get(h, limit)]
    for n, way in over:
        print('FAIL stack          %d bytes: %s' % (n, ' > '.join(way)))
    (n, way), _ = max(w for w in ways if w[1] not in LIMITS)
    print('%s stack          %d hooks take %d bytes of the stack at most, limit %d: %s' % (
        'FAIL' if over else 'ok  ', len(ways), n, limit, ' > '.join(way)))
    return bool(over)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
