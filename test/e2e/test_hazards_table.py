#!/usr/bin/env python3
"""docs/HAZARDS.md names all hazards, and only files and tests that exist.

Seen to fail against: a row left out, a test renamed, a file that is not there.
"""
import glob
import os
import re

from harness import ROOT, check, run, same

TABLE = os.path.join(ROOT, 'docs/HAZARDS.md')


def text_of(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def rows():
    """(hazard, cells) of each row."""
    for line in text_of(TABLE).splitlines():
        m = re.match(r'\| \*\*(H\d\d+)\*\* ', line)
        if m:
            yield m.group(1), [cell.strip() for cell in line.strip('|').split(' | ')]


def test_every_hazard_has_its_row():
    found = [int(h[1:]) for h, _ in rows()]
    same('hazards, each once, in order', found, sorted(set(found)))
    same('those of the list, none left out', found[:131], list(range(1, 132)))
    check('no row was lost', len(found) >= 89, len(found))
    for hazard, cells in rows():
        check('%s: hazard, cure, test and result' % hazard, len(cells) == 4 and all(cells), cells)


def tests_in(files):
    """Names of the functions that test something."""
    return {name for f in files for name in re.findall(r'\btest_\w+', text_of(f))}


def test_names_exist():
    files = [f for pattern in ('test/*/*.py', 'test/*/*.sh', 'test/*/*.c', 'test/unit/*/*.c')
             for f in glob.glob(os.path.join(ROOT, pattern)) if f != os.path.realpath(__file__)]
    known = {os.path.basename(f) for f in files}
    functions = tests_in(files)
    for hazard, cells in rows():
        for name in re.findall(r'`([^`]+)`', ' '.join(cells)):
            if name.startswith('make '):
                target = name.split()[1]
                check('%s: %s' % (hazard, name),
                      re.search('^%s:' % target, text_of(ROOT + '/Makefile'), re.M))
            elif name.startswith('test_'):
                check('%s: %s' % (hazard, name), name in known or name in functions)
            else:
                check('%s: %s' % (hazard, name), os.path.exists(os.path.join(ROOT, name)))


if __name__ == '__main__':
    run(test_every_hazard_has_its_row, test_names_exist)
