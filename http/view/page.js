// ---- the page

const $ = {}, root = location.origin + location.pathname.replace(/[^/]*$/, '')
for (const e of document.querySelectorAll('[id]')) $[e.id] = e
const text = (tag, say, look) => { const e = document.createElement(tag); e.textContent = say; if (look) e.className = look; return e }
const button = (say, act) => { const b = text('button', say, 'f'); b.onclick = act; return b }
const tell = t => { $.total.textContent = t }, failed = e => tell(e.message)
const deadly = /DEADLOCK/
const found = say => !hit || hit.test(say)
let now, before, kept, shown, sides, hit, focus, sorted = 'own', running, timer, least

// The key is in no address: the browser adds what the user typed, and addresses with a password in them are refused.
async function ask(path, options) {
  const r = await fetch(root + path, options)
  if (!r.ok) throw Error(r.status + ' ' + await r.text())
  return r
}

function amount(v, unit) {
  const steps = unit == 'bytes' ? [1024, ' B', ' KiB', ' MiB', ' GiB', ' TiB'] : [1000, ' ns', ' us', ' ms', ' s']
  if (unit != 'bytes' && unit != 'nanoseconds') return Math.round(v) + ''
  let i = 1
  while (Math.abs(v) >= steps[0] && i < steps.length - 1) { v /= steps[0]; i++ }
  return v.toFixed(i > 1 ? 2 : 0) + steps[i]
}
const say = v => amount(v, now.types[$.type.value][1])
const share = v => (sides[0].all && v / sides[0].all * 100).toFixed(1) + ' %'

function options(id, list, wanted) {
  const s = $[id], old = wanted ?? (s.length ? s.value : list[0][0])
  s.replaceChildren(...list.map(([value, label]) => { const o = text('option', label); o.value = value; return o }))
  s.value = list.some(([v]) => v == old) ? old : list[0][0]
  s.disabled = list.length < 2
}

// ---- taking profiles

async function take() {
  stopped()
  const name = $.profile.value, s = +$.seconds.value || least, id = 'p' + Math.random().toString(36).slice(2)
  const me = running = { id, abort: new AbortController }, began = Date.now()
  tell('Taking ' + name)
  if (s) {
    $.stop.hidden = $.bar.hidden = false
    me.tick = setInterval(() => {
      const t = (Date.now() - began) / 1e3
      $.bar.value = t / s
      tell(`Taking ${name}: ${Math.min(t | 0, s)} of ${s} s`)
    }, 250)
  }
  try {
    const r = await ask(name + (s ? `?seconds=${s}&id=` + id : ''), { signal: me.abort.signal })
    const bytes = new Uint8Array(await r.arrayBuffer())
    if (me == running) await open(bytes, (r.headers.get('Content-Disposition') || '').split('"')[1] || name + '.pb.gz', name)
  } catch (e) { if (me == running) failed(e) }
  if (me == running) stopped()
  clearTimeout(timer)
  if ($.live.checked) timer = setTimeout(again, Math.max(5 - s, .1) * 1e3)
}
function again() {
  clearTimeout(timer)
  if (document.hidden) document.addEventListener('visibilitychange', again, { once: true })
  else if ($.live.checked) take()
}
function stopped() {
  if (running) { clearInterval(running.tick); running.abort.abort() }
  running = null
  $.stop.hidden = $.bar.hidden = true
}

async function open(bytes, file, name) {
  const P = decode(await unzip(bytes))
  P.name = name
  P.about = name == 'goroutine' ? (await (await ask('goroutine?debug=2')).text()).split('\n').filter(l => l[0] == '#') : []
  if (now?.name == name) before = now
  else $.only.replaceChildren()
  now = P
  URL.revokeObjectURL($.save.href)
  $.save.href = URL.createObjectURL(new Blob([bytes]))
  $.save.download = file
  document.title = name + ' of ' + P.program
  menus()
  show()
}

function menus() {
  const old = $.type.selectedOptions[0]?.text ?? wish.get('type'), same = now.types.findIndex(t => t[0] == old)
  options('type', now.types.map((t, i) => [i, t[0]]), same < 0 ? now.type : same)
  const keys = new Map
  for (const l of now.labels) for (const [k, v] of l) keys.set(k, (keys.get(k) || new Set).add(v))
  const each = [...keys].flatMap(([k, all]) => [...all].sort().slice(0, 200).map(v => [k + '=' + v, k + ' ' + v]))
  options('only', [...keys.get('idle')?.has('true') ? [['!idle=true', 'without idle']] : [], ['', 'everything'], ...each], wish.get('only'))
  options('group', [['', 'nothing'], ...[...keys.keys()].map(k => [k, k])], wish.get('group'))
  options('before', [['', 'nothing'], ...before?.name == now.name ? [['last', 'the one before']] : [], ...kept ? [['kept', 'kept: ' + kept.name]] : [], ...each])
  wish = new Map
}

const counts = only => {
  const [, not, k, v] = only.match(/^(!?)(.*?)=(.*)$/s) || []
  return k ? l => (l.get(k) == v) != !!not : () => true
}

function show() {
  if (!now) return
  const type = +$.type.value, cmp = $.before.value, other = cmp == 'last' ? before : cmp == 'kept' ? kept : cmp ? now : null
  sides = [side(now, type, counts($.only.value))]
  if (other) sides.push(side(other, Math.max(other.types.findIndex(t => t[0] == now.types[type][0]), 0), counts(other == now ? cmp : $.only.value)))
  const word = $.search.value
  try { hit = word ? new RegExp(word, /[A-Z]/.test(word) ? '' : 'i') : null } catch { hit = null }
  $.search.ariaInvalid = !!word && !hit
  $.scale.hidden = !other
  const [{ total, rows, sum }, old] = sides, [kind, unit] = now.types[type], only = $.only.selectedOptions[0].text
  tell(`${kind}: ${say(total)}` + (sum == total ? '' : ` of ${say(sum)}, ${only}`) + (unit == 'count' ? '' : ` (${total} ${unit})`) + ` in ${rows.length} stacks` +
    (now.duration ? `, taken in ${amount(now.duration, 'nanoseconds')}` : '') +
    (old ? `; before ${say(old.total)}, change ${hourly() ? say(change([total, old.total])) + per() : say(total - old.total)}` : '') +
    (hit ? `; found ${share(within(sides[0], f => found(names[f])))}` : ''))
  const made = [...now.made].map(f => [f, within(sides[0], g => g == f)]).filter(m => m[1])
  const notes = [...now.about, ...made.map(([f, v]) => `${names[f]} ${say(v)}, ${share(v)}`), ...now.comments]
  if (!rows.length && sum) notes.unshift('None of: ' + only)
  if (now.count > 2e5) notes.push(`${now.count} samples are many; go tool pprof reads them too`)
  if (other) notes.push('Width is now; red is more than before, blue less.')
  else if (rows.some(i => sides[0].value(i) < 0)) notes.push('Width is the amount; red is more, blue less than nothing.')
  $.notes.replaceChildren(...notes.map(n => text('li', n, deadly.test(n) && 'bad')))
  views[shown]()
  const q = new URLSearchParams({ profile: now.name, view: shown })
  for (const k of ['seconds', 'only', 'group', 'search']) q.set(k, $[k].value)
  q.set('type', kind)
  history.replaceState(null, '', '?' + q)
}

function view(v) {
  shown = v
  for (const b of $.views.children) b.ariaPressed = b.value == v
  $.graph.hidden = $.pick.hidden = v != 'flame' && v != 'callers'
  show()
}
