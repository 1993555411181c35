#!/usr/bin/env python3
"""Languages with stacks, code and signals of their own, all profiles at their highest rate (H12, H14, H48).

Seen to fail against:
  go         a handler that runs on the stack it finds (ours): goroutines' stacks are 2 KiB, memory
             beyond them was overwritten
  node --cpu-prof, context, onstack  a handler that copies whatever SP points to: SIGSEGV
  alternate stacks, erlang  a handler that asks for the alternate stack where a Go runtime is (ours):
             SIGSEGV in own-stack, full-own-prof and full-own-many, and at once in erlang.  One that
             always does: SIGSEGV in no-memory, without_room, switch; "handlers" overflowed
  luajit, node, fibers  no variant was found that they alone would show
"""
import json
import os
import re
import shutil
import subprocess

import harness
import pprof_reader
from everything import CPU, HIGHEST, Everything
from harness import (FIXTURES, ROOT, Target, check, plain, poll, run, same, seconds, skip,
                     with_and_without)


def milliseconds(short):
    return int(1000 * seconds(short))


def go_reads(body):
    """What Go's own reader says to it; '' if all is well."""
    if not shutil.which('go'):
        return ''
    path = os.path.join(harness.work, 'profile.pb.gz')
    with open(path, 'wb') as f:
        f.write(body)
    p = subprocess.run(['go', 'tool', 'pprof', '-raw', path], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    return '' if p.returncode == 0 and 'Samples:' in p.stdout else p.stderr[-300:] or p.stdout[-300:]


def is_profile(query, body):
    return query.split('?')[0] not in ('cmdline', 'shim', 'symbol') and 'debug' not in query and \
        body[:2] == b'\x1f\x8b'


def readable(what, bodies):
    """Every profile is well formed, by our reader and by Go's."""
    profiles = {q: b for q, b in bodies.items() if is_profile(q, b)}
    check('%s: profiles came' % what, CPU in profiles, sorted(bodies))
    for query, body in profiles.items():
        p = pprof_reader.parse(body)
        problems = pprof_reader.check(p, 'seconds' in query and not query.startswith('profile')) or p.problems
        check('%s: %s is well formed' % (what, query), not problems, problems[:3])
        if query in ('heap', CPU):
            same('%s: go tool pprof reads %s' % (what, query), go_reads(body), '')
    return profiles


def alone(name, *args, ends_when_told=False, **options):
    with Target(name, *args, preload='', **options) as t:
        t.say('go\n' * (1 + ends_when_told))
        return t.finish()


def under_everything(what, name, *args, says='', ends_when_told=False, **options):
    """The same status and output while all is fetched; the profiles.  `says`: what the program, which
    others execute, writes when it has begun.  `ends_when_told`: at a second line, which it gets
    when there was a CPU profile."""
    expected = alone(name, *args, ends_when_told=ends_when_told, **options)
    env = dict(HIGHEST, **options.pop('env', {}))
    with Target(name, *args, env=env, **options) as t:
        t.wait_for(says)
        t.wait_ready()
        with Everything(lambda: [t.port]) as e:
            c = t.open('profile?seconds=60&hz=1000')
            t.say()
            if ends_when_told:
                poll(lambda: CPU in e.bodies, 60)
                t.say()
            got = t.finish()
            c.close()
    check('%s: it does well alone' % what, expected.code == 0, expected)
    check(what, (got.code, got.out) == (expected.code, expected.out),
          'got %s, expected %r' % (repr(got)[:300], expected))
    return readable(what, e.bodies) if got.code == 0 else {}


def go_library():
    """The library in Go, built when its source is newer."""
    source, library = ROOT + '/test/fixtures/go', FIXTURES + '/hostile_go.so'
    newest = max(os.path.getmtime(os.path.join(source, f)) for f in os.listdir(source))
    if not os.path.exists(library) or os.path.getmtime(library) < newest:
        subprocess.run(['go', 'build', '-buildmode=c-shared', '-o', library, '.'], cwd=source,
                       check=True)
    return library


def test_a_library_in_go_with_small_stacks():
    """Threads run on goroutines' stacks, where a signal has no room."""
    if not shutil.which('go'):
        return skip('go', 'not installed')
    for late in (), ('late',):
        under_everything('a library in Go %s' % ' '.join(late), 'hostile_go', go_library(),
                         milliseconds(2), *late)


LUA = '''
io.read('*l')
local n, stop = 0, os.clock() + %f
local function fib(k) if k < 2 then return k end return fib(k - 1) + fib(k - 2) end
local co = coroutine.wrap(function()
	while true do
		local t = {}
		for i = 1, 300 do t[i] = tostring(i) .. 'x' end
		coroutine.yield(#table.concat(t))
	end
end)
local same = true
repeat
	n = n + fib(17)
	same = same and co() == 1092
	local ok, err = pcall(error, 'thrown')
	same = same and not ok and err == 'thrown'
	for i = 1, 20000 do n = bit.bxor(n, i * 3) end
until os.clock() > stop
print(same and 'same' or 'different')
'''


def test_luajit_compiled_and_interpreted():
    if not shutil.which('luajit'):
        return skip('luajit', 'not installed')
    path = os.path.join(harness.work, 'x.lua')
    with open(path, 'w') as f:
        f.write(LUA % seconds(2))
    for mode in ['-O3'] + (['-joff'] if seconds(2) > 6 else []):
        under_everything('luajit ' + mode, shutil.which('luajit'), mode, path)


NODE = '''
const { Worker, isMainThread, workerData } = require('worker_threads');
function fib(k) { return k < 2 ? k : fib(k - 1) + fib(k - 2) }
const told = isMainThread ? new Int32Array(new SharedArrayBuffer(4)) : workerData;
if (isMainThread && process.argv[2] != 'told') Atomics.store(told, 0, 1);
function work(end) {
	let bad = 0;
	while (Date.now() < end || !Atomics.load(told, 0)) {
		if (fib(18) !== 2584) bad++;
		const o = { a: [1, 2, { b: 'x'.repeat(300) }] };
		if (JSON.parse(JSON.stringify(o)).a[2].b !== o.a[2].b) bad++;
		new Function('a', 'return a * ' + (Date.now() %% 7))(3);
	}
	return bad;
}
const ms = %d;
if (!isMainThread) {
	require('worker_threads').parentPort.postMessage(work(Date.now() + ms));
} else {
	let lines = 0, left = 2, bad = 0;
	const ended = n => { bad += n; if (!--left) { console.log(bad, 'wrong'); process.exit(0) } };
	const line = () => {
		if (++lines == 2) Atomics.store(told, 0, 1);
		for (let i = 0; lines == 1 && i < 2; i++)
			new Worker(__filename, { workerData: told }).once('message', ended);
	};
	process.stdin.on('data', d => { for (const c of String(d)) if (c == '\\n') line() });
}
'''


def test_node_with_worker_threads():
    if not shutil.which('node'):
        return skip('node', 'not installed')
    path = os.path.join(harness.work, 'x.js')
    with open(path, 'w') as f:
        f.write(NODE % milliseconds(2))
    under_everything('node with workers', shutil.which('node'), path, 'told', ends_when_told=True)


def test_node_with_its_own_profiler():
    """V8's profiler takes SIGPROF; both end with samples."""
    if not shutil.which('node'):
        return skip('node --cpu-prof', 'not installed')
    path, out = os.path.join(harness.work, 'x.js'), os.path.join(harness.work, 'v8')
    with open(path, 'w') as f:
        f.write(NODE % 2000)
    under_everything('node --cpu-prof', shutil.which('node'), '--cpu-prof', '--cpu-prof-dir=' + out,
                     path, 'told', ends_when_told=True)
    counts = []
    for name in os.listdir(out):
        with open(os.path.join(out, name)) as f:
            counts.append(len(json.load(f)['samples']))
    check('both of its profiles hold samples', len(counts) >= 2 and min(counts) > 0, counts)


def test_small_stacks_and_fibers():
    for mode in 'fibers', 'context', 'onstack':
        under_everything('hostile_stacks ' + mode, 'hostile_stacks', mode, milliseconds(4))


ALTSTACKS = 'hostile_altstacks'
CARRIER = 1 << 32


def blocks_carrier(pid):
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(r'SigBlk:\s*(\w+)', f.read())[1], 16) & CARRIER


def test_handlers_and_ticks_on_alternate_stacks():
    """A stack that holds one signal's frame and not two; signals that the program takes for itself
    before or after; a thread without room elsewhere; stacks that come, go and change."""
    for mode in 'own-stack', 'full', 'full-own-prof', 'full-late-prof', 'full-own-many', 'switch', \
            'no-memory', 'handlers':
        got, _ = with_and_without('alternate stacks: ' + mode, ALTSTACKS, mode, milliseconds(0.3))
        if got.code:
            return


def test_threads_without_room_on_their_alternate_stacks_are_unsampled():
    with Target(ALTSTACKS, 'no-room', 1500) as t:
        t.wait_ready()
        c = t.open('profile?seconds=60&hz=1000')
        t.say('go\n' * 3)
        poll(lambda: t.counter('cpu_threads_small_alternate_stack') >= 3, 5)
        check('they are counted', t.counter('cpu_threads_small_alternate_stack') >= 3,
              t.counter('cpu_threads_small_alternate_stack'))
        p = pprof_reader.parse(t.fetch('profile?seconds=1&hz=1000'))
        check('and told', p.flat('cpu').get('[unsampled]', 0) > 0.5 * p.total(), p.flat('cpu'))
        same('alternate stacks without room', t.finish().seen(), ('status 0', 'alive\n', ''))
        c.close()


def test_alternate_stacks_that_just_hold_a_frame():
    """As Rust makes them for each thread, and as large as SIGSTKSZ once was. With AMX the kernel names four times what
    a frame takes of a program that does not use it.

    Seen to fail: all of it was [unsampled], on a machine with AMX.
    """
    with Target(ALTSTACKS, 'just-room', 60000) as t:
        if not check('ready', t.wait_ready()):
            return
        t.say()
        p = pprof_reader.parse(t.fetch('profile?seconds=1&hz=500'))
        lost = p.flat('cpu').get('[unsampled]', 0)
        check('they are sampled', lost < 0.1 * p.total('cpu'), (lost, p.total('cpu')))
    with_and_without('with the largest frame that there is', ALTSTACKS, 'tiles', milliseconds(0.3))


def test_one_alternate_stack_for_all_threads():
    """As varnish has it. Two ticks at once would overwrite each other there.

    Seen to fail: its worker died of SIGSEGV in the first seconds of a profile.
    """
    same_output = '24 faults, 54 stacks as set\nalive\n'
    got, _ = with_and_without('one alternate stack for all', ALTSTACKS, 'shared', milliseconds(0.3))
    same('faults, and what is read back', got.out, same_output)
    with Target(ALTSTACKS, 'shared', 5000) as t:
        if not check('ready', t.wait_ready()):
            return
        t.say()
        p = pprof_reader.parse(t.fetch('profile?seconds=1&hz=1000'))
        lost = p.flat('cpu').get('[unsampled]', 0)
        check('its threads are sampled', lost < 0.1 * p.total('cpu'), (lost, p.total('cpu')))
        same('and end as they should', t.finish().seen()[:2], ('status 0', same_output))


def test_jumps_out_of_handlers_on_alternate_stacks():
    """Without a mask, or with the one that was in force there: the signal of ticks stays open.

    Seen to fail: setgid() of another thread waited for ever, with no profile too.
    """
    for mode in 'jump', 'coroutine':
        got, _ = with_and_without('out of a handler: ' + mode, ALTSTACKS, mode, milliseconds(0.3))
        same('all threads have changed their ids', got.out, 'ids changed\nalive\n')


def test_a_life_in_a_handler_on_an_alternate_stack():
    """Seen to fail: all of it was [unsampled]."""
    with Target(ALTSTACKS, 'within', 60000) as t:
        if not check('ready', t.wait_ready()):
            return
        t.say()
        poll(lambda: blocks_carrier(t.pid), 5)
        p = pprof_reader.parse(t.fetch('profile?seconds=1'))
        whole = sum(s.values[1] for s in p.samples if s.stack[:3] == [
            '[between ticks]', 'works_in_handler', '[signal handler]'] and 'main' in s.stack and
                    s.stack.index('enters_handler') > 3)
        check('its time is in the handler, and where that was entered', whole == p.total('cpu') > 0,
              p.cum('cpu'))


ERLANG = '''
-module(hostile_work).
-export([go/1]).
fib(N) when N < 2 -> N;
fib(N) -> fib(N - 1) + fib(N - 2).
go([Ms]) ->
    io:format("begun~n"),
    io:get_line(""),
    End = erlang:monotonic_time(millisecond) + list_to_integer(atom_to_list(Ms)),
    Me = self(),
    [spawn(fun() -> work(Me, End, 0) end) || _ <- lists:seq(1, 20)],
    Bad = lists:sum([receive {done, N} -> N end || _ <- lists:seq(1, 20)]),
    io:format("~p wrong~n", [Bad]),
    halt().
work(Me, End, Bad) ->
    L = lists:sort([X * 7919 rem 1000 || X <- lists:seq(1, 500)]),
    Self = self(),
    spawn(fun() -> Self ! {fib, fib(16), lists:sum(L)} end),
    Now = receive {fib, 987, 250750} -> Bad; {fib, _, _} -> Bad + 1 end,
    case erlang:monotonic_time(millisecond) < End of
        true -> work(Me, End, Now);
        false -> Me ! {done, Now}
    end.
'''


def test_erlang_with_its_small_stacks():
    """Its JIT has the stack pointer in a process's stack of a few hundred words."""
    if not shutil.which('erlc'):
        return skip('erlang', 'not installed')
    with open(os.path.join(harness.work, 'hostile_work.erl'), 'w') as f:
        f.write(ERLANG)
    subprocess.run(['erlc', 'hostile_work.erl'], cwd=harness.work, check=True)
    under_everything('erlang', shutil.which('erl'), '-noshell', '-pa', harness.work, '-s',
                     'hostile_work', 'go', milliseconds(2), says='begun')


if __name__ == '__main__':
    run(test_a_library_in_go_with_small_stacks, test_luajit_compiled_and_interpreted,
        test_node_with_worker_threads, test_node_with_its_own_profiler,
        test_small_stacks_and_fibers, test_handlers_and_ticks_on_alternate_stacks,
        test_threads_without_room_on_their_alternate_stacks_are_unsampled,
        test_alternate_stacks_that_just_hold_a_frame, test_one_alternate_stack_for_all_threads, test_jumps_out_of_handlers_on_alternate_stacks,
        test_a_life_in_a_handler_on_an_alternate_stack, test_erlang_with_its_small_stacks)
