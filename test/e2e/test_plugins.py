#!/usr/bin/env python3
"""Plugins that come and go: what they did keeps its name, and what stays is not disturbed.

Each plugin is a copy of one file in which the function work_00000 has the copy's number.

Seen to fail against:
  stacks kept by address and a global generation: of 2048 stacks and 30 unloads the leak that
  follows is [other stacks] (cycles); while a destructor runs all is [unknown stack] (slow)
  a table of 4096 objects in a life: later ones have no name (many, in the storm)
  modules told apart by address and the loader's record: a file written over is the old one
  (replaced)
  whatever comes while another thread unloads is unknown: 120 of 200 have names (two threads)
"""
import collections
import os
import re
import shutil

import harness
import pprof_reader
from harness import FIXTURES, Target, check, rounds, same

PLUGIN = os.path.join(FIXTURES, 'plugin_host_plugin.so')
RATE = {'PPROF_HEAP_RATE': '4096'}  # of blocks of 100,000 bytes one in 4e10 is not sampled


def folder(name):
    path = os.path.join(harness.work, name)
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    return path


def space_of(p, value, *names):
    """Bytes of stacks that begin with these names."""
    at = p.index(value)
    return sum(s.values[at] for s in p.samples
               if tuple(list(p.names(s.locations))[:len(names)]) == names)


def cpu_by_plugin(p):
    """function of the plugin -> CPU time in it."""
    at, found = p.index('cpu'), collections.Counter()
    for s in p.samples:
        names = list(p.names(s.locations))
        for name in {n for n in names if re.fullmatch(r'work_\d{5}', n)}:
            found[name] += s.values[at]
    return found


def by_plugin(p, value):
    """(function of the plugin, file) -> bytes allocated in it, and by its host from there."""
    at, found = p.index(value), collections.Counter()
    for s in p.samples:
        names = list(p.names(s.locations))
        for depth, name in enumerate(names[:2]):
            if re.fullmatch(r'work_\d{5}', name) and names[depth + 1] == 'go':
                found[name, ('own', 'host')[depth]] += s.values[at]
    return found


def unnamed(p, value):
    at = p.index(value)
    return {n: v for n, v in (('/'.join(list(p.names(s.locations))[:3]), s.values[at])
                              for s in p.samples) if n.startswith('[') and v}


def late_rounds(t):
    """Unloads that did not wait for the listener: what they did may be unknown."""
    return t.counter('dlclose_waits_timed_out') or 0


def mapped_bytes(t):
    return int(re.search(r'^mapped\D*(\d+)', t.shim_page(), re.M).group(1))


def come_and_go(count, threads, limit=60, bytes_each=None):
    """Every plugin is named, once for what it allocated and once for what its host did."""
    with Target('plugin_host', 'many', folder('many'), count, threads, env=RATE) as t:
        if not check('many: it ends', t.wait_for('ready', limit), t.output(1)[-300:]):
            return
        p = pprof_reader.parse(t.fetch('heap', 60))
        late, found = late_rounds(t), by_plugin(p, 'inuse_space')
        wrong = {k: v for k, v in found.items()
                 if v not in ((200000,) if k[1] == 'own' else (0, 100000))}
        check('many: each has what it allocated', not wrong, sorted(wrong.items())[:5])
        named = len({k[0] for k in found})
        # what is captured while another thread is in the loader's code may be another's: a
        # tenth of the time; one such in a plugin that is not awaited concerns that one only
        room = late if threads == 1 else 2 * late + count // 6
        check('many: all are named', named >= count - room, (named, count, late))
        check('many: none is among the other stacks',
              not p.flat('inuse_space')['[other stacks]'], unnamed(p, 'inuse_space'))
        files = {m.file for m in p.mappings if 'copy_' in m.file}
        check('many: each in its file', len(files) >= count - room, len(files))
        if bytes_each:
            mapped = mapped_bytes(t)
            check('many: the library is bounded', mapped < 8e6 + count * bytes_each, mapped)
            print(f'ok: many: {mapped / 1e6:.1f} MB mapped by the library')
        t.p.stdin.close()
        same('many: it ends well', t.finish().code, 0)
        print(f'ok: many: {named} of {count} plugins named, {late} unloads not awaited')


def test_what_stays_is_not_disturbed():
    with Target('plugin_host', 'cycles', PLUGIN, 30) as t:
        if not check('cycles: it ends', t.wait_for('ready', 60), t.output(1)):
            return
        p = pprof_reader.parse(t.fetch('heap'))
        leak = space_of(p, 'inuse_space', 'leak_here')
        # 600 MB of blocks of 100 kB at the default rate: 5 sigma are 80 MB
        check('cycles: the leak has its name', 520e6 < leak < 680e6, leak)
        same('cycles: none is among the other stacks', p.flat('alloc_space')['[other stacks]'], 0)
        stacks = [s for s in p.samples if list(p.names(s.locations))[0] == 'at_the_end']
        check('cycles: each stack is there once', 1900 < len(stacks) <= 2048, len(stacks))


def test_a_slow_destructor_blinds_nobody():
    with Target('plugin_host', 'slow', PLUGIN, env=RATE) as t:
        if not check('slow: it unloads', t.wait_for('unloading'), t.output(1)):
            return
        t.wait_ready()
        p = pprof_reader.parse(t.fetch('allocs?seconds=1'))
        named = space_of(p, 'alloc_space', 'work_here', 'work_until_ended')
        check('slow: the worker is seen', named > 50 * 200000, named)
        check('slow: whole', named >= 0.99 * p.total('alloc_space'), p.flat('alloc_space'))
        t.say()
        check('slow: it ends', t.wait_for('ready'))


def test_plugins_keep_their_names():
    come_and_go(rounds(400), 1)


def test_two_threads_load_and_unload():
    come_and_go(rounds(200), 2)


def test_a_coroutine_has_stacks_for_ever():
    """More stacks than there are records for those that the listener has to walk."""
    with Target('plugin_host', 'coroutine', 80000, env=RATE) as t:
        if not check('coroutine: it ends', t.wait_for('ready', 60), t.output(1)):
            return
        p = pprof_reader.parse(t.fetch('allocs'))
        first = space_of(p, 'alloc_space', 'co_alloc', 'co_handler', 'co_serve', 'co_body')
        late = space_of(p, 'alloc_space', 'co_alloc', 'co_handler', 'co_serve', 'co_serve_late')
        # where the ring is full for a moment, the caller alone is known
        check('coroutine: whole stacks at first', first > 80000 * 100000 / 10, first)
        check('coroutine: and late', late > 5000 * 100000 / 10, (late, first))
        print(f'ok: coroutine: {first / 8e7:.0f} % whole at first, {late / 5e6:.0f} % late')


def test_the_same_file_again_and_again():
    """Written over (the same inode), or replaced; the names of what went are lost with its file,
    and are those of the module; never those of what came to its place."""
    count = rounds(60)
    with Target('plugin_host', 'replaced', folder('replaced'), count, env=RATE) as t:
        if not check('replaced: it ends', t.wait_for('ready', 60), t.output(1)):
            return
        p = pprof_reader.parse(t.fetch('heap'))
        found = by_plugin(p, 'inuse_space')
        wrong = {k: v for k, v in found.items() if v != (200000 if k[1] == 'own' else 100000)}
        check('replaced: nobody has what others allocated', not wrong, wrong)
        last = f'work_{count - 1:05}'
        late = late_rounds(t)
        check('replaced: the last has its name', found[last, 'own'] or late, (found, late))


def allocated(mode, *args):
    """What was allocated by each plugin and from it, and the output, when the fixture is done."""
    with Target('plugin_host', mode, folder(mode), *args, env=RATE) as t:
        if not check(mode + ': it ends', t.wait_for('ready', 60), t.output(1)[-300:]):
            return {}, 0
        found, late = by_plugin(pprof_reader.parse(t.fetch('allocs')), 'alloc_space'), late_rounds(t)
        t.p.stdin.close()
        same(mode + ': it ends well', t.finish().code, 0)
        return found, late


def test_a_link_that_leads_to_the_next():
    """What has the name of the link is another file each time, as with current -> release-5."""
    count = rounds(40)
    found, late = allocated('linked', count)
    wrong = {k: v for k, v in found.items() if v != (200000 if k[1] == 'own' else 100000)}
    check('linked: nobody has what others allocated', not wrong, wrong)
    # the file that a name leads to is read when names are asked for: that of the last one
    check('linked: the last has its name', found[f'work_{count - 1:05}', 'own'] or late, found)


def test_one_that_is_never_unloaded():
    found, late = allocated('stays')
    want = {('work_00000', 'own'): 11 * 200000, ('work_00001', 'own'): 200000,
            ('work_00001', 'host'): 100000}
    check('stays: all is named', dict(found) == want or late, (found, late))


def test_a_destructor_closes_another_plugin():
    found, late = allocated('nested')
    want = {(f'work_0000{i}', who): size for i in range(3)
            for who, size in (('own', 200000), ('host', 100000))}
    wrong = {k: v for k, v in found.items() if want.get(k) != v}
    check('nested: nobody has what others allocated', not wrong, wrong)
    # what the destructor does in the other plugin comes while an unload is under way
    missing = {k for k in want if k not in found and k[0] != 'work_00001'}
    check('nested: what others did is named', not missing or late, (missing, late))


def test_cpu_time_of_plugins():
    """100 plugins use 20 ms each, one after the other: at 1000 Hz one without a tick in that
    time is one that the scheduler's own tick, 10 ms at most, did not meet."""
    with Target('plugin_host', 'burn', folder('burn'), 100, 1) as t:
        if not check('burn: it waits', t.wait_for('waits'), t.output(1)):
            return
        t.say()
        p = pprof_reader.parse(t.fetch('profile?seconds=3&hz=1000'))
        check('burn: it ends', t.wait_for('ready', 30), t.output(1))
        found, late, total = cpu_by_plugin(p), late_rounds(t), p.total('cpu')
        named = sum(found.values())
        check('burn: the time is named', named > 0.9 * total - late * 20e6, (named, total, late))
        ran = named / 20e6  # in the window: a busy machine grants less time than it is long
        check('burn: each is there', len(found) >= 0.8 * ran - 1, (len(found), ran, late))
        most = found.most_common(1)[0] if found else ('none', 0)
        # a thread's stacks are brought to what its clock says: theirs that were not awaited as well
        check('burn: nobody has the time of others', most[1] < 60e6 + late * 20e6, (most, late))
        print(f'ok: burn: {len(found)} of 100 plugins, {named / max(total, 1):.0%} of the time, '
              f'{late} unloads not awaited')


if __name__ == '__main__':
    harness.run(test_what_stays_is_not_disturbed, test_a_slow_destructor_blinds_nobody,
                test_plugins_keep_their_names, test_two_threads_load_and_unload,
                test_a_coroutine_has_stacks_for_ever, test_the_same_file_again_and_again,
                test_a_link_that_leads_to_the_next, test_one_that_is_never_unloaded,
                test_a_destructor_closes_another_plugin, test_cpu_time_of_plugins)
