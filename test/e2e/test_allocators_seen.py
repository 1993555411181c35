#!/usr/bin/env python3
"""What allocators do besides malloc is counted, once, or the profile says that it is not.

Sums of blocks of 1000 bytes at a rate of 4096: each block is sampled with p = 0.217 and
then counts 1/p, so the sum of 20,000 has a deviation of 1.35 %; 8 % are six of them,
passed by chance once in 500 million times.
"""
import os
import subprocess

import harness
import pprof_reader
from harness import SHIM, Target, check, same

TOTAL = 20000 * 1000
ERROR = 0.08


def near(what, got, expected=TOTAL):
    return check(what, abs(got - expected) <= ERROR * expected, f'{got}, expected {expected}')


class Program(Target):
    """The fixture in one of its ways, at a rate of 4096 or another."""

    def __init__(self, *args, program='heap_allocators', preload=SHIM, rate=4096):
        super().__init__(program, *args, preload=preload, env={'PPROF_HEAP_RATE': str(rate)})

    def profile(self, page='heap'):
        self.wait_ready()
        check('the program has allocated', self.wait_for('ready'), self.output())
        return pprof_reader.parse(self.fetch(page))


def built(source, name):
    """A program of its own, from a text."""
    path = os.path.join(harness.work, name)
    subprocess.run(['g++', '-g', '-O2', '-x', 'c++', '-o', path, '-'], check=True,
                   input=source.encode())
    return path


def test_blocks_of_no_bytes_are_objects():
    with Program('zero', rate=1) as t:
        p = t.profile()
        same('objects of malloc(0)', p.cum('inuse_objects')['site_zero'], 20000)
        same('and their bytes', p.cum('inuse_space')['site_zero'], 0)
        t.say()
        same('it ends well', t.finish().code, 0)


def test_memory_of_the_process_is_told_beside_what_is_in_use():
    with Program('malloc') as t:
        for page in ('heap', 'allocs'):
            p = t.profile(page)
            told = [c for c in p.comments if c.startswith('In use here: ')]
            if not check(f'{page}: one comment of memory', len(told) == 1, p.comments):
                return
            words = told[0].split()
            same(f'{page}: bytes in use', int(words[3]), p.total('inuse_space'))
            with open(f'/proc/{t.pid}/status') as f:
                rss = [int(line.split()[1]) << 10 for line in f if line.startswith('RssAnon')][0]
            check(f'{page}: RssAnon',
                  words[5] == 'RssAnon:' and 0.8 * rss < int(words[6]) < 1.2 * rss, (told, rss))
        delta = pprof_reader.parse(t.fetch('heap?seconds=1'))
        same('a difference tells what is in use now', delta.comments[0].split()[:4],
             p.comments[0].split()[:4])
        same('nothing else is told', len(p.comments), 1)


POOL = r'''
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

static char pool[64 << 20], *at = pool;

void *operator new(std::size_t n) { char *p = at; at += (n + 15) & ~15UL; return p; }
void operator delete(void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}

static void *volatile keep;

int main()
{
	char line[16];
	for (int i = 0; i < 20000; i++)
		keep = new char[1000];
	puts("ready");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : 1;
}
'''


def test_an_operator_new_of_the_program_itself_is_told():
    with Program(program=built(POOL, 'own_pool')) as t:
        p = t.profile()
        check('the comment says so', any('own operator new' in c for c in p.comments), p.comments)
        t.say()
        same('it ends well', t.finish().code, 0)


if __name__ == '__main__':
    harness.run(test_blocks_of_no_bytes_are_objects,
        test_memory_of_the_process_is_told_beside_what_is_in_use,
        test_an_operator_new_of_the_program_itself_is_told)
