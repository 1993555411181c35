"""redis's own test suite (from its source package), against the installed server."""
import os
import re
import shutil
import subprocess

import ab

NAME = 'redis'
TOOLS = ['redis-server', 'redis-cli', 'redis-benchmark', 'redis-check-aof', 'redis-check-rdb']
# Without those that take many minutes, or that need more than one machine's worth of ports.
UNITS = ['unit/type/string', 'unit/type/incr', 'unit/type/list', 'unit/type/set', 'unit/type/zset',
         'unit/type/hash', 'unit/type/stream', 'unit/protocol', 'unit/expire', 'unit/other',
         'unit/multi', 'unit/quit', 'unit/scripting', 'unit/functions', 'unit/dump', 'unit/aofrw',
         'unit/pubsub', 'unit/slowlog', 'unit/introspection', 'unit/lazyfree', 'unit/keyspace',
         'unit/sort', 'unit/scan', 'unit/acl', 'unit/shutdown', 'unit/networking', 'unit/wait',
         'integration/rdb', 'integration/aof', 'integration/shutdown', 'integration/logging',
         'integration/block-repl', 'integration/redis-cli', 'integration/replication-2']
LINE = re.compile(r'^\[(ok|err|skip|ignore|exception)\]: (.*?)( \(\d+ ms\)| in tests/.*)?$')


def tree(side):
    """A copy of the tests with our executables where theirs would have been built."""
    source = ab.source_of('redis')
    at = side.directory('redis')
    shutil.copytree(source + '/tests', at + '/tests')
    for name in 'runtest', 'redis.conf', 'sentinel.conf':
        shutil.copy(os.path.join(source, name), at)
    os.mkdir(at + '/src')
    for tool in TOOLS:
        path = shutil.which(tool)
        if not path:
            raise ab.Skip('%s is not installed' % tool)
        side.wrap(path, os.path.join(at, 'src', tool))
    return at


def plain_name(text):
    """Without the numbers that differ from run to run."""
    return re.sub(r'\d{3,}|0x[0-9a-f]+', 'N', re.sub(r'\x1b\[[0-9;]*m', '', text)).strip()


def run(side, only):
    if not shutil.which('tclsh'):
        raise ab.Skip('tclsh is not installed')
    command = ['./runtest', '--clients', '2', '--timeout', '300', '--tags', '-slow',
               '--dump-logs']
    for unit in UNITS:
        command += ['--single', unit]
    for test in only or []:
        command += ['--only', test] if 'N' not in test else []
    p = subprocess.run(command, cwd=tree(side), env=ab.environment(), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3000)
    found = {}
    for line in p.stdout.decode(errors='replace').splitlines():
        m = LINE.match(re.sub(r'\x1b\[[0-9;]*m', '', line).strip())
        if m:
            name = plain_name(m.group(2))
            found[name] = 'err' if found.get(name) == 'err' else m.group(1)
    if only is None:
        found['exit status'] = 'status %d' % p.returncode
    return found
