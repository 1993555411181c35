// ---- the graph: what is called hangs below what calls; width is the value

const canvas = $.graph, pen = canvas.getContext('2d'), tall = 18, dark = matchMedia('(prefers-color-scheme: dark)')
let tree, zoom, boxes = [], picked, lineTable

// What the value from before is compared as.
const was = v => $.scale.value == 'share' && sides[1].total ? v * sides[0].total / sides[1].total : v
// By how much more it is, of [now, before]; per hour where time is between them.
const hourly = () => $.scale.value == 'hour' && sides[0].P.time > sides[1].P.time
const change = ([a, b]) => (a - was(b)) * (hourly() ? 3.6e12 / (sides[0].P.time - sides[1].P.time) : 1)
const per = () => hourly() ? ' per hour' : ''
const mixed = n => n.wide > Math.abs(n.v[0]) * 1.000001

function colour(n) {
  const name = names[n.f], night = dark.matches, light = night ? 38 : 78, [a, b] = n.v
  if (hit && hit.test(name)) return '#e6c'
  if (sides[1] || a < 0 || mixed(n)) {
    const part = sides[1] ? (a - was(b)) / (Math.max(Math.abs(a), Math.abs(was(b))) || 1) : a / n.wide, much = Math.abs(part)
    return `hsl(${part < 0 ? 215 : 5} ${much * 85}% ${light + (night ? 8 : -12) * much}%)`
  }
  if (n.f < 0 || unnamed(n.f)) return `hsl(0 0% ${light}%)`
  let h = 0
  for (const c of name.split(/[(<]/)[0]) h = h * 31 + c.charCodeAt() | 0
  return `hsl(${12 + (h & 63) * .6} ${night ? 45 : 75}% ${light - 6 + (h >> 8 & 7)}%)`
}
const title = n => n.f < 0 ? (focus != null && shown == 'callers' ? names[focus] : 'all') : names[n.f] + (n.run ? ' x' + n.run : '')

// Boxes of less than half a pixel are drawn as one, grey.
function put(n, x, w, deep) {
  (boxes[deep] ||= []).push({ n, x, w })
  let rest = 0, less = 0
  for (const k of tree.open(n)) {
    const wide = w * k.wide / n.wide
    if (!(wide >= .5)) { rest += wide; less++; continue }
    put(k, x, wide, deep + 1)
    x += wide
  }
  if (rest >= 1) (boxes[deep + 1] ||= []).push({ n, x, w: rest, less })
}
function draw() {
  const wide = canvas.clientWidth, above = []
  for (let n = zoom.up; n; n = n.up) above.unshift(n)
  boxes = above.map(n => [{ n, x: 0, w: wide }])
  put(zoom, 0, wide, above.length)
  const high = boxes.length * tall, q = Math.min(devicePixelRatio || 1, 32000 / high), night = dark.matches
  canvas.width = wide * q
  canvas.height = high * q
  canvas.style.height = high + 'px'
  pen.scale(q, q)
  pen.font = '12px system-ui, sans-serif'
  boxes.forEach((row, deep) => row.forEach(({ n, x, w, less }) => {
    const y = deep * tall
    pen.globalAlpha = deep < above.length || less ? .5 : 1
    pen.fillStyle = less ? '#888' : colour(n)
    pen.fillRect(x, y, Math.max(w - .5, .5), tall - 1)
    pen.fillStyle = pen.strokeStyle = night ? '#fff' : '#000'
    if (picked == n && !less) pen.strokeRect(x + 1, y + 1, Math.max(w - 2.5, 1), tall - 3)
    if (w < 25 || less) return
    pen.save()
    pen.beginPath()
    pen.rect(x, y, w - 2, tall)
    pen.clip()
    pen.fillText(title(n), x + 3, y + 13)
    pen.restore()
  }))
  $.out.hidden = !zoom.up
  canvas.textContent = boxes.flat().slice(0, 300).map(b => b.less ? '' : title(b.n) + ' ' + share(b.n.v[0])).join('; ')
}

// "file:line  function" of a place, by number; -1: not known.
const lineOf = (P, at) => (P.keys ||= P.where.map(([f, line]) => line ? number(line + '  ' + names[f]) : -1))[P.lines[at]] ?? -1

// The lines of a function that have most.
function placesOf(f) {
  lineTable ||= table(sides, lineOf).sort((a, b) => b.sum[0] - a.sum[0])
  const of = lineTable.filter(r => r.sum[0] && names[r.f]?.endsWith('  ' + names[f]))
  return of.slice(0, 3).map(r => `\n${names[r.f].split('  ')[0]}: ${say(r.sum[0])}`).join('') + (of[3] ? '\nand other lines' : '')
}
function describe({ n, less }) {
  if (less) return less + ' smaller ones'
  tree.open(n)
  return `${title(n)}\n${say(n.v[0])}, ${share(n.v[0])}` + (n.own && shown == 'flame' ? `; self ${say(n.own)}` : '') +
    (mixed(n) ? `; amounts together ${say(n.wide)}` : '') + (n.run ? `\n${n.run} frames without names in a row` : '') +
    (sides[1] ? `\nbefore ${say(n.v[1])}, change ${say(change(n.v))}${per()}` : '') + (n.f < 0 ? '' : placesOf(n.f))
}
const at = e => (boxes[e.offsetY / tall | 0] || []).find(b => e.offsetX >= b.x && e.offsetX < b.x + b.w)
function pick(n) {
  picked = n
  $.box.textContent = describe({ n }).replace(/\n/g, ' · ')
  $.whose.hidden = n.f < 0
  draw()
}
function enter(n) { zoom = n; pick(n) }
const leave = () => enter(zoom.up || zoom)
canvas.onmousemove = e => {
  const b = at(e), { style } = $.tip
  $.tip.hidden = !b
  if (!b) return
  $.tip.textContent = describe(b)
  style.left = Math.max(0, Math.min(e.clientX + 12, innerWidth - $.tip.offsetWidth - 8)) + 'px'
  style.top = e.clientY + (e.clientY > innerHeight / 2 ? -8 - $.tip.offsetHeight : 18) + 'px'
}
canvas.onmouseleave = () => { $.tip.hidden = true }
canvas.onclick = e => { const b = at(e); if (b && !b.less) enter(b.n) }
canvas.onkeydown = e => {
  const n = picked || zoom, drawn = k => boxes.some(r => r.some(b => b.n == k && !b.less))
  const step = way => { const all = n.up ? tree.open(n.up).filter(drawn) : [n]; return all[all.indexOf(n) + way] }
  const to = { ArrowUp: () => n.up, ArrowDown: () => tree.open(n).find(drawn), ArrowLeft: () => step(-1), ArrowRight: () => step(1) }[e.key]
  if (to) pick(to() || n)
  else if (e.key == 'Enter') enter(n)
  else if (e.key == 'Escape') leave()
  else return
  e.preventDefault()
}
$.out.onclick = leave
$.whose.onclick = () => { focus = picked.f; view('callers') }

// What was there before and is gone, largest first.
function gone() {
  const all = [], look = n => (n.kids || []).forEach(k => k.wide ? look(k) : k.v[1] && all.push(k)), list = text('ul', '')
  look(tree.top)
  for (const k of all.sort((a, b) => b.v[1] - a.v[1]).slice(0, 100)) list.append(text('li', `${title(k)} under ${title(k.up)}: ${say(k.v[1])}`))
  if (all.length) $.list.append(text('h2', 'Gone since'), list)
}
// Zoomed in where it was before, if that is still there.
function graphView(way) {
  const path = []
  for (let n = zoom; n && n.up; n = n.up) path.unshift(n.f)
  lineTable = null
  tree = graph(sides, way, way < 0 ? focus : null, $.group.value)
  zoom = tree.top
  for (const f of path) zoom = tree.open(zoom).find(k => k.f == f) || zoom
  enter(zoom)
  $.list.replaceChildren()
  if (sides[1]) gone()
  if (way < 0 && focus != null) $.list.append(button('Callers of all functions', () => { focus = null; show() }))
}
