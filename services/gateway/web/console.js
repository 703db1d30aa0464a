// The operators' console: how everything stands, once a second, and two hands on the show.

import { html, render, useEffect, useState } from '/web/vendor/htm-preact.js';
import { Link, order, token } from '/web/console-link.js';
import { Audit, Dead, Jobs, Ledger } from '/web/console-kept.js';
import { Pools, Rooms, Sessions, Streams, Workers } from '/web/console-now.js';
import { alarms, Store } from '/web/console-store.js';
import { Sure } from '/web/console-sure.js';
import { age, clock, firstLanguage, speaker } from '/web/console-words.js';

const store = new Store();
const TOLD_MS = 6_000;

function App() {
  const [, again] = useState(0);
  const [lang, choose] = useState(firstLanguage());
  const [told, tell] = useState(null);
  const say = speaker(lang);
  useEffect(() => { store.changed = () => again((n) => n + 1); const timer = setInterval(store.changed, 1_000); return () => clearInterval(timer); }, []);
  useEffect(() => { document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'; document.title = `${say('title')} · OnAir`; }, [lang]);
  useEffect(() => { const timer = told && setTimeout(() => tell(null), TOLD_MS); return () => clearTimeout(timer); }, [told]);
  const other = () => { const next = lang === 'zh' ? 'en' : 'zh'; localStorage.setItem('onair.lang', next); choose(next); };
  const act = async (what, path, body, on = '') => {
    try { await order(path, body); tell({ good: true, text: say(`done_${what}`, { on }) }); }
    catch (error) { tell({ good: false, text: say('not_done', { why: error.message }) }); }
  };
  const part = { say, store, act, lang };
  if (store.link === 'refused') return html`<${Door} say=${say} />`;
  return html`<div class="desk ${store.data.silence ? 'silent' : ''}">
    <${Head} ...${part} other=${other} />
    <${Trouble} ...${part} />
    <main>
      <div class="column"><${Streams} ...${part} /><${Workers} ...${part} /><${Pools} ...${part} /></div>
      <div class="column"><${Rooms} ...${part} /><${Ledger} ...${part} /></div>
      <div class="column"><${Sessions} ...${part} /><${Dead} ...${part} /><${Jobs} ...${part} /><${Audit} ...${part} /></div>
    </main>
    <p class="toast ${told ? (told.good ? 'good' : 'bad') : ''}" role="status">${told?.text ?? ''}</p>
  </div>`;
}

function Head({ say, store, act, other }) {
  const { silence } = store.data;
  const brokers = Object.entries(store.data.brokers ?? {}).sort();
  return html`<header>
    <a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true"><circle cx="16" cy="16" r="5" /><path d="M8.500 8.500a10.600 10.600 0 0 0 0 15M23.500 8.500a10.600 10.600 0 0 1 0 15" /></svg><b>OnAir</b></a>
    <h1>${say('title')}</h1>
    <span class="lamps">
      <span class="light ${store.link === 'live' ? 'good' : 'bad'}" id="link" data-state=${store.link}><i></i>${say(store.link)}</span>
      ${brokers.map(([name]) => html`<span key=${name} class="light ${store.stale(name) ? 'bad' : 'good'}" id=${`broker-${name}`}><i></i>${say(`broker_${name}`)}</span>`)}
    </span>
    <span class="gap"></span>
    <time>${clock(store.now())}</time>
    <button class="quiet" id="lang" onClick=${other}>${say('other')}</button>
    ${silence
      ? html`<${Sure} say=${say} kind="go" word="go_on" really="really_go_on" onSure=${() => act('go on', '/api/console/silence', { on: false })} />`
      : html`<button class="act kill" id="silence" title=${say('silence_hint')} onClick=${() => act('silence', '/api/console/silence', { on: true })}>${say('silence')}</button>`}
  </header>`;
}

function Trouble({ say, store }) {
  const { silence, brokers = {} } = store.data;
  const old = (name) => (brokers[name].at_ms ? age(store.now() - brokers[name].at_ms) : say('never'));
  const lost = store.link !== 'live' && store.heard;
  const down = lost ? [] : Object.keys(brokers).filter((name) => store.stale(name));
  const found = alarms(store, say);
  return html`<div class="strip">
    <div role="alert">
      ${silence && html`<p class="bad silenced" id="silenced"><b>${say('silenced')}</b>${say('silenced_line', { by: silence.by, at: clock(silence.at_ms) })}</p>`}
      ${lost && html`<p class="bad" id="lost"><b>${say('lost')}</b>${say('lost_line', { age: age(Date.now() - store.heard) })}</p>`}
      ${down.map((name) => html`<p key=${name} class="bad" id=${`down-${name}`}>${say('broker_line', { broker: say(`broker_${name}`), problem: brokers[name].problem || '…', age: old(name) })}</p>`)}
    </div>
    <p class="alarms" aria-live="polite">${found.length ? found.map((text) => html`<span key=${text}>${text}</span>`) : html`<em>${say(store.heard ? 'well' : 'joining')}</em>`}</p>
  </div>`;
}

function Door({ say }) {
  const [text, type] = useState('');
  const enter = (event) => { event.preventDefault(); token.set(text.trim()); store.link = 'joining'; link.join(); store.changed(); };
  return html`<form class="door" onSubmit=${enter}>
    <h1>OnAir · ${say('title')}</h1><p>${say('token_hint')}</p>
    <input type="password" id="token" value=${text} autocomplete="current-password" autofocus placeholder=${say('token')} aria-label=${say('token')} onInput=${(e) => type(e.target.value)} />
    <button class="act go" disabled=${!text.trim()}>${say('enter')}</button>
    <p class="bad" role="alert">${token.get() ? say('refused_again') : ''}</p>
  </form>`;
}

render(html`<${App} />`, document.getElementById('app'));
const link = new Link({
  event: (event) => store.event(event),
  state: (state, reason) => { if (state !== store.link) { Object.assign(store, { link: state, reason }); store.changed(); } },
});
globalThis.onair = { store, link };
