"""glibc's own tests of threads, cancellation, robust mutexes, fork and signals: those that build
outside of its tree."""
import glob
import os

import ab
import programs

NAME = 'nptl'
FOLDERS = ['nptl', 'sysdeps/pthread', 'signal', 'rt']
PATHS = ['SRCDIR', 'OBJDIR', 'INSTDIR', 'SLIBDIR', 'OBJDIR_ELF_LDSO', 'LIBDIR', 'BINDIR', 'SBINDIR', 'ROOTSBINDIR',
         'COMPLOCALEDIR']
FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-DTIMEOUTFACTOR=10', '-include', 'limits.h', '-O1', '-pthread',
         '-lrt', '-ldl', '-lm', *('-D%s_PATH="/tmp"' % path for path in PATHS)]
# Headers of glibc's tree that its tests include and that stand on their own.
HEADERS = ['include/intprops.h', 'include/scratch_buffer.h', 'include/array_length.h',
           'include/libc-diag.h', 'include/test-skeleton.c', 'test-skeleton.c',
           'sysdeps/x86_64/stackinfo.h', 'sysdeps/unix/sysv/linux/shlib-compat.h']


def headers(tree, at):
    """A folder to include from with no more of the tree in it than is named above."""
    os.makedirs(at, exist_ok=True)
    for name in ['support'] + HEADERS:
        link = os.path.join(at, os.path.basename(name))
        if os.path.exists(os.path.join(tree, name)) and not os.path.lexists(link):
            os.symlink(os.path.join(tree, name), link)
    after = [x for folder in FOLDERS for x in ('-idirafter', os.path.join(tree, folder))]
    return ['-I' + at, '-I' + os.path.join(at, 'support'), *after]


def support(tree, out, include):
    """The objects of glibc's test support that compile here, in an archive."""
    archive = os.path.join(out, 'libsupport.a')
    if not os.path.exists(archive):
        sources = {os.path.basename(s)[:-2]: [s, '-c'] for s in glob.glob(tree + '/support/*.c')
                   if not os.path.basename(s).startswith(('tst-', 'echo', 'test-', 'shell', 'links'))}
        objects = programs.build(sources, os.path.join(out, 'support.o'), include + FLAGS)
        ab.must(['ar', 'qcs', archive, *objects.values()])
    return archive


def run(side, only):
    tree = os.path.realpath(ab.source_of('glibc'))
    out = ab.kept('nptl')
    include = headers(tree, os.path.join(out, 'include'))
    archive = support(tree, out, include)
    wanted = {os.path.relpath(s, tree)[:-2]: [s, archive] for folder in FOLDERS
              for s in glob.glob('%s/%s/tst-*.c' % (tree, folder))}
    built = programs.build(wanted, os.path.join(out, 'programs'), include + FLAGS)
    return programs.run(side, built, only)
