"""The sqlite3 shell: a script that uses much of the library, checked statement by statement."""
import os
import shutil
import subprocess

import ab

NAME = 'sqlite'

# Name, statements; what they print is compared.
PARTS = [
    ('fill', '''CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v REAL, b BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 60000)
INSERT INTO t SELECT i, printf('key%08d', i * 7919 % 60000), i / 3.0, zeroblob(i % 97) FROM n;
SELECT count(*), sum(id), sum(length(b)), min(k), max(k) FROM t;'''),
    ('index', '''CREATE UNIQUE INDEX tk ON t(k); CREATE INDEX tv ON t(v DESC) WHERE id % 3 = 0;
ANALYZE; SELECT count(*) FROM t WHERE k BETWEEN 'key00001000' AND 'key00002000';'''),
    ('update', '''BEGIN; UPDATE t SET v = v * 2 WHERE id % 5 = 0; DELETE FROM t WHERE id % 11 = 0;
SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; COMMIT; SELECT count(*), round(sum(v), 3) FROM t;'''),
    ('rollback', 'BEGIN; DROP TABLE t; ROLLBACK; SELECT count(*) FROM t;'),
    ('join', '''SELECT count(*), sum(a.id + b.id) FROM t a JOIN t b ON b.id = a.id * 2 + 1;
SELECT k, v FROM t ORDER BY v DESC, k LIMIT 20;
SELECT id % 10 g, count(*), round(avg(v), 4), group_concat(substr(k, 4, 3), '') FROM t
WHERE id < 500 GROUP BY g HAVING count(*) > 3 ORDER BY g;'''),
    ('window', '''SELECT id, sum(id) OVER (ORDER BY id ROWS 3 PRECEDING),
rank() OVER (PARTITION BY id % 4 ORDER BY v) FROM t WHERE id < 200;'''),
    ('json', '''SELECT json_group_array(json_object('k', k, 'v', v)) FROM t WHERE id < 50;
SELECT value FROM json_each('[1, 2, {"a": [3]}]');'''),
    ('text search', '''CREATE VIRTUAL TABLE f USING fts5(x);
INSERT INTO f SELECT k || ' word' || (id % 50) FROM t WHERE id < 5000;
SELECT count(*) FROM f WHERE f MATCH 'word7'; INSERT INTO f(f) VALUES ('integrity-check');'''),
    ('triggers', '''CREATE TABLE log(n); CREATE TRIGGER tr AFTER DELETE ON t BEGIN
INSERT INTO log VALUES (old.id); END; DELETE FROM t WHERE id < 1000;
SELECT count(*), sum(n) FROM log;'''),
    ('wal', '''PRAGMA journal_mode = wal; INSERT INTO log SELECT id FROM t;
PRAGMA wal_checkpoint(truncate); SELECT count(*) FROM log;'''),
    ('vacuum', 'VACUUM; PRAGMA integrity_check; PRAGMA page_count; PRAGMA freelist_count;'),
    ('temporary files', '''PRAGMA temp_store = file; PRAGMA cache_size = 20;
SELECT count(*) FROM (SELECT DISTINCT b, v FROM t ORDER BY v, k);'''),
    ('errors', '''INSERT INTO t(id, k) VALUES (70000, 'key00000007'), (70001, 'key00000007');
SELECT nosuch FROM t; SELECT 1/0, typeof(1/0), abs(-9223372036854775808);'''),
    ('digest', '.sha3sum'),
]


def once(program, script, database):
    p = subprocess.run([program, '-batch', database], input=script, env=ab.environment(),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    return p.returncode, p.stdout


def two_writers(program, database):
    """Two processes and record locks on one file: nothing is lost."""
    script = '.timeout 60000\n' + "BEGIN IMMEDIATE; UPDATE c SET n = n + 1; COMMIT;\n" * 200
    once(program, 'CREATE TABLE c(n); INSERT INTO c VALUES (0);', database)
    writers = [subprocess.Popen([program, '-batch', database], stdin=subprocess.PIPE,
                                env=ab.environment(), stderr=subprocess.STDOUT,
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for w in writers:
        w.stdin.write(script)
        w.stdin.close()
    said = [w.stdout.read() for w in writers]
    status = [w.wait() for w in writers]
    return status, said, once(program, 'SELECT n FROM c; PRAGMA integrity_check;', database)


def run(side, only):
    path = shutil.which('sqlite3')
    if not path:
        raise ab.Skip('sqlite3 is not installed')
    work = side.directory('sqlite')
    program = side.wrap(path, work + '/sqlite3')
    database = work + '/x.db'
    found = {}
    for name, script in PARTS:
        found[name] = 'said: %r' % (once(program, script, database),)
    whole = '\n'.join('.print %s\n%s' % part for part in PARTS)
    found['all in one'] = 'said: %r' % (once(program, whole, work + '/y.db'),)
    found['two writers'] = 'said: %r' % (two_writers(program, work + '/z.db'),)
    found['files left'] = 'said: %r' % sorted(os.listdir(work))
    return {t: o for t, o in found.items() if not only or t in only}
