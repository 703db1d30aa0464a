// The page of a room: the stage with its host, captions in time, the queue with reasons, a box to write.

import { html, render, useEffect, useRef, useState } from '/web/vendor/htm-preact.js';
import { Clock, Link } from '/web/link.js';
import { Player } from '/web/player.js';
import { Puppet } from '/web/puppet.js';
import { Show } from '/web/show.js';
import { firstLanguage, speaker } from '/web/words.js';

const query = new URLSearchParams(location.search);
const room = decodeURIComponent(location.pathname.split('/')[2] ?? '');
const token = query.get('token') ?? '';
const obs = query.get('obs') === '1';
const AMOUNTS = [5, 30, 50, 100, 500];

const clock = new Clock();
const player = new Player(clock);
const show = new Show(player);
const scene = { turn: null, caption: null, face: 'neutral' };

function useShow() {
  const [, again] = useState(0);
  useEffect(() => { const tick = () => again((n) => n + 1); show.changed = tick; player.onstate = tick; return () => {}; }, []);
}

function App() {
  useShow();
  const [lang, choose] = useState(firstLanguage());
  const say = speaker(lang);
  useEffect(() => {
    document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';
    document.title = `${room} · OnAir`;
  }, [lang]);
  const other = () => { const next = lang === 'zh' ? 'en' : 'zh'; localStorage.setItem('onair.lang', next); choose(next); };
  if (obs) return html`<main class="obs"><${Host} /><${Caption} say=${say} /></main>`;
  return html`<div class="page">
    <${Header} say=${say} other=${other} />
    <main class="stage" aria-label=${say('stage')}>
      <div class="light"></div>
      <${Cause} say=${say} />
      <${Host} />
      <${Sound} say=${say} />
      <${Trouble} say=${say} />
      <${Caption} say=${say} />
    </main>
    <aside class="side"><${Queue} say=${say} /><${Write} say=${say} /></aside>
  </div>`;
}

function Header({ say, other }) {
  const on = scene.turn !== null && show.link === 'live';
  const state = show.link === 'live' ? (on ? 'live' : 'idle') : show.link;
  return html`<header>
    <a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true"><circle cx="16" cy="16" r="5" /><path d="M8.500 8.500a10.600 10.600 0 0 0 0 15M23.500 8.500a10.600 10.600 0 0 1 0 15" /></svg><b>OnAir</b></a>
    <span class="room">${room}</span>
    <span class="lamp ${state}" role="status" data-state=${state}><i></i>${say(state)}</span>
    <span class="gap"></span>
    ${player.on && html`<button class="quiet" onClick=${() => player.mute(!player.muted)} aria-pressed=${player.muted}>${say(player.muted ? 'unmute' : 'mute')}</button>`}
    <button class="quiet" id="lang" onClick=${other}>${say('other')}</button>
  </header>`;
}

function Host() {
  const place = useRef(null);
  useEffect(() => {
    const puppet = new Puppet(place.current);
    let frame = 0;
    const step = (ms) => { puppet.frame(ms, player.level(), scene.face); frame = requestAnimationFrame(step); };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, []);
  return html`<div class="host" ref=${place}></div>`;
}

function Caption({ say }) {
  const { caption, turn } = scene;
  if (caption) return html`<div class="caption" key=${`${caption.turn}/${caption.index}`}><p id="caption">${caption.text}</p></div>`;
  if (obs) return null;
  if (turn) return html`<div class="caption hint"><p><span class="dots"><i></i><i></i><i></i></span>${say('thinking')}</p></div>`;
  if (show.ended) return html`<div class="caption hint"><p>${say('ended')} · ${say('ended_line', show.ended)}</p></div>`;
  return html`<div class="caption hint"><p>${say('welcome_line')}</p></div>`;
}

function Cause({ say }) {
  const { turn } = scene;
  if (!turn) return null;
  const causes = turn.causes.map((id) => show.cards.get(id)).filter(Boolean);
  const first = causes[0];
  const who = first ? first.viewer || say('anonymous') : turn.viewer || say('topic');
  const text = first ? words(first, say) : turn.viewer ? turn.ask : '';
  const reason = first?.reason ? reasoned(first.reason, say) : '';
  return html`<section class="cause ${turn.lane}" key=${turn.turn}>
    <h2>${say('answering')}${reason && html`<em>${reason}</em>`}</h2>
    <p class="who">${who}${first && html`<${Price} card=${first} />`}</p>
    ${text && html`<p class="what">${text}</p>`}
  </section>`;
}

function Sound({ say }) {
  if (player.on) return null;
  return html`<button class="unlock" id="sound" onClick=${() => player.unlock()}>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 9.500v5h3.500L12 18.500v-13L7.500 9.500ZM15.500 9a4.200 4.200 0 0 1 0 6M18 6.500a7.800 7.800 0 0 1 0 11" /></svg>
    <span><b>${say('sound')}</b><small>${say('sound_hint')}</small></span></button>`;
}

function Trouble({ say }) {
  const failed = show.failed && clock.now() - show.failed.at_ms < 20_000 ? show.failed : null;
  const lost = show.link === 'lost' || show.link === 'unknown';
  if (!failed && !lost) return null;
  const head = lost ? say(show.link) : speakerOr(say, `code_${failed.code}`, say('failed'));
  return html`<section class="trouble" role="alert"><b>${head}</b><p>${lost ? show.reason : failed.sentence}</p></section>`;
}

function Queue({ say }) {
  const { live, over } = show.lanes();
  return html`<section class="queue">
    <h2>${say('queue')}<span>${live.length || ''}</span></h2>
    ${live.length ? html`<ol>${live.map((card) => html`<${Item} key=${card.id} card=${card} say=${say} />`)}</ol>` : html`<p class="none">${say('queue_empty')}</p>`}
    <h2>${say('done')}</h2>
    ${over.length ? html`<ol class="over">${over.slice(0, 24).map((card) => html`<${Item} key=${card.id} card=${card} say=${say} />`)}</ol>` : html`<p class="none">${say('done_empty')}</p>`}
  </section>`;
}

function Item({ card, say }) {
  const reason = card.reason ? reasoned(card.reason, say) : '';
  return html`<li class="item ${card.state} ${card.lane} ${card.fresh ? 'fresh' : ''}" data-id=${card.id} data-state=${card.state}>
    <p class="who"><span>${card.viewer || say('anonymous')}</span><${Price} card=${card} /><small>${say(`kind_${card.kind}`)}</small></p>
    <p class="what">${words(card, say)}</p>
    <p class="why"><b>${say(`state_${card.state}`)}</b>${reason && card.state !== 'answered' && html`<span>${reason}</span>`}</p>
  </li>`;
}

function Price({ card }) {
  return card.amount_fen ? html`<span class="price">¥${+(card.amount_fen / 100).toFixed(2)}</span>` : null;
}

function Write({ say }) {
  const [text, setText] = useState('');
  const [name, setName] = useState(localStorage.getItem('onair.name') ?? '');
  const [amount, setAmount] = useState(0);
  const [told, tell] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    if (!text.trim() || told?.state === 'sending') return;
    localStorage.setItem('onair.name', name);
    tell({ state: 'sending' });
    const body = { kind: amount ? 'super_chat' : 'danmaku', text, viewer: name || say('anonymous'), id: crypto.randomUUID?.() };
    if (amount) body.amount_fen = Math.round(amount * 100);
    tell(await post(body, say));
    setTimeout(() => tell((now) => (now?.state === 'sent' ? null : now)), 2_500);
  };
  const post = async (body, say) => {
    try {
      const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
      const answer = await fetch(`/api/rooms/${encodeURIComponent(room)}/events`, { method: 'POST', headers, body: JSON.stringify(body) });
      if (answer.ok) { setText(''); return { state: 'sent' }; }
      return { state: 'refused', why: (await answer.json()).detail };
    } catch { return { state: 'refused', why: say('lost') }; }
  };
  return html`<form class="write ${amount ? 'paid' : ''}" onSubmit=${send} aria-label=${say('write')}>
    <div class="kinds" role="group">
      <button type="button" aria-pressed=${!amount} onClick=${() => setAmount(0)}>${say('comment')}</button>
      ${AMOUNTS.map((yuan) => html`<button type="button" class="coin" aria-pressed=${amount === yuan} onClick=${() => setAmount(yuan)}>¥${yuan}</button>`)}
    </div>
    <div class="row"><input id="name" class="name" value=${name} maxlength="128" placeholder=${say('name')} aria-label=${say('name')} onInput=${(e) => setName(e.target.value)} />
      <input id="text" value=${text} maxlength="2000" placeholder=${say(amount ? 'say_paid' : 'say')} aria-label=${say('say')} autocomplete="off" onInput=${(e) => setText(e.target.value)} />
      <button id="send" class="send" disabled=${!text.trim()}>${say(told?.state === 'sending' ? 'sending' : 'send')}</button></div>
    <p class="told ${told?.state ?? ''}" role="status">${told && told.state !== 'sending' ? `${say(told.state)}${told.why ? `：${told.why}` : ''}` : ''}</p>
  </form>`;
}

function words(card, say) {
  if (card.kind === 'gift' && card.gift) return `${say('gifts', card)}${card.text && !card.text.includes(card.gift) ? ` · ${card.text}` : ''}`;
  return card.text || say(`kind_${card.kind}`);
}

function reasoned(reason, say) { return speakerOr(say, `reason_${reason}`, reason.replaceAll('_', ' ')); }
function speakerOr(say, key, other) { const said = say(key); return said === key ? other : said; }

// The scene changes with the show's clock, not with messages.
function follow() {
  const now = show.at(player.now());
  if (now.turn !== scene.turn || now.caption !== scene.caption || now.face !== scene.face) {
    Object.assign(scene, now);
    show.changed();
  }
}

document.documentElement.classList.toggle('is-obs', obs);
render(html`<${App} />`, document.getElementById('app'));
setInterval(follow, 40);
const link = new Link(room, token, clock, {
  event: (event) => show.event(event),
  sound: (header, pcm) => player.put(header, pcm),
  state: (state, reason) => { Object.assign(show, { link: state, reason }); show.changed(); },
});
if (!player.on) player.unlock().catch(() => {}); // where the browser allows it, sound needs no click
addEventListener('pointerdown', () => { if (!player.on && !obs) player.unlock(); }, { once: true });
globalThis.onair = { player, show, scene, link };
