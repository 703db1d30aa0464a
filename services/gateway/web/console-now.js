// What goes on: streams, workers, pools, rooms, sessions.

import { html, useState } from '/web/vendor/htm-preact.js';
import { age, known } from '/web/console-words.js';

const WIDTH = 60;
const HEIGHT = 18;
const RATE = 24_000;

export function Panel({ say, store, name, count, broker = 'work', tools, children }) {
  return html`<section class="panel ${name} ${store.stale(broker) && store.heard ? 'stale' : ''}" aria-label=${say(name)}>
    <h2>${say(name)}${count != null && html`<span>${count}</span>`}<span class="gap"></span>${tools}</h2>
    <div class="body" tabindex="0">${children}</div>
  </section>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;
const zero = (value) => (value ? '' : 'zero');
const rate = (value) => (value ? (value < 10 ? value.toFixed(1) : Math.round(value)) : '0');

// Bars: what came in each second; the line: what was unfinished. Each has its own scale.
function Spark({ samples = [] }) {
  const most = Math.max(1, ...samples.map(([came]) => came));
  const deepest = Math.max(1, ...samples.map(([, length]) => length));
  const x = (at) => WIDTH - samples.length + at;
  const bars = samples.map(([came], at) => (came ? `M${x(at)} ${HEIGHT}v${-(came / most) * (HEIGHT - 1)}` : '')).join('');
  const line = samples.map(([, length], at) => `${at ? 'L' : 'M'}${x(at)} ${HEIGHT - 0.5 - (length / deepest) * (HEIGHT - 2)}`).join('');
  return html`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path class="base" d="M0 ${HEIGHT - 0.5}H${WIDTH}" /><path class="came" d=${bars} /><path class="left" d=${line} /></svg>`;
}

export function Streams({ say, store }) {
  const [busy, only] = useState(false);
  const rows = store.data.streams ?? [];
  const shown = busy ? rows.filter((row) => row.length || row.in || row.out) : rows;
  const tools = html`<label class="check"><input type="checkbox" checked=${busy} onChange=${() => only(!busy)} />${say('busy_only')}</label>`;
  return html`<${Panel} say=${say} store=${store} name="streams" count=${rows.length} tools=${tools}>
    ${rows.length ? html`<table><thead><tr><th scope="col">${say('stream')}</th>${['length', 'lag', 'pending', 'oldest', 'consumers', 'in', 'out'].map((name) => html`<th key=${name} scope="col" class="n ${name}">${say(name)}</th>`)}<th scope="col" class="minute">${say('minute')}</th></tr></thead>
      <tbody>${shown.map((row) => html`<tr key=${`${row.key}/${row.group}`} data-stream=${row.key}>
        <th scope="row" title=${row.key}>${row.key}<small>${row.group}</small></th>
        <td class="n length ${zero(row.length)}">${row.length}</td><td class="n lag ${zero(row.lag)}">${row.lag}</td><td class="n pending ${zero(row.pending)}">${row.pending}</td>
        <td class="n oldest ${row.oldest_ms && store.since(row.oldest_ms) > 10_000 ? 'late' : zero(row.oldest_ms)}">${row.oldest_ms ? age(store.since(row.oldest_ms)) : '–'}</td>
        <td class="n consumers ${zero(row.consumers)}">${row.consumers}</td><td class="n in ${zero(row.in)}">${rate(row.in)}</td><td class="n out ${zero(row.out)}">${rate(row.out)}</td>
        <td class="minute"><${Spark} samples=${store.minutes.get(row.key)} /></td></tr>`)}</tbody></table>
      ${!shown.length && html`<${Empty}>${say('none_busy')}<//>`}` : html`<${Empty}>${say('streams_empty')}<//>`}
  <//>`;
}

export function Workers({ say, store }) {
  const rows = store.data.workers ?? [];
  const [open, toggle] = useState('');
  return html`<${Panel} say=${say} store=${store} name="workers" count=${rows.length}>
    ${rows.length ? html`<ul class="rows">${rows.map((row) => html`<${Worker} key=${row.name} row=${row} say=${say} store=${store} open=${open === row.name} toggle=${() => toggle(open === row.name ? '' : row.name)} />`)}</ul>` : html`<${Empty}>${say('workers_empty')}<//>`}
  <//>`;
}

function Worker({ row, say, store, open, toggle }) {
  const [first, ...rest] = row.holds;
  const gone = row.state === 'gone' ? say('gone_line', { age: age(row.seen_ms ? store.since(row.seen_ms) : null) }) : '';
  return html`<li class="worker ${row.state}" data-worker=${row.name} data-state=${row.state}>
    <button class="line" aria-expanded=${open} onClick=${toggle}>
      <i class="dot" title=${say(row.state)}></i><b>${row.service}</b><small>${row.pid ? `${row.host}:${row.pid}` : row.name}</small>
      <span class="does">${first ? html`<${Hold} hold=${first} say=${say} store=${store} />` : html`<em>${gone || row.why || say('idle')}</em>`}</span>
      ${rest.length > 0 && html`<small class="more">+${rest.length}</small>`}
      <small class="up">${row.state === 'gone' ? say('gone') : age(store.since(row.since_ms))}</small>
    </button>
    ${open && html`<div class="detail"><p>${[row.name, say(row.state), gone, row.why, row.version && `v${row.version}`, ...Object.entries(row.slots ?? {}).map(([key, slots]) => `${key} ×${slots}`)].filter(Boolean).join(' · ')}</p>
      ${row.holds.map((hold) => html`<p key=${`${hold.stream}${hold.id}`}><${Hold} hold=${hold} say=${say} store=${store} /> <small>${hold.stream} ${hold.id} · ${hold.turn}${hold.index == null ? '' : `/${hold.index}`}</small></p>`)}</div>`}
  </li>`;
}

function Hold({ hold, say, store }) {
  const held = `${hold.exact ? '' : say('at_least')}${age(store.since(hold.held_since_ms))}`;
  return html`<span class="hold"><b class="n">${held}</b> ${hold.text || hold.turn || hold.id}${hold.deliveries > 1 && html` <mark>${say('tries', { count: hold.deliveries })}</mark>`} <small>${hold.session}</small></span>`;
}

export function Pools({ say, store }) {
  const rows = store.data.pools ?? [];
  return html`<${Panel} say=${say} store=${store} name="pools" count=${rows.length}>
    ${rows.length ? html`<table><thead><tr><th scope="col">${say('pool')}</th>${['workers', 'permits', 'busy', 'waiting'].map((name) => html`<th key=${name} scope="col" class="n">${say(`pool_${name}`)}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.pool} data-pool=${row.pool}><th scope="row"><i class="dot ${row.living ? 'good' : row.waiting ? 'bad' : ''}"></i>${row.pool}${!row.living && html`<small>${say('no_worker')}</small>`}</th>
        ${['workers', 'permits', 'busy', 'waiting'].map((name) => html`<td key=${name} class="n ${zero(row[name])}">${row[name]}</td>`)}</tr>`)}</tbody></table>` : html`<${Empty}>${say('pools_empty')}<//>`}
  <//>`;
}

export function Rooms({ say, store, act }) {
  const rows = store.data.rooms ?? [];
  const scenes = new Map((store.data.sessions?.rows ?? []).map((row) => [row.session, row]));
  return html`<${Panel} say=${say} store=${store} name="rooms" count=${rows.length}>
    ${rows.length ? rows.map((row) => html`<${Room} key=${row.room} row=${row} scene=${scenes.get(row.room)} say=${say} store=${store} act=${act} />`) : html`<${Empty}>${say('rooms_empty')}<//>`}
  <//>`;
}

function Room({ row, scene, say, store, act }) {
  const air = row.floor.find(({ aired_ms: at }) => at);
  const next = row.floor.find(({ aired_ms: at }) => !at);
  const state = !row.director ? 'no_director' : air ? 'on_air' : 'quiet';
  const lanes = { ...scene?.lanes, paid: Math.max(row.paid - (air?.lane === 'paid'), 0), chat: Math.max(scene?.lanes?.chat ?? 0, row.chat) };
  return html`<article class="room is-${state}" data-room=${row.room}>
    <h3><a href=${`/rooms/${row.room}`}>${row.room}</a><span class="light ${state === 'no_director' ? 'bad' : state === 'on_air' ? 'air' : ''}"><i></i>${say(state)}</span>
      <span class="gap"></span><button class="act stop" title=${say('stop_hint')} aria-label=${`${say('stop')} ${row.room}`} onClick=${() => act('stop', '/api/console/stop', { session: row.room }, row.room)}>${say('stop')}</button></h3>
    <p class="said">${scene?.said || html`<em>${say('silent_now')}</em>`}</p>
    <p class="turn"><small>${say('answering')}</small>${air ? html`<${Turn} turn=${air} say=${say} /><b class="n">${age(store.since(air.aired_ms))}</b>` : '–'}</p>
    <p class="turn"><small>${say('next')}</small>${next ? html`<${Turn} turn=${next} say=${say} /><b class="n">${next.count == null ? say('making', { n: next.sentences + 1 }) : say('prepared', next)}</b>` : '–'}</p>
    <p class="facts">${['paid', 'chat', 'welcome'].map((lane) => html`<span key=${lane} class=${lane}><b>${lanes[lane] ?? 0}</b> ${say(`lane_${lane}`)}</span>`)}<span class="gap"></span><small>${row.director && `${row.director} · ${say('term')} ${row.term}`} · ${say('epoch', row)}</small></p>
  </article>`;
}

function Turn({ turn, say }) {
  const what = turn.reason === 'idle' ? say('idle_topic') : turn.text;
  return html`<span class="asked">${turn.amount_fen > 0 && html`<span class="price">¥${+(turn.amount_fen / 100).toFixed(2)}</span>`}<b>${turn.viewer}</b> ${what}</span>`;
}

export function Sessions({ say, store, act }) {
  const { rows = [], count = 0, more } = store.data.sessions ?? {};
  const rooms = new Set((store.data.rooms ?? []).map(({ room }) => room));
  const others = rows.filter(({ session }) => !rooms.has(session));
  const hidden = count - rows.length;
  return html`<${Panel} say=${say} store=${store} name="sessions" broker="live" count=${`${count - (rows.length - others.length)}${more ? '+' : ''}`}>
    ${others.length ? html`<ul class="rows">${others.map((row) => html`<li key=${row.session} class="session" data-session=${row.session}>
      <i class="dot ${row.said ? 'good' : ''}"></i><small class="kind">${say(`kind_${row.kind}`)}</small><span class="does" title=${row.session}>${row.said || row.turn?.ask || row.failed?.sentence || html`<em>${row.session}</em>`}</span>
      <small class="up">${age(store.since(row.last_ms))}</small><button class="act stop" title=${say('stop_hint')} aria-label=${`${say('stop')} ${row.session}`} onClick=${() => act('stop', '/api/console/stop', { session: row.session }, row.session)}>■</button></li>`)}</ul>` : html`<${Empty}>${say('sessions_empty')}<//>`}
    ${hidden > 0 && html`<p class="empty">${say('sessions_more', { count: rows.length })}</p>`}
  <//>`;
}

export const seconds = (samples) => (samples ? `${(samples / RATE).toFixed(1)} s` : '');
export const reasoned = (say, reason) => (reason ? known(say, `reason_${reason}`, reason.replaceAll('_', ' ')) : '');
