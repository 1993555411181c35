'use strict'
// ---- profiles: the published profile.proto, unpacked

// Names of functions by number, the same in all profiles of this page.
const names = [], numbers = new Map
function number(name) {
  let i = numbers.get(name)
  if (i === undefined) numbers.set(name, i = names.push(name) - 1)
  return i
}
const unnamed = i => names[i][0] == '['

async function unzip(bytes) {
  if (bytes[0] != 31) return bytes
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer())
}

// The samples lie in flat arrays: sample i has values[i * types.length ...], set[i] is its labels, and its stack,
// root first, is frames[start[i] ... start[i + 1]], with the places in lines.
function decode(b) {
  let p = 0
  // 28 bits by shifts, the other 36 as a number, so that all up to 2^53 are exact, negative ones too.
  function varint() {
    let c = b[p++], low = c & 127, high = 0, s = 7
    for (; c > 127 && s < 28; s += 7) low |= ((c = b[p++]) & 127) << s
    if (c < 128) return low
    for (s = 1; c > 127; s *= 128) high += ((c = b[p++]) & 127) * s
    return high >= 2 ** 35 ? (high - 2 ** 36) * 2 ** 28 + low : high * 2 ** 28 + low
  }
  function each(end, visit) {
    while (p < end) {
      const tag = varint(), wire = tag & 7, v = wire == 1 ? 8 : wire == 5 ? 4 : varint(), next = wire ? p + v : p
      if (!(next <= end) || wire > 2 && wire < 5) throw Error('no whole profile')
      visit(tag >> 3, v, next)
      p = next
    }
  }
  function numbersTo(out, v, next) {
    if (p == next) out.push(v)
    else while (p < next) out.push(varint())
  }
  const record = end => { const r = []; each(end, (f, v) => { r[f] = v }); return r }
  const types = [], text = [], comments = [], places = [], place = [], functions = [], mappings = [], sets = new Map
  const ids = [], values = [], ends = [], set = []
  const P = { duration: 0 }
  let preferred = 0
  each(b.length, (f, v, next) => {
    if (f == 1) types.push(record(next))
    else if (f == 2) {
      let labels = ''
      each(next, (g, w, to) => {
        if (g == 1) numbersTo(ids, w, to)
        else if (g == 2) numbersTo(values, w, to)
        else if (g == 3) { const l = record(to); labels += [l[1], l[2] || 0, l[3] || 0] + ' ' }
      })
      ends.push(ids.length)
      if (!sets.has(labels)) sets.set(labels, sets.size)
      set.push(sets.get(labels))
    } else if (f == 3) mappings.push(record(next))
    else if (f == 4) {
      const l = { lines: [], address: 0 }
      each(next, (g, w, to) => {
        if (g == 1) place[w] = places.push(l) - 1
        else if (g == 3) l.address = w
        else if (g == 4) l.lines.push(record(to))
      })
    } else if (f == 5) { const r = record(next); functions[r[1]] = r }
    else if (f == 6) text.push(new TextDecoder().decode(b.subarray(p, next)))
    else if (f == 9) P.time = v
    else if (f == 10) P.duration = v
    else if (f == 13) numbersTo(comments, v, next)
    else if (f == 14) preferred = v
  })
  const say = i => text[i || 0] || ''
  P.types = types.map(t => [say(t[1]), say(t[2])])
  P.type = Math.max(P.types.findIndex(t => t[0] == say(preferred)), 0)
  if (!preferred) P.type = P.types.length - 1
  P.comments = comments.map(say)
  P.program = mappings[0] ? say(mappings[0][5]).split('/').pop() : ''
  P.made = new Set
  P.where = []
  for (const l of places) {
    const lines = l.lines.length ? l.lines : [[]]
    l.at = lines.map(n => {
      const fn = functions[n[1]] || [], f = number(say(fn[2]) || '0x' + l.address.toString(16))
      if (l.address < 4096 && /^\[(?!signal |kernel )/.test(names[f])) P.made.add(f)
      return P.where.push([f, say(fn[4]) && say(fn[4]) + (n[2] ? ':' + n[2] : ''), n[2] || 0]) - 1
    }).reverse()
  }
  P.labels = [...sets.keys()].map(s => {
    const of = new Map
    for (const l of s.trim().split(' ')) if (l) { const [k, t, n] = l.split(','); of.set(say(k), +t ? say(t) : n) }
    return of
  })
  // Of equal frames without a name only one stays, with their number in the place of a line.
  const frames = [], lines = [], start = new Int32Array(ends.length + 1)
  ends.forEach((end, i) => {
    let n = start[i]
    for (let k = end; k-- > (i && ends[i - 1]);) {
      const { at } = places[place[ids[k]]]
      for (let j = 0; j < at.length; j++) {
        const f = P.where[at[j]][0]
        if (n > start[i] && frames[n - 1] == f && unnamed(f)) { lines[n - 1] = Math.min(lines[n - 1], 0) - 1; continue }
        frames[n] = f
        lines[n++] = at[j]
      }
    }
    start[i + 1] = n
  })
  return Object.assign(P, { start, frames: Int32Array.from(frames), lines: Int32Array.from(lines), set, values: Float64Array.from(values), count: set.length })
}
