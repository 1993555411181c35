// ---- sums

// A side is a profile of which some samples count: rows lists them, value(i) is what one counts for; all: the sum of the amounts; sum: of the profile.
function side(P, type, counts) {
  const n = P.types.length, ok = P.labels.map(counts), rows = [], value = i => P.values[i * n + type]
  let total = 0, all = 0, sum = 0
  for (let i = 0, v; i < P.count; i++) {
    sum += v = value(i)
    if (v && ok[P.set[i]]) { rows.push(i); total += v; all += Math.abs(v) }
  }
  return { P, rows, value, total, all, sum }
}

// The nodes of a graph are made when they are drawn: most are too small ever to be.  v: what is in them now and before;
// own: what ends there; wide: what they are drawn by, which in a difference is the sum of the amounts.
const node = (f, up, deep) => ({ f, up, deep, v: [0, 0], own: 0, wide: 0, run: 0, rows: [[], []] })

// way 1: from the root; -1: callers of where each stack ends, or of the function `whose`.
function graph(sides, way, whose, group) {
  const top = node(-1, null, 0), from = sides.map(({ P, rows }) => {
    const at = new Int32Array(P.count)
    for (const i of rows) {
      let k = way > 0 ? P.start[i] : P.start[i + 1] - 1
      if (way < 0 && whose != null) while (k >= P.start[i] && P.frames[k] != whose) k--
      at[i] = k
    }
    return at
  })
  const add = (n, k, i, v) => { n.v[k] += v; if (!k) n.wide += Math.abs(v); n.rows[k].push(i) }
  sides.forEach(({ P, rows, value }, k) => {
    for (const i of rows) if (whose == null || from[k][i] >= P.start[i]) add(top, k, i, value(i))
  })
  function open(n) {
    if (n.kids) return n.kids
    const kids = new Map
    sides.forEach(({ P, value }, k) => {
      for (const i of n.rows[k]) {
        const at = from[k][i] + way * n.deep, ends = at < P.start[i] || at >= P.start[i + 1], label = group && !n.up
        if (ends && !label) { if (!k) n.own += value(i); continue }
        const f = label ? number(group + ': ' + (P.labels[P.set[i]].get(group) || '(none)')) : P.frames[at]
        let kid = kids.get(f)
        if (!kid) kids.set(f, kid = node(f, n, label ? n.deep : n.deep + 1))
        add(kid, k, i, value(i))
        if (!label && P.lines[at] < 0) kid.run = Math.max(kid.run, 1 - P.lines[at])
      }
    })
    n.rows = 0
    return n.kids = [...kids.values()].sort((a, b) => b.wide - a.wide || (names[a.f] < names[b.f] ? -1 : 1))
  }
  return { top, open }
}

// What each key has for itself (where stacks end), and with all it calls, counted once a stack.  key: frames or lines.
function table(sides, key) {
  const all = new Map
  sides.forEach(({ P, rows, value }, k) => {
    const seen = new Map
    for (const i of rows) {
      const v = value(i), end = P.start[i + 1]
      for (let at = P.start[i]; at < end; at++) {
        const f = key(P, at)
        let r = all.get(f)
        if (!r) all.set(f, r = { f, own: [0, 0], sum: [0, 0] })
        if (at == end - 1) r.own[k] += v
        if (seen.get(f) !== i) { seen.set(f, i); r.sum[k] += v }
      }
    }
  })
  return [...all.values()]
}

// Who calls f, and whom it calls, each pair once a stack.
function around({ P, rows, value }, f) {
  const up = new Map, down = new Map
  for (const i of rows) {
    const pairs = new Set, add = (m, at, way) => {
      const g = at + way < P.start[i] ? number('[root]') : P.frames[at + way]
      if (at + way < P.start[i + 1] && !pairs.has(way * (g + 1))) { pairs.add(way * (g + 1)); m.set(g, (m.get(g) || 0) + value(i)) }
    }
    for (let at = P.start[i]; at < P.start[i + 1]; at++) if (P.frames[at] == f) { add(up, at, -1); add(down, at, 1) }
  }
  return [up, down].map(m => [...m].sort((a, b) => b[1] - a[1]))
}

// How much is in stacks with one of the functions of `hits`.
const within = ({ P, rows, value }, hits) => rows.reduce((sum, i) => {
  for (let at = P.start[i]; at < P.start[i + 1]; at++) if (hits(P.frames[at])) return sum + value(i)
  return sum
}, 0)
