#!/usr/bin/env python3
"""The page in the browser, in a headless Chromium that is driven as a person would: what it shows is what an
independent reader finds in the same profiles, and nothing that a program's names contain does anything."""
import functools
import gzip
import json
import os
import re
import urllib.parse

import browser
import harness
import pprof_reader
from harness import KEY, Target, check, poll, run, same, skip

EVERYTHING = {'PPROF_HEAP_RATE': '1', 'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}
PROGRAM = harness.fixture('view_shown')
MARKUP = '<img src=x onerror=alert(1)>'
SHOTS = os.environ.get('SHOTS')  # a folder for pictures, for people

# Of what the page is showing.
SHOWN = "document.readyState == 'complete' && window.document.getElementById('total') && " \
        "/^[a-z_]+: .* in \\d+ stacks/.test($.total.textContent)"


class View:
    """A page with a profile of a program in it."""

    def __init__(self, b, t, what='', key=KEY, user=''):
        self.t = t
        self.page = b.page()
        self.address = 'http://%s127.0.0.1:%d/debug/pprof/view%s' % (user, t.port, what)
        self.page.open(self.address, key)

    def shown(self, limit=30):
        ok = check('a profile is shown', self.page.until(SHOWN, limit), self.said())
        return ok

    def said(self):
        return (self.page.value("document.body && document.body.innerText.slice(0, 300)"), self.page.said)

    def value(self, expression):
        return self.page.value(expression)

    def profile(self, name):
        """What was fetched last of this name, read by somebody else."""
        of = [r for r in self.page.asked if re.search('/%s([?]seconds|$)' % name, r[2])]
        return pprof_reader.parse(self.page.body(of[-1]))

    def choose(self, name, value):
        self.page.value('$.%s.value = %s, $.%s.dispatchEvent(new Event("change"))' %
                        (name, json.dumps(value), name))

    def view(self, name):
        self.page.click('#views button[value=%s]' % name)
        same('the view is told', self.value('[...$.views.children].find(b => b.ariaPressed == "true").value'), name)

    def shot(self, name):
        if SHOTS:
            self.page.shot(os.path.join(SHOTS, name + '.png'))


def there_is_a_browser():
    if not browser.there():
        skip('the page in a browser', 'no Chromium is installed')
    return browser.there()


def shown():
    return Target(PROGRAM, env=EVERYTHING)


def is_ready(t):
    return check('the program is ready', t.wait_ready() and t.wait_for('ready'), t.output(1))


def in_browser(test):
    """The test gets the program and a browser, where there is one."""
    @functools.wraps(test)
    def whole():
        if there_is_a_browser():
            with shown() as t, browser.Browser() as b:
                if is_ready(t):
                    test(t, b)
    return whole


ROWS = """table(sides, (P, at) => P.frames[at]).map(r => [names[r.f], r.own[0], r.sum[0]])"""
DRAWN = """boxes.flat().filter(b => !b.less && b.n.f >= 0).map(b => names[b.n.f])"""
GRAPH = """(() => { const all = {}; const look = n => tree.open(n).forEach(k => { all[names[k.f]] =
    (all[names[k.f]] || 0) + k.own; look(k) }); look(tree.top); return [tree.top.v[0], all] })()"""


@in_browser
def test_numbers_are_those_of_an_independent_reader(t, b):
    for name in 'heap', 'allocs', 'block', 'mutex', 'threadcreate', 'goroutine', 'profile':
        v = View(b, t, '?profile=' + name + ('&seconds=1&view=flame' if name == 'profile' else '&view=flame'))
        if not v.shown():
            continue
        p = v.profile(name)
        same(f'{name}: sample types', v.value('[...$.type.options].map(o => o.text)'),
             [s.type for s in p.sample_types])
        usual = p.default_sample_type or p.sample_types[-1].type
        same(f'{name}: the usual one is chosen', v.value('$.type.selectedOptions[0].text'), usual)
        for i, kind in enumerate(p.sample_types):
            v.choose('type', i)
            total = p.total(kind.type)
            text = v.value('$.total.textContent')
            said = re.match(r'%s: .*?(\d+)(?: %s\))? in (\d+) stacks' % (kind.type, kind.unit), text)
            same(f'{name}, {kind.type}: total in {text}', said and int(said.group(1)), total)
            rows = {n: (own, all_) for n, own, all_ in v.value(ROWS)}
            flat, cum = p.flat(kind.type), p.cum(kind.type)
            same(f'{name}, {kind.type}: of its own', {n: r[0] for n, r in rows.items() if r[0]},
                 {n: x for n, x in flat.items() if x})
            same(f'{name}, {kind.type}: with callees', {n: r[1] for n, r in rows.items() if r[1]},
                 {n: x for n, x in cum.items() if x})
            whole, own = v.value(GRAPH)
            same(f'{name}, {kind.type}: the graph', (whole, {n: x for n, x in own.items() if x}),
                 (total, {n: x for n, x in flat.items() if x}))
        same(f'{name}: complaints', v.page.said, [])


@in_browser
def test_each_view_shows_something_and_nothing_of_it_is_obeyed(t, b):
    v = View(b, t, '?profile=profile&seconds=1')
    v.page.command('Page.addScriptToEvaluateOnNewDocument', source='window.alert = () => { window.hurt = 1 }')
    v.page.open(v.address, KEY)
    if not v.shown():
        return
    check('boxes', {'burn', 'steady', MARKUP} <= set(v.value(DRAWN)), v.value(DRAWN))
    check('pixels', v.value("new Set(pen.getImageData(0, 0, canvas.width, canvas.height).data).size > 10"))
    v.shot('flame')
    v.view('callers')
    check('callers begin with leaves', v.value('boxes[1].map(b => names[b.n.f])')[0] == MARKUP)
    v.shot('callers')
    v.view('table')
    rows = v.value("[...document.querySelectorAll('#list tbody tr')].map(r => r.lastChild.innerText)")
    check('the table names it', MARKUP in rows, rows)
    v.page.value("[...document.querySelectorAll('#list .f')].find(b => b.textContent == %s).click()"
                 % json.dumps(MARKUP))
    rows = v.value("[...document.querySelectorAll('#list tbody tr')].map(r => r.lastChild.innerText)")
    check('and who calls it', 'called by steady' in rows, rows)
    v.shot('table')
    v.view('source')
    rows = v.value("$.list.innerText")
    check('lines of files', re.search(r'view_shown\.c:\d+\s+steady', rows), rows[:300])
    v.view('thread')
    check('threads', 'burner' in v.value('$.list.innerText'), v.value('$.list.innerText'))
    v.page.value("[...document.querySelectorAll('#list .f')].find(b => b.textContent == 'burner').click()")
    same('one thread only', v.value('$.only.value'), 'thread=burner')
    check('its functions alone', 'steady' in v.value(DRAWN) and 'main' not in v.value(DRAWN), v.value(DRAWN))
    v = View(b, t, '?profile=goroutine')
    v.shown()
    check('a thread whose name is markup', '<i>contend</i>' in v.value('$.list.innerText'))
    same('nothing of it was obeyed', v.value("[window.hurt, document.querySelectorAll('img, #list i').length]"),
         [None, 0])
    same('complaints', v.page.said, [])


def test_a_thread_dump_shows_deadlocks_first():
    if not there_is_a_browser():
        return
    with Target('deadlock', 'mutexes') as t, browser.Browser() as b:
        if not check('ready', t.wait_ready(), t.output(1)) or \
                not check('deadlocked', poll(lambda: b'# DEADLOCK' in (t.fetch('goroutine?debug=2') or b''))):
            return
        v = View(b, t, '?profile=goroutine')
        v.shown()
        first = v.value("(e => [e.textContent, e.className, getComputedStyle(e).color])($.notes.firstElementChild)")
        check('in red, on top', first[0].startswith('# DEADLOCK') and first[1] == 'bad' and
              first[2] == 'rgb(204, 17, 17)', first)
        v.view('thread')
        v.shot('deadlock')
        states = v.value("[...$.only.options].map(o => o.value).filter(o => o.startsWith('state='))")
        check('states to choose from', 'state=waiting' in states, states)
        v.choose('only', 'state=waiting')
        check('threads that wait', v.value("document.querySelectorAll('article').length") >= 1)


@in_browser
def test_comparison_search_and_live(t, b):
    v = View(b, t, '?profile=profile&seconds=1')
    if not v.shown():
        return
    before = v.profile('profile')
    t.p.stdin.write(b'\n')
    t.p.stdin.flush()
    v.page.click('#take')
    check('a progress bar and a way to stop', v.page.until('!$.bar.hidden && !$.stop.hidden', 5))
    v.shown()
    now = v.profile('profile')
    v.choose('before', 'last')
    same('both totals', v.value('sides.map(s => s.total)'), [now.total(), before.total()])
    change = {n: (a, z) for n, a, z in v.value(
        "table(sides, (P, at) => P.frames[at]).map(r => [names[r.f], r.sum[0], r.sum[1]])")}
    same('a function that is new', change['later'], (now.cum()['later'], 0))
    same('one that was there', change['steady'], (now.cum()['steady'], before.cum()['steady']))
    check('red', v.value("colour(boxes.flat().find(b => names[b.n.f] == 'later').n)").startswith('hsl(5 85%'))
    v.shot('comparison')
    v.choose('scale', 'share')
    check('by share', v.page.until("Math.round(was(sides[1].total) - sides[0].total) === 0", 5))
    v.choose('scale', 'hour')
    v.view('table')
    hours = (now.time_ns - before.time_ns) / 3.6e12
    grown = now.cum()['later'] / hours
    shown = v.value("change([table(sides, (P, at) => P.frames[at]).find(r => names[r.f] == 'later').sum[0], 0])")
    check('growth per hour', abs(shown - grown) < grown / 1e6, (shown, grown))
    check('which the table and the total tell', 'change per hour' in v.value('$.list.innerText') and
          'per hour' in v.value('$.total.textContent'), v.value('$.total.textContent'))
    v.shot('per-hour')
    v.view('flame')
    v.choose('before', 'thread=burner')
    check('one moment has no growth', 'per hour' not in v.value('$.total.textContent'))
    same('with a part of it', v.value('sides[1].P == now && sides[1].total > 0'), True)
    v.choose('before', '')
    v.page.value("$.search.value = '^later$', $.search.oninput()")
    text = v.value('$.total.textContent')
    share = 100 * now.cum()['later'] / now.total()
    check('the share that is found', f'found {share:.1f} %' in text, (text, share))
    v.page.value("$.search.value = '(', $.search.oninput()")
    same('a broken expression', v.value("$.search.getAttribute('aria-invalid')"), 'true')
    v.page.value("$.search.value = '', $.search.oninput()")
    # What was kept is what has gone when the newer one is the older.
    v.page.value("kept = now, now = before, menus(), 0")
    v.choose('before', 'kept')
    v.view('flame')
    check('what has gone is listed', re.search(r'Gone since\s+_start under all', v.value('$.list.innerText')),
          v.value('$.list.innerText'))
    v.page.value("$.seconds.value = 1, $.live.checked = true, $.live.onchange(), before = null")
    check('live goes on by itself', v.page.until('before && now != before', 20))
    v.page.value("$.live.checked = false, $.live.onchange()")


# ---- profiles that others made, with what ours has not, or not yet

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def whole(field, n):
    return varint(field << 3) + varint(n)


def part(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def made_profile(types, samples, default='', comments=(), gzipped=True):
    """samples: (names leaf first, values, labels).  Locations come before samples here, and have large ids."""
    strings, ids, head, tail = [''], {}, b'', b''

    def number(text):
        if text not in strings:
            strings.append(text)
        return strings.index(text)
    for kind, unit in types:
        head += part(1, whole(1, number(kind)) + whole(2, number(unit)))
    for stack, values, labels in samples:
        for name in stack:
            if name not in ids:
                ids[name] = i = 1000000 + 7 * len(ids)
                line = part(4, whole(1, i) + whole(2, 12)) if name[:2] != '0x' else b''
                head += part(4, whole(1, i) + whole(3, int(name, 16) if not line else 0x5000 + i) + line)
                head += part(5, whole(1, i) + whole(2, number(name)) + whole(4, number('/src/a.c')))
        body = b''.join(whole(1, ids[n]) for n in stack)  # not packed
        body += part(2, b''.join(varint(v) for v in values))
        for key, value in labels.items():
            body += part(3, whole(1, number(key)) + (whole(2, number(value)) if isinstance(value, str) else
                                                      whole(3, value)))
        tail += part(2, body)
    tail += b''.join(whole(13, number(c)) for c in comments) + whole(14, number(default))
    data = head + tail + b''.join(part(6, s.encode()) for s in strings)
    return gzip.compress(data) if gzipped else data


def opened(v, name, data):
    path = os.path.join(harness.work, name)
    with open(path, 'wb') as f:
        f.write(data)
    v.page.choose_file('#file', path)
    return v.page.until("now && now.name == %s" % json.dumps(name), 10)


CPU = [('samples', 'count'), ('wall', 'nanoseconds')]


@in_browser
def test_files_of_others(t, b):
    v = View(b, t, '?profile=heap&view=flame')
    v.shown()
    threads = made_profile(CPU, [
        (['work', 'main'], [2, 300], {'thread': 'a', 'pid': 7, 'comm': 'nginx'}),
        (['work', 'main'], [1, 50], {'thread': 'b', 'pid': 8, 'comm': 'nginx'}),
        (['poll', 'main'], [9, 9000], {'thread': 'b', 'pid': 8, 'comm': 'nginx', 'idle': 'true', 'state': 'waiting'}),
    ], comments=['a comment <b>'], gzipped=False)
    check('opened, not gzipped', opened(v, 'wall.pb', threads))
    same('what is idle is hidden at first', v.value('[$.only.value, sides[0].total]'), ['!idle=true', 350])
    check('and it says so', v.value('$.total.innerText').startswith('wall: 350 ns of 9.35 us, without idle (350 nano'), v.value('$.total.innerText'))
    check('comments are told', v.value("$.notes.innerText").startswith('a comment <b>'))
    v.choose('only', '')
    same('and can be shown', v.value('[sides[0].total, $.total.innerText.includes(" of ")]'), [9350, False])
    v.choose('only', 'pid=8')
    same('one process', v.value('sides[0].total'), 9050)
    v.choose('only', '')
    v.choose('group', 'pid')
    same('apart', v.value("boxes[1].map(b => [names[b.n.f], b.n.v[0]])"), [['pid: 8', 9050], ['pid: 7', 300]])
    v.choose('group', '')
    v.choose('type', 0)
    same('another type', v.value('sides[0].total'), 12)
    v.choose('type', 1)
    v.view('thread')
    same('by thread', v.value("[...document.querySelectorAll('#list tbody tr')].map(r => r.innerText.split('\\t').pop())"),
         ['b', 'a'])
    v.view('flame')
    # Two processes side by side: keep one, open the other.
    v.page.click('#keep')
    other = made_profile(CPU, [(['work', 'main'], [1, 4], {}), (['new', 'main'], [1, 2], {})], default='samples')
    check('another', opened(v, 'other.pb.gz', other))
    same('its type stays, since both have it', v.value('$.type.selectedOptions[0].text'), 'wall')
    v.choose('before', 'kept')
    same('totals of two processes', v.value('sides.map(s => s.total)'), [6, 9350])
    check('gone', 'poll under main' in v.value('$.list.innerText'), v.value('$.list.innerText'))
    v.choose('before', '')
    big = (1 << 53) - 1
    odd = made_profile([('delta', 'bytes')], [
        (['[x.so]'] * 20 + ['f', '[x.so]', '0x77', 'main'], [-5], {}),
        (['f', '0x77', 'main'], [-(1 << 40)], {}),
        (['g', 'main'], [1 << 40], {}),
        (['h', 'g', 'g', 'main'], [big // 2], {}),
    ])
    check('opened, negative and large', opened(v, 'odd.pb.gz', odd))
    same('sum', v.value('sides[0].total'), big // 2 - 5)
    same('text has it', str(big // 2 - 5) in v.value('$.total.textContent'), True)
    check('it is said', 'Width is the amount' in v.value('$.notes.innerText'))
    rows = {n: (own, cum) for n, own, cum in v.value(ROWS)}
    same('recursion counts once', rows['g'], (1 << 40, (1 << 40) + big // 2))
    same('code without a name', rows['0x77'], (0, -5 - (1 << 40)))
    same('frames without names in a row', v.value("(n => [names[n.f], n.run, tree.open(n).length])"
         "(tree.open(tree.open(tree.open(tree.open(tree.open(tree.top)[0]).find(k => names[k.f] == '0x77'))"
         ".find(k => names[k.f] == '[x.so]'))[0])[0])"), ['[x.so]', 20, 0])
    same('complaints', v.page.said, [])
    with open(os.path.join(harness.work, 'no.pb'), 'wb') as f:
        f.write(odd[:200])
    v.page.choose_file('#file', f.name)
    check('a broken file is told', v.page.until("!/in \\d+ stacks/.test($.total.textContent)", 10), v.said())
    check('and what was there stays', v.value("now.name == 'odd.pb.gz'"))


def test_what_is_dormant_says_why():
    if not there_is_a_browser():
        return
    with Target(PROGRAM, env={'PPROF_HEAP_RATE': '0'}) as t, browser.Browser() as b:
        if not is_ready(t):
            return
        for name, why in ('heap', 'PPROF_HEAP_RATE is 0'), ('nonsense', '404 Unknown profile'):
            v = View(b, t, '?profile=' + name)
            check(f'{name}: no other profile in its place', v.page.until(
                'window.document.body && document.body.innerText.includes(%s)' % json.dumps(why)), v.said())
        v.page.open('http://127.0.0.1:%d/debug/pprof/' % t.port, KEY)
        check('the index, too', v.page.until("/dormant: heap profiling is off/.test(document.body.innerText)"), v.said())


@in_browser
def test_a_profile_can_be_stopped(t, b):
    v = View(b, t, '?profile=profile&seconds=600')
    check('it is taken', v.page.until("!$.stop.hidden && /of 600 s/.test($.total.textContent)", 20))
    v.page.click('#stop')
    v.shown()
    check('what there was is kept', 0 < v.profile('profile').duration_ns < 60e9)
    stops = [r for r in v.page.asked if '/stop?id=' in r[2]]
    same('by one request', [r[1] for r in stops], ['POST'])


@in_browser
def test_the_key_and_the_origin(t, b):
    for what, key, user in ('asked for', KEY, ''), ('in the address', None, 'pprof:%s@' % KEY):
        v = View(b, t, '?profile=heap', key, user)
        v.shown()
        v.view('table')
        for request in v.page.asked:
            url = urllib.parse.urlsplit(request[2])
            same(f'{what}: no other origin', (url.scheme, url.hostname, url.port), ('http', '127.0.0.1', t.port))
            check(f'{what}: no key', KEY not in request[2].split('@')[-1] and
                  not request[3].get('Referer'), request)
        same(f'{what}: nothing is kept', v.value('[localStorage.length, sessionStorage.length, document.cookie]'),
             [0, 0, ''])
        same(f'{what}: complaints', [s for s in v.page.said if 'Download' not in s], [])
    v = View(b, t, '?profile=heap', key='wrong')
    check('a wrong key shows why', v.page.until("/key is missing or wrong|wrong keys/.test(document.body.innerText)"),
          v.said())
    # Another page, of another origin, can neither read nor start anything.
    other = b.page()
    other.open('data:text/html,<title>other</title>')
    other.until("document.title == 'other'")
    base = 'http://127.0.0.1:%d/debug/pprof/' % t.port
    for path, how in ('heap', 'GET'), ('stop?id=x', 'POST'), ('profile?seconds=1', 'GET'):
        got = other.value("fetch('%s', {method: '%s', credentials: 'include', mode: 'cors'}).then(() => 'read', "
                          "() => 'refused')" % (base + path, how))
        same(f'{how} {path} from elsewhere', got, 'refused')


def test_downloads_have_telling_names():
    with shown() as t:
        if not is_ready(t):
            return
        for page, kind in ('heap', 'heap'), ('profile?seconds=1', 'cpu'), ('mutex?seconds=1', 'mutex-delta'):
            c = t.open(page)
            c.answer.read()
            name = c.answer.headers['Content-Disposition']
            check(f'{page}: {name}', re.fullmatch(
                r'attachment; filename="view_shown-%d-%s-\d{8}T\d{4}Z\.pb\.gz"' % (t.pid, kind), name))


@in_browser
def test_keyboard_dark_and_narrow(t, b):
    v = View(b, t, '?profile=heap&view=flame')
    if not v.shown():
        return
    v.page.value('canvas.focus()')
    v.page.key_down('ArrowDown')
    check('one level down', v.value('picked.up == tree.top'))
    check('which is told', v.value("$.box.textContent.startsWith(names[picked.f])"))
    v.page.key_down('Enter')
    check('zoomed in', v.value('zoom == picked && zoom != tree.top'))
    v.page.key_down('Escape')
    check('and out', v.value('zoom == tree.top'))
    v.page.key_down('/')
    same('to the search', v.value('document.activeElement.id'), 'search')
    names = [n for n in ('Flame graph', 'Callers', 'Table', 'Thread', 'Source')
             if v.value("[...document.querySelectorAll('button')].some(b => b.textContent == '%s')" % n)]
    same('names of the views', len(names), 5)
    nameless = v.value("[...document.querySelectorAll('input, select, button, progress, canvas')].filter(e => "
                       "!(e.labels && e.labels.length) && !e.ariaLabel && !e.textContent.trim()).map(e => e.id)")
    same('controls without a name', nameless, [])
    for width, dark in (1200, True), (360, False), (360, True):
        v.page.size(width, 800, dark)
        for view in 'flame', 'table', 'thread', 'source':
            v.view(view)
            check(f'{view} at {width}: nothing is wider than the window',
                  v.value('document.documentElement.scrollWidth <= innerWidth'),
                  v.value('document.documentElement.scrollWidth'))
            v.shot(f'{view}-{width}' + ('-dark' if dark else ''))


def test_the_page_is_small_and_complete():
    with shown() as t:
        if not is_ready(t):
            return
        c = t.open('view')
        raw = c.answer.read()
        if c.answer.headers.get('Content-Encoding') == 'gzip':
            raw = gzip.decompress(raw)
        check('not larger than 24 KB', len(raw) <= 24 << 10, len(raw))
        policy = c.answer.headers['Content-Security-Policy']
        check('the policy allows nothing by itself', policy.startswith("default-src 'none'") and
              'unsafe' not in policy and 'data:' not in policy and '*' not in policy, policy)


run(test_the_page_is_small_and_complete, test_downloads_have_telling_names,
    test_numbers_are_those_of_an_independent_reader, test_each_view_shows_something_and_nothing_of_it_is_obeyed,
    test_a_thread_dump_shows_deadlocks_first, test_comparison_search_and_live, test_a_profile_can_be_stopped,
    test_what_is_dormant_says_why, test_files_of_others, test_the_key_and_the_origin, test_keyboard_dark_and_narrow)
