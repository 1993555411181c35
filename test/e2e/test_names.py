#!/usr/bin/env python3
"""Names and stacks of one chain of functions, in the many ways in which its file can be made.

Each way is a program that runs under the shim while profiles are taken, all at the same time.
Right is burn < leaf < mid < main in nine tenths of the sampled time: one tick in thousands meets
the few instructions outside of burn(), so that three of 25 do so with a probability below 1e-6.

Seen to fail against:
  a header looked for at the load address alone: [libchain.so] < [truncated]
  build ids cut at 32 bytes on one side of a comparison, refused on the other: all [long_id]
  four ranges of code for an object, more forgotten without a word
  names of D as they are; of two long names that are equal in 1024 bytes, one
  names cut at the first @: leaf and mid both *Shape(Int32)
  /proc/self/exe taken for the program when the loader was started: all [ld-linux-x86-64.so.2]
  debug sections packed by zstd or in the older form: names without lines
  .gnu_debugdata, which was not read: all [mini]
  the return from a handler: [libc.so.6] in between, or, by code of the program's, the end
  files that are opened when names are wanted: all [shut_in] after a chroot and the like
  frames larger than a copy of the stack: burn < leaf < large < [truncated]
  code that no loaded object has: [anon] < [anon] < main, and [names_made]
  our own code under its bare names (ours)
  unwind data without a table to search it with: burn < [truncated]
  the end of a stack of makecontext(): ... < [libc.so.6] < [truncated]
  stubs of lld and mold, which have no unwind data: tiny@plt < [truncated]
  files in memory and files that are deleted, loaded as plugins: [3] < [3] < [3] < chain
  debug information that goes on in other files (.dwo, .dwp, dwz -m): leaf < mid < main
"""
import glob
import http.client
import os
import shutil
import signal
import subprocess
import threading
import time

import harness
import pprof_reader
from harness import ROOT, Target, check, poll, run, skip

SOURCE = os.path.join(ROOT, 'test/fixtures/names_chain.c')
LIBRARY = os.path.join(ROOT, 'test/fixtures/names_chain_plugin.c')
LOADER = '/lib64/ld-linux-x86-64.so.2'
CHAIN = ['burn', 'leaf', 'mid', 'main']


def path(name):
    return os.path.join(harness.work, name)


def cc(name, *options, source=SOURCE):
    """Builds a program; its path, or None when the tools cannot."""
    r = subprocess.run([os.environ.get('CC', 'gcc'), '-O2', '-g', source, '-o', path(name)] +
                       list(options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        skip(name, 'not built: ' + (r.stdout.splitlines() or ['?'])[-1])
    return path(name) if r.returncode == 0 else None


def stacks_of(profiles):
    """(names from the leaf on, nanoseconds) of all that was sampled."""
    return [(list(p.names(s.locations)), s.values[p.index(None)])
            for p in profiles for s in p.samples
            if list(p.names(s.locations))[:1] != ['[unsampled]']]


def sampled(profiles):
    return sum(ns for _, ns in stacks_of(profiles))


def share(profiles, chain):
    """How much of the sampled time has stacks that begin with `chain`."""
    of_chain = sum(ns for names, ns in stacks_of(profiles)
                   if [n if n in chain else n.split('.')[0] for n in names[:len(chain)]] == chain)
    return of_chain / (sampled(profiles) or 1)


def lines_of(profiles, name):
    """The line numbers that the function of that name has."""
    return {line.line for p in profiles for l in p.locations for line in l.lines
            if p.function_by_id[line.function].name.split('.')[0] == name}


def common(profiles):
    return [' < '.join(names[:6]) for names, _ in
            sorted(stacks_of(profiles), key=lambda s: -s[1])[:3]]


class Way:
    """One way of making or starting the program."""

    def __init__(self, what, command, chain=CHAIN, after=None, lines=None, allocs=None, counter=None):
        self.what, self.command, self.chain, self.after = what, command, chain, after
        self.lines = lines  # a function that is to have some
        self.allocs = allocs  # another chain, in the profile of allocations
        self.counter = counter  # one that is to have moved; None: what it would count is not so
        self.counted = None
        self.allocated = []
        self.profiles = []
        self.thread = threading.Thread(target=self.look)

    def look(self):
        with Target(*self.command) as t:
            self.pid = t.pid
            if t.wait_ready():
                if self.after:
                    self.after()
                self.profile(t)
                if self.allocs:
                    self.allocated = [pprof_reader.parse(t.fetch('allocs'))]
                if self.counter:
                    self.counted = t.counter(self.counter)

    def profile(self, t):
        """As often as it takes on a crowded machine until 25 ticks came."""
        for _ in range(20):
            try:
                blob = t.fetch('profile?seconds=1&hz=500', timeout=60)
            except (ConnectionError, http.client.IncompleteRead):
                # unshare() is made without our thread; one that crashed is gone for good
                time.sleep(0.1)
                continue
            if blob:
                self.profiles.append(pprof_reader.parse(blob))
            if sampled(self.profiles) > 50e6:
                return

    def judge(self):
        for file in glob.glob('/tmp/*-%d.*' % self.pid):  # where a runtime tells names
            os.remove(file)
        if not check('%s: profiles came' % self.what, self.profiles):
            return
        p = self.profiles[0]
        problems = pprof_reader.check(p) or p.problems
        check('%s: well formed' % self.what, not problems, problems)
        got = share(self.profiles, self.chain)
        check('%s: the chain is whole' % self.what, got > 0.9, (got, common(self.profiles)))
        if self.allocs:
            got = share(self.allocated, self.allocs)
            check('%s: so it is where it allocates' % self.what, got > 0.9, (got, common(self.allocated)))
        if self.lines:
            check('%s: %s has lines' % (self.what, self.lines),
                  lines_of(self.profiles, self.lines) - {0})
        if self.counter:
            check('%s: %s says so' % (self.what, self.counter), self.counted)


def try_all(ways):
    for w in ways:
        w.thread.start()
    for w in ways:
        w.thread.join()
        w.judge()


def library_elsewhere():
    lib = cc('libchain.so', '-shared', '-fPIC', '-Wl,-Ttext-segment=0x20000', source=LIBRARY)
    main = path('uses_chain.c')
    with open(main, 'w') as f:
        f.write('void chain(void);\nint main(void)\n{\n\tchain();\n\treturn 1;\n}\n')
    name = lib and cc('uses_chain', lib, '-Wl,-rpath,' + harness.work, source=main)
    return name and Way('a library whose first segment is not at 0', [name],
                        ['burn', 'leaf', 'mid', 'chain'])


def segments_of_code():
    """leaf() in the last of six executable segments."""
    more = path('segments.c')
    with open(more, 'w') as f:
        for i in range(5):
            f.write('__attribute__((section(".text_%d"), used)) static void f%d(void) { }\n' % (i, i))
        f.write('#define PLACE __attribute__((section(".text_5")))\n#include "%s"\n' % SOURCE)
    name = cc('segments', '-no-pie', source=more,
              *['-Wl,--section-start=.text_%d=0x6%d000000' % (i, i) for i in range(6)])
    return name and Way('six segments of code', [name])


def id_of(size):
    name = cc('id_of_%d' % size, '-Wl,--build-id=0x' + 'ab' * size)
    return name and Way('a build id of %d bytes' % size, [name])


def no_table_to_search():
    name = cc('no_header', '-Wl,--no-eh-frame-hdr')
    return name and Way('no .eh_frame_hdr', [name])


def no_table_in_a_library():
    lib = cc('libbare.so', '-shared', '-fPIC', '-Wl,--no-eh-frame-hdr', source=LIBRARY)
    name = lib and cc('uses_bare', lib, '-Wl,-rpath,' + harness.work, source=path('uses_chain.c'))
    return name and Way('no .eh_frame_hdr in a library', [name], ['burn', 'leaf', 'mid', 'chain'])


def table_left_out():
    """As the linker writes the header when it cannot read all of .eh_frame: without encodings."""
    name = cc('omitted')
    if not name:
        return None
    r = subprocess.run(['objcopy', '--dump-section', '.eh_frame_hdr=' + path('hdr'), name, path('copy')])
    with open(path('hdr'), 'rb') as f:
        head = f.read()
    with open(name, 'r+b') as f:
        at = f.read().index(head)
        f.seek(at + 2)
        f.write(b'\xff\xff')
        f.seek(at + 8)
        f.write(bytes(len(head) - 8))
    check('a header is emptied', r.returncode == 0)
    return Way('a header without a table', [name])


def started_by_the_loader():
    if not os.path.exists(LOADER):
        return skip('started by the loader', 'no ' + LOADER)
    name = cc('by_loader')
    return name and Way('started by the loader', [LOADER, name])


def renamed_while_it_runs():
    name = cc('named')
    return name and Way('renamed while it runs', [name],
                        after=lambda: os.rename(name, path('renamed')))


def started_by_a_link():
    name = cc('linked_to')
    os.symlink(name, path('link'))
    return name and Way('started by a symbolic link', [path('link')])


def renamed(what, file, leaf, mid, shown):
    """The names that another language's compiler gives; symbols are renamed, for want of it."""
    name = cc('before_' + file)
    if not name:
        return None
    r = subprocess.run(['objcopy', '-g', '--redefine-sym', 'leaf=' + leaf, '--redefine-sym',
                        'mid=' + mid, name, path(file)])
    check('objcopy renames', r.returncode == 0)
    return Way(what, [path(file)], ['burn', *shown, 'main'])


def names_with_at():
    names = ['*Shape(Int32)@Shape(T)#leaf<Int32>:Nil', '*Shape(Int32)@Shape(T)#mid:UInt64']
    return renamed('names with @ that is no version', 'at', *names, names)


def names_of_d():
    return renamed('names of D', 'd_names', '_D1d__T4leafTiZQiFNaNbNiNfiZi', '_D1d5Shape3midMFZv',
                   ['d.leaf!(int).leaf(int)', 'd.Shape.mid()'])


class LongNames(Way):
    """leaf and mid have names that differ only in the middle: of 3000 bytes, or of 9000."""

    def judge(self):
        names = {n for names, _ in stacks_of(self.profiles) for n in names if 'aaaaaaaa' in n}
        check('%s: two stay two' % self.what, len(names) == 2, {n[:20] for n in names})


def long_names(size):
    a, b = 'a' * size, 'a' * (size // 2) + 'b' + 'a' * (size - size // 2 - 1)
    way = renamed('names of %d bytes' % size, 'long_%d' % size, a, b, [])
    return way and LongNames(way.what, way.command)


def packed_by(form):
    name = cc('packed_' + form, '-Wl,--compress-debug-sections=' + form)
    return name and Way('debug sections packed by ' + form, [name], lines='burn')


def mini_debuginfo():
    """Stripped, with .gnu_debugdata: what find-debuginfo of Fedora and RHEL leaves."""
    name = cc('whole')
    if not name or not shutil.which('xz'):
        return skip('mini debuginfo', 'no xz')
    r = subprocess.run(['sh', '-ec', '''
        nm whole --format=posix --defined-only | awk '$2 == "T" || $2 == "t" { print $1 }' | sort >keep
        objcopy --only-keep-debug whole debug
        objcopy -S --remove-section .comment --keep-symbols=keep debug small
        xz small
        objcopy -S --add-section .gnu_debugdata=small.xz whole mini'''], cwd=harness.work)
    check('a mini debuginfo is made', r.returncode == 0)
    return Way('mini debuginfo', [path('mini')])


INLINED = ['tiny_inner', 'tiny_outer', 'leaf', 'mid', 'main']


def inlined(what, name, options, then='true', parts=True, tool='sh'):
    """names_inlined.c, whose debug information goes on in other files once `then` has run."""
    if not shutil.which(tool):
        return skip(what, 'no ' + tool)
    for copy in (name, name + '_other'):  # dwz wants two
        shutil.copy(os.path.join(ROOT, 'test/fixtures/names_inlined.c'), path(copy + '.c'))
        r = subprocess.run([os.environ.get('CC', 'gcc'), '-O2', *options, copy + '.c', '-o', copy],
                           cwd=harness.work, stderr=subprocess.DEVNULL)
        if r.returncode:
            return skip(what, 'not built')
    r = subprocess.run(['sh', '-ec', then.replace('NAME', name)], cwd=harness.work, stderr=subprocess.PIPE, text=True)
    if r.returncode:
        return skip(what, (r.stderr.splitlines() or ['?'])[-1])
    return Way(what, [path(name)], INLINED if parts else INLINED[2:], lines=INLINED[0 if parts else 2],
               counter=None if parts else 'symbol_parts_missing')


def parts_of_debug_information():
    dwz = 'dwz %s -m NAME.shared NAME NAME_other'
    return [inlined('split, DWARF 5', 'split5', ['-gdwarf-5', '-gsplit-dwarf']),
            inlined('split, DWARF 4, packed', 'split4', ['-gdwarf-4', '-gsplit-dwarf', '-gz']),
            inlined('split, the files gone', 'split_gone', ['-gdwarf-5', '-gsplit-dwarf'], 'rm NAME*.dwo', parts=False),
            inlined('split, in a package', 'package', ['-gdwarf-4', '-gsplit-dwarf'],
                    'dwp -e NAME && rm NAME*.dwo', tool='dwp'),
            inlined('split, in a package that is packed', 'packed_package', ['-gdwarf-4', '-gsplit-dwarf'],
                    'dwp -e NAME && rm NAME*.dwo && objcopy --compress-debug-sections NAME.dwp', tool='dwp'),
            inlined('shared by two', 'shared', ['-g'], dwz % '', tool='dwz'),
            inlined('shared by two, in the form of DWARF 5', 'shared5', ['-gdwarf-5'], dwz % '--dwarf-5', tool='dwz'),
            inlined('shared by two, and gone', 'shared_gone', ['-g'], dwz % '' + ' && rm NAME.shared', parts=False, tool='dwz'),
            inlined('shared by two, and another one', 'shared_else', ['-g'],
                    dwz % '' + ' && objcopy --update-section .note.gnu.build-id=/dev/null NAME.shared', parts=False, tool='dwz')]


def test_debug_information_that_goes_on_in_other_files():
    try_all([w for w in parts_of_debug_information() if w])


LARGE = '''
#include "%s"
#include <pthread.h>
#include <stdlib.h>
static KEEP void work(void) { char *volatile p = malloc(100000); burn(); free(p); }
static KEEP void large(void) { volatile char b[FRAME]; b[0] = b[FRAME - 1] = 1; work(); b[0]++; }
static KEEP void between(void) { large(); NO_TAIL; }
static KEEP void second(void) { volatile char b[FRAME]; b[0] = b[FRAME - 1] = 1; between(); b[0]++; }
static KEEP void above(void) { second(); NO_TAIL; }
static void *run(void *arg) { for (;;) above(); return arg; }
int main(void)
{
    pthread_t t;
    leaf(); mid();
    return pthread_create(&t, NULL, run, NULL) || pthread_join(t, NULL);
}
'''


def frame_of(size):
    source = path('large.c')
    with open(source, 'w') as f:
        f.write(LARGE % (os.path.splitext(SOURCE)[0] + '.h'))
    name = cc('frame_of_%d' % size, '-pthread', '-DFRAME=%d' % size, source=source)
    return name and Way('two frames of %d bytes' % size, [name], ['burn', 'work', 'large', 'between', 'second', 'above', 'run'],
                        allocs=['work', 'large', 'between', 'second', 'above', 'run'])


def test_frames_larger_than_a_copy():
    try_all([w for w in map(frame_of, (20000, 100000, 600000, 3000000)) if w])


def in_all_pieces(p):
    """How much of burn()'s time leads through all frames to run()."""
    of_burn = [(names, ns) for names, ns in stacks_of([p]) if 'burn' in names]
    whole = [ns for names, ns in of_burn
             if 'run' in names and sum(n.startswith('deep') for n in names) >= 40]
    return sum(whole) / (sum(ns for _, ns in of_burn) or 1)


def test_stacks_in_pieces():
    program = cc('split_stack', '-fsplit-stack', '-pthread',
                 source=os.path.join(ROOT, 'test/fixtures/names_split_stack.c'))
    for whose in ('thread', 'main') if program else ():
        with Target(program, whose) as t:
            t.wait_ready()
            p = pprof_reader.parse(t.fetch('profile?seconds=1&hz=250'))
            check('split stack, %s: %d %% whole' % (whose, 100 * in_all_pieces(p)), in_all_pieces(p) >= 0.98,
                  common([p]))


def shut_in(how):
    """In a folder of its own, whose file nobody else may read and which may be hidden."""
    folder = path('shut_in_' + how)
    os.mkdir(folder)
    os.chmod(harness.work, 0o755)
    name = shutil.copy(harness.fixture('names_shut_in'), folder)
    return Way('shut in by ' + how, [name, how], lines='burn')


def test_a_server_that_shuts_itself_in_keeps_its_names():
    if os.geteuid() != 0:
        return skip('shut in', 'only root can')
    try_all([shut_in('chroot'), shut_in('user')] + ([shut_in('mounts')] if harness.may_mount() else []))


LOSS = 'cannot be read from where the process is'


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as f:
        return [int(n) for n in f.read().split()]


def fetched(target, what):
    """None while nobody answers."""
    try:
        return target.fetch(what)
    except OSError:
        return None


def test_a_worker_that_shut_itself_in_and_takes_over_says_what_it_has_not():
    """Its master names for it what the worker cannot. Seen to fail: names were gone, without a word."""
    if os.geteuid() != 0:
        return skip('a worker in a chroot', 'only root can')
    with Target('names_shut_in', 'worker') as t:
        check('ready', t.wait_ready())
        p = pprof_reader.parse(t.fetch('profile?seconds=1'))
        check('named by its master', p.cum('cpu')['burn'] > 0.5 * p.total('cpu'), p.cum('cpu'))
        check('and nothing is missing', not [c for c in p.comments if LOSS in c], p.comments)
        worker = children(t.pid)[0]
        os.kill(t.pid, signal.SIGKILL)
        p = pprof_reader.parse(poll(lambda: fetched(t, 'profile?seconds=1'), 10))
        check('it says so', [c for c in p.comments if LOSS in c] and not p.cum('cpu')['burn'],
              (p.comments, p.cum('cpu')))
        os.kill(worker, signal.SIGKILL)


def handled(*how):
    return Way(' '.join(('signal handlers that return',) + how), [harness.fixture('names_signal'), *how],
               ['burn', 'on_signal', '[signal handler]', 'syscall', 'raiser', 'main'])


def test_signal_handlers_are_walked_through():
    try_all([handled(), handled('long'), handled('short')])


def made(how, *chain, **more):
    name = harness.fixture('names_made')
    return Way('code that no object has: ' + how, [name, how], list(chain) or CHAIN, **more)


def ways_of_made_code():
    return [made('map', 'burn', 'made_inner', 'made_outer', 'run_made'),
            made('dump', 'burn', 'made_inner', 'made_outer', 'run_made', lines='made_inner'),
            made('bare', 'burn', 'made_inner', 'made_outer', 'run_made'),
            made('link', 'burn', '[anon]', '[anon]', 'run_made'),
            made('again')]


def test_code_that_no_object_has():
    try_all(ways_of_made_code())


def test_the_chain_is_whole_however_the_file_was_made():
    try_all([w for w in (library_elsewhere(), segments_of_code(), id_of(36), id_of(200),
                         started_by_the_loader(), renamed_while_it_runs(), started_by_a_link(), names_with_at(),
                         names_of_d(), long_names(3000), long_names(9000),
                         mini_debuginfo(), packed_by('zlib-gnu'), packed_by('zstd'),
                         no_table_to_search(), no_table_in_a_library(), table_left_out(), context())
             if w])


CONTEXT = '''
#include "%s"
#include <stdlib.h>
#include <ucontext.h>
static KEEP void in_context(void) { for (;;) mid(); }
int main(void)
{
    ucontext_t back, c;
    getcontext(&c);
    c.uc_stack.ss_sp = malloc(c.uc_stack.ss_size = 100000);
    c.uc_link = &back;
    makecontext(&c, in_context, 0);
    return swapcontext(&back, &c);
}
'''


class WholeWay(Way):
    def judge(self):
        super().judge()
        cut = sum(ns for names, ns in stacks_of(self.profiles) if names[-1] == '[truncated]')
        check('%s: to its end' % self.what, cut < 0.1 * sampled(self.profiles), common(self.profiles))


def context():
    source = path('context.c')
    with open(source, 'w') as f:
        f.write(CONTEXT % (os.path.splitext(SOURCE)[0] + '.h'))
    name = cc('context', source=source)
    return name and WholeWay('the stack of a context', [name], ['burn', 'leaf', 'mid', 'in_context'])


NAMELESS = '''
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int is_memory = strcmp(argv[2], "memory") == 0;
    int fd = is_memory ? memfd_create("plugin", 0) : open(argv[1], O_RDONLY), in;
    char path[64];
    void (*chain)(void), *plugin;

    if (is_memory && ((in = open(argv[1], O_RDONLY)) < 0 || sendfile(fd, in, NULL, 1 << 30) < 0))
        return 2;
    snprintf(path, sizeof(path), "/proc/self/fd/%%d", fd);
    plugin = dlopen(is_memory ? path : argv[1], RTLD_NOW);
    if (!plugin || close(fd) || (!is_memory && unlink(argv[1])))
        return 3;
    chain = (void (*)(void))dlsym(plugin, "chain");
    chain();
    return argc;
}
'''


def may_open_mapped():
    with open('/proc/self/maps') as f:
        mapping = next(line.split()[0] for line in f if '/' in line)
    try:
        os.close(os.open('/proc/self/map_files/' + mapping, os.O_RDONLY))
    except OSError:
        return False
    return True


def nameless(how):
    with open(path('nameless.c'), 'w') as f:
        f.write(NAMELESS.replace('%%', '%'))
    lib = cc('nameless_%s.so' % how, '-shared', '-fPIC', source=LIBRARY)
    name = lib and cc('nameless', '-D_GNU_SOURCE', source=path('nameless.c'))
    return name and Way('a plugin whose file is ' + how, [name, lib, how], ['burn', 'leaf', 'mid', 'chain'])


def test_files_without_a_name():
    if not may_open_mapped():
        return skip('files without a name', 'the kernel does not let us open what is mapped')
    try_all([w for w in (nameless('memory'), nameless('deleted')) if w])


STUBS = '''
void tiny(void);
int main(void)
{
    for (;;)
        tiny();
}
'''


class StubsWay(WholeWay):
    """Half of the time and more is in the stub and in what it leads to."""

    def judge(self):
        super().judge()
        stub = sum(ns for names, ns in stacks_of(self.profiles) if names[0] in ('tiny@plt', 'tiny$plt'))
        check('%s: it is met' % self.what, stub > 0, common(self.profiles))


def stubs_by(linker):
    """Calls between objects, of which the linker's stubs may have no unwind data."""
    if not shutil.which('ld.' + linker):
        return skip('stubs by ' + linker, 'no ld.' + linker)
    for name, text in (('tiny.c', 'void tiny(void) { }'), ('stubs.c', STUBS)):
        with open(path(name), 'w') as f:
            f.write(text)
    lib = cc('libtiny_%s.so' % linker, '-shared', '-fPIC', source=path('tiny.c'))
    name = lib and cc('stubs_' + linker, lib, '-fuse-ld=' + linker, '-Wl,-rpath,' + harness.work,
                      source=path('stubs.c'))
    return name and StubsWay('stubs by ' + linker, [name], [])


def test_stubs_of_linkers():
    try_all([w for w in map(stubs_by, ('bfd', 'gold', 'lld', 'mold')) if w])


ALLOCATES = """
#include <stdlib.h>
__attribute__((noinline)) static void request(void)
{
	void *volatile p = malloc(600000);
	free(p);
}
int main(void)
{
	for (;;)
		request();
}
"""


def test_our_own_code_says_so():
    """Each of its allocations is a sample of the heap, and most of its time is ours."""
    source = path('allocates.c')
    with open(source, 'w', encoding='utf-8') as f:
        f.write(ALLOCATES)
    program = cc('allocates', source=source)
    if not program:
        return
    with Target(program) as t:
        if not check('the allocating program answers', t.wait_ready()):
            return
        p = pprof_reader.parse(t.fetch('profile?seconds=1&hz=500'))
    names = [n for stack, _ in stacks_of([p]) for n in stack]
    check('our code has our prefix', any(n.startswith('pprofshim:') for n in names), sorted(set(names)))
    check('and none goes without', not {'site_at', 'hook_walk', 'heap_record'} & set(names),
          sorted(set(names)))
    check('nor has the program\'s', 'request' in names and 'main' in names, sorted(set(names)))


run(test_our_own_code_says_so, test_stacks_in_pieces, test_files_without_a_name, test_stubs_of_linkers, test_debug_information_that_goes_on_in_other_files,
    test_the_chain_is_whole_however_the_file_was_made, test_frames_larger_than_a_copy,
    test_a_worker_that_shut_itself_in_and_takes_over_says_what_it_has_not, test_signal_handlers_are_walked_through, test_a_server_that_shuts_itself_in_keeps_its_names, test_code_that_no_object_has)
