// ---- lists, for reading and for screen readers

const most = 300

// heads: [text, key to sort by]; the last cell of a row is its name.
function rowsTo(heads, rows) {
  const t = document.createElement('table'), head = t.createTHead().insertRow(), body = t.createTBody()
  for (const [title, key] of heads) {
    const th = text('th', key ? '' : title)
    th.scope = 'col'
    if (key) {
      th.append(button(title, () => { sorted = key; show() }))
      th.ariaSort = sorted == key ? 'descending' : 'none'
    }
    head.append(th)
  }
  for (const cells of rows.slice(0, most)) {
    const tr = body.insertRow()
    tr.className = cells.look || ''
    for (const c of cells) tr.insertCell().append(c)
  }
  $.list.replaceChildren(t, rows.length > most ? `and ${rows.length - most} more, which the search finds` : '')
}
const by = { own: r => r.own[0], sum: r => r.sum[0], change: r => change(r.sum) }
const order = rows => rows.sort((a, b) => Math.abs(by[sorted](b)) - Math.abs(by[sorted](a)) || Math.abs(b.sum[0]) - Math.abs(a.sum[0]))
const heads = name => [['self', 'own'], ['%'], ['with callees', 'sum'], ['%'], ...sides[1] ? [['before'], ['change' + per(), 'change']] : [], [name]]
const cells = (r, name) => [say(r.own[0]), share(r.own[0]), say(r.sum[0]), share(r.sum[0]), ...sides[1] ? [say(r.sum[1]), say(by.change(r))] : [], name]

function functionsView() {
  const rows = order(table(sides, (P, at) => P.frames[at])).filter(r => found(names[r.f]))
  rowsTo(heads('function'), rows.flatMap(r => {
    const open = r.f == focus, b = button(names[r.f], () => { focus = open ? null : r.f; show() })
    b.ariaExpanded = open
    if (!open) return [cells(r, b)]
    const near = (what, list) => list.slice(0, 30).map(([f, v]) => Object.assign(
      ['', '', say(v), share(v), ...sides[1] ? ['', ''] : [], button(what + names[f], () => { focus = f; show() })], { look: 'sub' }))
    const [up, down] = around(sides[0], focus)
    return [cells(r, b), ...near('called by ', up), ...near('calls ', down)]
  }))
}

function sourceView() {
  const rows = order(table(sides, lineOf))
  rowsTo(heads('source'), rows.filter(r => found(names[r.f] || '')).map(r => cells(r, names[r.f] || 'without a known line')))
}

// What each thread (or process, or whatever the profile tells apart) has; of a dump, its threads by stack.
function threadView() {
  if (now.name == 'goroutine') return stacksView()
  const kinds = k => new Set(now.labels.map(l => l.get(k))).size, first = ['process', 'thread', 'pid', 'tid']
  const key = $.group.value || first.find(k => kinds(k) > 1) || [...first, ...now.labels.flatMap(l => [...l.keys()])].find(k => now.labels.some(l => l.has(k)))
  const all = new Map
  sides.forEach(({ P, rows, value }, k) => rows.forEach(i => {
    const l = P.labels[P.set[i]].get(key) || '(none)'
    if (!all.has(l)) all.set(l, { sum: [0, 0], l })
    all.get(l).sum[k] += value(i)
  }))
  rowsTo([['value'], ['%'], ...sides[1] ? [['before']] : [], [key || 'Threads not told apart']],
    [...all.values()].sort((a, b) => b.sum[0] - a.sum[0]).map(({ sum, l }) =>
      [say(sum[0]), share(sum[0]), ...sides[1] ? [say(sum[1])] : [], button(l, () => { $.only.value = key + '=' + l; view('flame') })]))
}

function stacksView() {
  const [{ P, rows, value }] = sides, all = new Map
  for (const i of rows) {
    const l = P.labels[P.set[i]], key = [l.get('state'), l.get('wait_reason')].filter(x => x).join(', ') + frames(P, i)
    if (!found(key + [...l.values()])) continue
    if (!all.has(key)) all.set(key, { n: 0, who: new Map })
    const g = all.get(key), who = l.get('thread') || '?'
    g.n += value(i)
    g.who.set(who, [...g.who.get(who) || [], l.get('tid')])
  }
  $.list.replaceChildren()
  for (const [key, { n, who }] of [...all].sort((a, b) => b[1].n - a[1].n).slice(0, most)) {
    const a = text('article', '')
    a.append(text('b', `${n} x ${key.split('\n')[0]}`), text('p', [...who].map(([name, t]) => name + ' ' + t.join(' ')).join('; ').slice(0, 2000)),
      text('pre', key.replace(/^.*\n/, '')))
    $.list.append(a)
  }
}
function frames(P, i) {
  let t = ''
  for (let at = P.start[i + 1]; at-- > P.start[i];) t += '\n' + names[P.frames[at]] + (P.lines[at] < 0 ? ' x' + (1 - P.lines[at]) : '   ' + P.where[P.lines[at]][1])
  return t
}

// ---- the start

const views = { flame: () => graphView(1), callers: () => graphView(-1), table: functionsView, thread: threadView, source: sourceView }
let wish = new URLSearchParams(location.search)
for (const id of ['type', 'only', 'group', 'before', 'scale']) $[id].onchange = show
for (const b of $.views.children) b.onclick = () => view(b.value)
$.search.oninput = show
$.take.onclick = take
$.stop.onclick = () => ask('stop?id=' + running.id, { method: 'POST' }).catch(failed)
$.live.onchange = again
$.keep.onclick = () => { kept = now; menus(); show() }
$.file.onchange = async () => { stopped(); const [f] = $.file.files; if (f) open(new Uint8Array(await f.arrayBuffer()), f.name, f.name).catch(failed) }
document.onkeydown = e => { if (e.key == '/' && !/INPUT|SELECT/.test(e.target.tagName)) { $.search.focus(); e.preventDefault() } }
onresize = dark.onchange = () => { if (tree && !canvas.hidden) draw() }

async function begin() {
  if (!window.DecompressionStream) throw Error('Old browser. Try: curl -u pprof -OJ ' + root + 'heap')
  // The index knows which profiles there are, and which take time.
  const all = [...(await (await ask('')).text()).matchAll(/view\?profile=([\w-]+)(?:&amp;seconds=(\d+))?/g)], want = wish.get('profile') || 'profile'
  // One that is dormant or unknown: the server says why.
  if (!all.some(m => m[1] == want)) all.push([0, want])
  const chosen = () => { $.seconds.value = least = +all.find(m => m[1] == $.profile.value)[2] || '' }
  options('profile', all.map(m => [m[1], m[1]]), want)
  chosen()
  $.profile.onchange = () => { chosen(); take() }
  $.seconds.value = wish.get('seconds') || least
  $.search.value = wish.get('search') || ''
  view(views[wish.get('view')] ? wish.get('view') : $.profile.value == 'goroutine' ? 'thread' : 'flame')
  take()
}
begin().catch(failed)
