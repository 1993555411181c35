#!/usr/bin/env python3
"""Reads a pprof profile and checks it against what its strictest readers demand.

    pprof_reader.py FILE [--check] [--delta] [--main PATH] [--since OLDER] [--top N]

--check prints every broken rule and exits with 1 if there is one.  The rules are
those of go tool pprof, Alloy, Pyroscope and Parca together: what one of them
refuses is refused here.  --delta allows what differences of profiles may have.
--since compares with an earlier scrape of a cumulative profile.

As a module: load(path) gives a Profile.  Only the standard library is used, and
nothing of the code under test.
"""
import argparse
import collections
import gzip
import os
import re
import struct
import sys
import time

SAMPLES_MAX = 16000
BYTES_MAX = 4 << 20
DEPTH_MAX = 1000
TYPES_MAX = 4

HEAP = [('alloc_objects', 'count'), ('alloc_space', 'bytes'),
        ('inuse_objects', 'count'), ('inuse_space', 'bytes')]
CONTENTION = [('contentions', 'count'), ('delay', 'nanoseconds')]
# Sample types, period type: what scrapers file profiles under.
KINDS = {
    'cpu': ([('samples', 'count'), ('cpu', 'nanoseconds')], ('cpu', 'nanoseconds')),
    'wall': ([('samples', 'count'), ('wall', 'nanoseconds')], ('wall', 'nanoseconds')),
    'heap': (HEAP, ('space', 'bytes')),
    'contention': (CONTENTION, ('contentions', 'count')),
    'goroutine': ([('goroutine', 'count')], ('goroutine', 'count')),
    'threadcreate': ([('threadcreate', 'count')], ('threadcreate', 'count')),
}
TIMED = ('cpu', 'wall')  # taken for a while, and no difference for that


# ---- the wire format

class Broken(Exception):
    """Bytes that are no profile."""


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Broken('a varint does not end')
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at


def fields(data):
    """Field number -> all its values: integers and bytes."""
    found = collections.defaultdict(list)
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        value, at = varint(data, at)
        if wire == 2:
            if at + value > len(data):
                raise Broken(f'field {number} is cut off')
            value, at = data[at:at + value], at + value
        elif wire != 0:
            raise Broken(f'field {number} has wire type {wire}')
        found[number].append(value)
    return found


def signed(n):
    return n - (1 << 64) if n >> 63 else n


def number(found, field):
    return signed(found[field][-1]) if found[field] else 0


def numbers(found, field):
    """A repeated number, packed or not."""
    result = []
    for value in found[field]:
        if isinstance(value, int):
            result.append(signed(value))
            continue
        at = 0
        while at < len(value):
            n, at = varint(value, at)
            result.append(signed(n))
    return result


# ---- the profile

ValueType = collections.namedtuple('ValueType', 'type unit')
Mapping = collections.namedtuple(
    'Mapping', 'id start limit offset file build_id '
    'has_functions has_filenames has_line_numbers has_inline_frames')
Location = collections.namedtuple('Location', 'id mapping address lines')
Line = collections.namedtuple('Line', 'function line')
Function = collections.namedtuple('Function', 'id name system_name file start_line')
Label = collections.namedtuple('Label', 'key text number unit')
Sample = collections.namedtuple('Sample', 'stack values labels locations')


class Profile:
    """Texts are looked up; ids stay as they are in the file.

    samples: stack (function names, leaf first, inlined ones too), values,
    labels (key -> text or number), locations (ids).
    """

    def __init__(self, data):
        self.size = len(data)
        self.problems = []
        top = fields(data)
        self.fields = top
        self.raw_strings = top[6]
        self.strings = [self.decode(i, s) for i, s in enumerate(top[6])]
        self.sample_types = [self.value_type(v) for v in top[1]]
        self.period_type = self.value_type(top[11][-1]) if top[11] else None
        self.period = number(top, 12)
        self.time_ns = number(top, 9)
        self.duration_ns = number(top, 10)
        self.comments = [self.text(n) for n in numbers(top, 13)]
        self.default_sample_type = self.text(number(top, 14))
        self.mappings = [self.mapping(fields(m)) for m in top[3]]
        self.functions = [self.function(fields(f)) for f in top[5]]
        self.locations = [self.location(fields(l)) for l in top[4]]
        self.location_by_id = {l.id: l for l in self.locations}
        self.function_by_id = {f.id: f for f in self.functions}
        self.labels = []
        self.samples = [self.sample(fields(s)) for s in top[2]]

    def problem(self, text):
        self.problems.append(text)

    def decode(self, index, raw):
        try:
            return raw.decode('utf-8')
        except UnicodeDecodeError:
            self.problem(f'string {index} is not UTF-8: {raw!r}')
            return raw.decode('utf-8', 'replace')

    def text(self, index):
        if 0 <= index < len(self.strings):
            return self.strings[index]
        self.problem(f'string {index} of {len(self.strings)}')
        return ''

    def value_type(self, data):
        f = fields(data)
        return ValueType(self.text(number(f, 1)), self.text(number(f, 2)))

    def mapping(self, f):
        n = [number(f, i) for i in range(11)]
        start, limit, offset = (x & (1 << 64) - 1 for x in n[2:5])
        return Mapping(n[1], start, limit, offset, self.text(n[5]), self.text(n[6]),
                       *(bool(x) for x in n[7:11]))

    def function(self, f):
        return Function(number(f, 1), self.text(number(f, 2)), self.text(number(f, 3)),
                        self.text(number(f, 4)), number(f, 5))

    def location(self, f):
        lines = [Line(number(l, 1), number(l, 2)) for l in map(fields, f[4])]
        return Location(number(f, 1), number(f, 2), number(f, 3) & (1 << 64) - 1, lines)

    def label(self, f):
        text = number(f, 2)
        return Label(self.text(number(f, 1)), self.text(text) if text else None,
                     number(f, 3), self.text(number(f, 4)))

    def sample(self, f):
        labels = [self.label(fields(l)) for l in f[3]]
        self.labels.append(labels)
        locations = numbers(f, 1)
        return Sample(self.names(locations), numbers(f, 2),
                      {l.key: l.number if l.text is None else l.text for l in labels}, locations)

    def names(self, locations):
        names = []
        for i in locations:
            location = self.location_by_id.get(i)
            for line in location.lines if location else []:
                function = self.function_by_id.get(line.function)
                names.append(function.name if function else '')
        return names

    def index(self, sample_type):
        """The column of a sample type, by name or number; default: as readers choose."""
        if isinstance(sample_type, int):
            return sample_type
        name = sample_type or self.default_sample_type
        for i, t in enumerate(self.sample_types):
            if t.type == name:
                return i
        return len(self.sample_types) - 1

    def total(self, sample_type=None):
        i = self.index(sample_type)
        return sum(s.values[i] for s in self.samples)

    def flat(self, sample_type=None):
        """Function name -> value of the samples whose leaf it is."""
        i, result = self.index(sample_type), collections.Counter()
        for s in self.samples:
            result[s.stack[0] if s.stack else ''] += s.values[i]
        return result

    def cum(self, sample_type=None):
        """Function name -> value of the samples that have it anywhere."""
        i, result = self.index(sample_type), collections.Counter()
        for s in self.samples:
            for name in set(s.stack):
                result[name] += s.values[i]
        return result

    def kind(self):
        for name, (types, _) in KINDS.items():
            if [tuple(t) for t in self.sample_types] == types:
                return name
        return None

    def keys(self):
        """How scrapers know a sample again: addresses and labels -> values, added up."""
        result = {}
        for s in self.samples:
            addresses = tuple(self.location_by_id[i].address for i in s.locations
                              if i in self.location_by_id)
            key = addresses, tuple(sorted(s.labels.items(), key=str))
            old = result.get(key)
            result[key] = [a + b for a, b in zip(old, s.values)] if old else list(s.values)
        return result


def parse(blob):
    """A Profile from the bytes of a file or of a response."""
    if blob[:2] != b'\x1f\x8b':
        raise Broken('not a gzip file')
    return Profile(gzip.decompress(blob))


def load(path):
    with open(path, 'rb') as f:
        return parse(f.read())


# ---- the rules

def elf_build_id(path):
    """The GNU build id of a file, '' if it has none, None if that cannot be known."""
    try:
        with open(path, 'rb') as f:
            data = f.read()
        phoff, = struct.unpack_from('<Q', data, 32)
        size, count = struct.unpack_from('<HH', data, 54)
        for i in range(count):
            kind, _, offset, _, _, length = struct.unpack_from('<IIQQQQ', data, phoff + i * size)
            if kind == 4:
                found = note_build_id(data[offset:offset + length])
                if found:
                    return found
        return ''
    except (OSError, struct.error):
        return None


def note_build_id(notes):
    at = 0
    while at + 12 <= len(notes):
        name_len, desc_len, kind = struct.unpack_from('<III', notes, at)
        name_at = at + 12
        desc_at = name_at + (name_len + 3 & ~3)
        if kind == 3 and notes[name_at:name_at + 4] == b'GNU\0':
            return notes[desc_at:desc_at + desc_len].hex()
        at = desc_at + (desc_len + 3 & ~3)
    return ''


def check_table(p):
    """String table, ids, limits of size."""
    if not p.raw_strings or p.raw_strings[0] != b'':
        yield 'string_table[0] is not ""'
    if len(set(p.raw_strings)) != len(p.raw_strings):
        yield 'a string is in the table twice'
    for name, table in (('mapping', p.mappings), ('location', p.locations),
                        ('function', p.functions)):
        if [x.id for x in table] != list(range(1, len(table) + 1)):
            yield f'{name} ids are not 1..{len(table)} in table order'
    for field, name in ((9, 'time_nanos'), (10, 'duration_nanos'), (12, 'period')):
        if len(p.fields[field]) > 1:
            yield f'{name} is there more than once: concatenated profiles'
    if len(p.samples) > SAMPLES_MAX:
        yield f'{len(p.samples)} samples, more than {SAMPLES_MAX}'
    if p.size > BYTES_MAX:
        yield f'{p.size} bytes uncompressed, more than {BYTES_MAX}'


def check_types(p, delta):
    if not 1 <= len(p.sample_types) <= TYPES_MAX:
        yield f'{len(p.sample_types)} sample types'
    names = [t for t in p.sample_types] + ([p.period_type] if p.period_type else [])
    for t in names:
        for word in t:
            if not re.fullmatch('[A-Za-z0-9_:]+', word):
                yield f'{word!r} is no legal name for a type or unit'
    kind = p.kind()
    if not kind:
        yield f'sample types that no dashboard knows: {p.sample_types}'
    elif p.period_type is None or tuple(p.period_type) != KINDS[kind][1]:
        yield f'period type {p.period_type} of a {kind} profile'
    if p.period <= 0:
        yield f'period {p.period}'
    if p.default_sample_type and p.default_sample_type not in [t.type for t in p.sample_types]:
        yield f'default sample type {p.default_sample_type!r} is none of the sample types'
    yield from check_times(p, kind, delta)


def check_times(p, kind, delta):
    if not 1577836800e9 < p.time_ns < (time.time() + 600) * 1e9:
        yield f'time_nanos {p.time_ns}'
    if (kind in TIMED or delta) and p.duration_ns <= 0:
        yield f'duration_nanos {p.duration_ns}'
    if kind not in TIMED and not delta and p.duration_ns:
        yield 'duration_nanos of a snapshot is not 0: readers take it for a difference'


def check_samples(p, delta):
    seen = set()
    for i, (s, labels) in enumerate(zip(p.samples, p.labels)):
        if len(s.values) != len(p.sample_types):
            yield f'sample {i} has {len(s.values)} values vs. {len(p.sample_types)} types'
        if not any(s.values):
            yield f'sample {i} has only zeros'
        if not delta and min(s.values, default=0) < 0:
            yield f'sample {i} has negative values'
        if any(n not in p.location_by_id for n in s.locations):
            yield f'sample {i} has a location that is not there'
        if len(s.locations) > DEPTH_MAX:
            yield f'sample {i} has {len(s.locations)} frames'
        yield from check_labels(i, labels)
        key = tuple(s.locations), tuple(sorted(labels, key=str))
        if key in seen:
            yield f'sample {i} has the stack and labels of another'
        seen.add(key)
    if len(p.keys()) != len(p.samples) and len(seen) == len(p.samples):
        yield 'two samples have the same addresses and labels'


def check_labels(i, labels):
    if len(labels) > 100:
        yield f'sample {i} has {len(labels)} labels'
    keys = [l.key for l in labels]
    if len(set(keys)) != len(keys):
        yield f'sample {i} has a label twice: {keys}'
    for l in labels:
        if not l.key or l.key.startswith('pprof::'):
            yield f'sample {i} has the label key {l.key!r}'
        if l.text is None and l.number == 0 and not l.unit:
            yield f'sample {i} label {l.key!r}: readers drop a zero without unit'


def check_locations(p):
    seen = set()
    for l in p.locations:
        where = f'location {l.id} ({l.address:#x})'
        if not l.lines:
            yield f'{where} has no line'
        for line in l.lines:
            if line.function not in p.function_by_id:
                yield f'{where} has a line of function {line.function}, which is not there'
        if not l.address:
            yield f'{where} has no address'
        if (l.mapping, l.address) in seen:
            yield f'{where} is there twice'
        seen.add((l.mapping, l.address))
        yield from check_where(p, l, where)


def check_where(p, l, where):
    """In its mapping; some readers break on a location without."""
    if not 1 <= l.mapping <= len(p.mappings):
        yield f'{where} is in mapping {l.mapping}, which is not there'
    else:
        m = p.mappings[l.mapping - 1]
        if not m.start <= l.address < m.limit:
            yield f'{where} is outside of mapping {m.id} {m.file}'


def check_functions(p):
    seen = set()
    for f in p.functions:
        if not f.name or not f.system_name:
            yield f'function {f.id} has no name'
        if len(f.name) > 65535:
            yield f'function {f.id} has a name of {len(f.name)} characters'
        if f[1:] in seen:
            yield f'function {f.id} {f.name} is there twice'
        seen.add(f[1:])


def check_mappings(p, main):
    if not p.mappings:
        yield 'no mapping'
        return
    first = p.mappings[0].file
    if main and os.path.realpath(first) != os.path.realpath(main):
        yield f'mapping 1 is {first}, not {main}'
    if first.startswith('[') or re.search(r'\.so(\.|$)', first):
        yield f'mapping 1 is {first}, not the main executable'
    rest = [m.start for m in p.mappings[1:]]
    if rest != sorted(rest):
        yield 'mappings are not in order of address'
    for m in p.mappings:
        yield from check_mapping(p, m)
    yield from check_overlaps(p)


def check_mapping(p, m):
    where = f'mapping {m.id} {m.file}'
    if not m.file or m.file.endswith(' (deleted)'):
        yield f'{where}: bad file name'
    if m.start >= m.limit or (m.start | m.limit | m.offset) % 4096:
        yield f'{where}: bad range {m.start:#x}-{m.limit:#x} at {m.offset:#x}'
    if m.build_id and not re.fullmatch('([0-9a-f]{2})+', m.build_id):
        yield f'{where}: build id {m.build_id!r}'
    if m.file.startswith('/'):
        on_disk = elf_build_id(m.file)
        if not m.build_id and on_disk:
            yield f'{where}: no build id, the file has {on_disk}'
        if m.build_id and on_disk and m.build_id != on_disk:
            yield f'{where}: build id {m.build_id}, the file has {on_disk}'
    yield from check_flags(p, m, where)


def check_flags(p, m, where):
    locations = [l for l in p.locations if l.mapping == m.id]
    lines = [line for l in locations for line in l.lines if line.function in p.function_by_id]
    if not locations:
        return
    files = all(p.function_by_id[line.function].file for line in lines)
    if not m.has_functions:
        yield f'{where}: has_functions is not set: tools will look for names themselves'
    if m.has_filenames != files:
        yield f'{where}: has_filenames is {m.has_filenames}, all lines have files: {files}'
    if m.has_line_numbers != all(line.line for line in lines):
        yield f'{where}: has_line_numbers is {m.has_line_numbers}, which is not so'
    if not m.has_inline_frames and any(len(l.lines) > 1 for l in locations):
        yield f'{where}: has_inline_frames is not set'


def check_overlaps(p):
    """Code may follow other code at an address, but never itself."""
    for a in p.mappings:
        for b in p.mappings[:a.id - 1]:
            same = (a.build_id or a.file) == (b.build_id or b.file)
            if same and a.start < b.limit and b.start < a.limit:
                yield f'mappings {b.id} and {a.id} of {a.file} overlap'


def check(p, delta=False, main=None):
    """All broken rules, as sentences."""
    return (p.problems + list(check_table(p)) + list(check_types(p, delta)) +
            list(check_samples(p, delta)) + list(check_locations(p)) +
            list(check_functions(p)) + list(check_mappings(p, main)))


def check_since(older, newer):
    """What a later scrape of a cumulative profile must not do: shrink."""
    problems = []
    if newer.time_ns <= older.time_ns:
        problems.append('time_nanos did not increase')
    cumulative = [i for i, t in enumerate(newer.sample_types) if not t.type.startswith('inuse')]
    later = newer.keys()
    for key, values in older.keys().items():
        now = later.get(key, [0] * len(values))
        for i in cumulative:
            if now[i] < values[i]:
                problems.append(f'{newer.sample_types[i].type} of a stack fell from '
                                f'{values[i]} to {now[i]}')
    return problems


def print_summary(p, top):
    print(f'{len(p.samples)} samples, {len(p.locations)} locations, {len(p.functions)} functions, '
          f'{len(p.mappings)} mappings, {p.size} bytes')
    for i, t in enumerate(p.sample_types):
        print(f'{t.type}/{t.unit}: {p.total(i)}')
    for comment in p.comments:
        print(f'# {comment}')
    for name, value in p.flat().most_common(top):
        print(f'{value:>16} {name}')


def main():
    parser = argparse.ArgumentParser(description='Reads and checks a pprof profile.')
    parser.add_argument('file')
    parser.add_argument('--check', action='store_true', help='print broken rules, exit with 1')
    parser.add_argument('--delta', action='store_true', help='a difference of two profiles')
    parser.add_argument('--main', help='path that the first mapping must have')
    parser.add_argument('--since', metavar='OLDER', help='an earlier scrape to compare with')
    parser.add_argument('--top', type=int, default=10, help='functions to print')
    args = parser.parse_args()
    try:
        p = load(args.file)
    except (Broken, OSError, EOFError) as e:
        print(f'{args.file}: {e}')
        return 1
    print_summary(p, args.top)
    problems = check(p, args.delta, args.main) if args.check else []
    if args.since:
        problems += check_since(load(args.since), p)
    for problem in problems:
        print(f'{args.file}: {problem}')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
