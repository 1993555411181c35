"""libc-test, which musl is tested with: small programs that each hold a libc to what it promises,
and to what it once got wrong.  No distribution has it; a tree of it is named by LIBC_TEST_SRC."""
import glob
import os

import ab
import programs

NAME = 'libc-test'
FOLDERS = ['functional', 'regression']  # the third, math, calls nothing that we hook
FLAGS = ['-std=c99', '-D_POSIX_C_SOURCE=200809L', '-D_FILE_OFFSET_BITS=64', '-fno-builtin', '-frounding-math', '-g',
         '-rdynamic', '-Wl,-rpath,$ORIGIN', '-pthread', '-lm', '-lrt', '-lcrypt', '-ldl', '-lresolv', '-lutil']
# Load such an object by its path in the tree, which is built elsewhere here; with glibc the last
# one takes memory without end.
LEFT_OUT = ['functional/tls_init_dlopen', 'functional/tls_align_dlopen', 'regression/setvbuf-unget']
# Linked with one of the objects that others of them load.
LINKED = {'functional/tls_align': 'tls_align_dso'}


def objects(tree, out):
    """The shared objects that tests load, where they look for them."""
    sources = {os.path.basename(s)[:-2] + '.so': [s, '-shared', '-fPIC']
               for folder in FOLDERS for s in glob.glob('%s/src/%s/*_dso.c' % (tree, folder))}
    return programs.build(sources, out, ['-I' + tree + '/src/common', '-g'])


def run(side, only):
    tree = os.environ.get('LIBC_TEST_SRC')
    if not tree:
        raise ab.Skip('LIBC_TEST_SRC names no tree of it')
    if not os.path.isdir(tree + '/src/common'):
        raise ab.Skip('%s has no src/common' % tree)
    out = os.path.join(ab.kept('libc_test'), 'programs')
    loaded = objects(tree, out)
    common = [s for s in glob.glob(tree + '/src/common/*.c') if not s.endswith('/runtest.c')]
    wanted = {os.path.relpath(s, tree + '/src')[:-2]: [s, *common] for folder in FOLDERS
              for s in glob.glob('%s/src/%s/*.c' % (tree, folder)) if not s.endswith('_dso.c')}
    for name, library in LINKED.items():
        wanted.get(name, []).append(loaded.get(library + '.so', ''))
    wanted = {name: s for name, s in wanted.items() if name not in LEFT_OUT}
    built = programs.build(wanted, out, ['-I' + tree + '/src/common', *FLAGS])
    return programs.run(side, built, only)
