// The page of a voice call: speak or type, hear the answer, see what is heard.

import { html, render, useEffect, useRef, useState } from '/web/vendor/htm-preact.js';
import { token } from '/web/console-link.js';
import { Desk } from '/web/talk-desk.js';
import { Choices, Lines, Trouble } from '/web/talk-parts.js';
import { firstLanguage, speaker } from '/web/talk-words.js';

const desk = new Desk();
const WIDE = matchMedia('(min-width: 981px)');
const LAMPS = { live: 'on', lost: 'lost', joining: 'joining' };
const ENDED = ['protocol', 'policy', 'taken', 'nowhere', 'forbidden'];

function App() {
  const [, again] = useState(0);
  const [lang, choose] = useState(firstLanguage());
  const [open, unfold] = useState(WIDE.matches);
  const say = speaker(lang);
  useEffect(() => { desk.changed = () => again((n) => n + 1); again(1); }, []);
  useEffect(() => { document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'; document.title = `${say('title')} · OnAir`; }, [lang]);
  const other = () => { const next = lang === 'zh' ? 'en' : 'zh'; localStorage.setItem('onair.lang', next); choose(next); };
  if (desk.link.state === 'refused') return html`<${Door} say=${say} />`;
  return html`<div class="talk ${open ? 'wide' : ''}" data-state=${desk.state}>
    <${Head} say=${say} other=${other} open=${open} unfold=${() => unfold(!open)} />
    <main>
      <${Stage} say=${say} />
      <${Trouble} say=${say} desk=${desk} />
      <${Lines} say=${say} desk=${desk} />
      <${Composer} say=${say} />
    </main>
    ${open && html`<${Choices} say=${say} desk=${desk} close=${() => unfold(false)} />`}
  </div>`;
}

function Head({ say, other, open, unfold }) {
  const { state } = desk;
  const word = ENDED.includes(state) ? 'ended' : state;
  return html`<header>
    <a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true"><circle cx="16" cy="16" r="5" /><path d="M8.500 8.500a10.600 10.600 0 0 0 0 15M23.500 8.500a10.600 10.600 0 0 1 0 15" /></svg><b>OnAir</b></a>
    <h1>${say('title')}</h1>
    <span class="lamp ${LAMPS[desk.link.state] ?? ''}" id="state" role="status" data-state=${state}><i></i>${say(word)}</span>
    <span class="gap"></span>
    <button class="quiet" id="choices-open" aria-expanded=${open} aria-controls="choices" onClick=${unfold}>${say('choices')}</button>
    <button class="quiet" id="lang" onClick=${other}>${say('other')}</button>
  </header>`;
}

// The state of the call as a shape: it breathes with whoever speaks.
function Stage({ say }) {
  const shape = useRef(null);
  useEffect(() => {
    let frame = 0;
    const step = () => {
      shape.current?.style.setProperty('--host', Math.min(1, desk.player.level() * 5).toFixed(3));
      shape.current?.style.setProperty('--you', Math.min(1, desk.mic.level * 8).toFixed(3));
      frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, []);
  const { state, call } = desk;
  const off = state === 'off' || ENDED.includes(state);
  const now = call.now();
  return html`<section class="stage" ref=${shape} aria-label=${say(off ? 'off' : state)}>
    <div class="orb"><i></i><i></i><b></b>
      ${off
        ? html`<button id="start" onClick=${() => desk.begin(true)}><${Microphone} /><span>${say(state === 'taken' ? 'take' : state === 'off' ? 'start' : 'again')}</span></button>`
        : html`<span class="is" aria-hidden="true">${say(state)}</span>`}
    </div>
    <p id="caption" class=${now ? 'said' : ''}>${now ? now.text : off ? say('start_hint') : say(`hint_${state}`)}</p>
    <p id="partial" aria-live="polite">${call.partial}</p>
  </section>`;
}

function Microphone() {
  return html`<svg viewBox="0 0 24 24" aria-hidden="true"><rect x="9" y="3" width="6" height="11" rx="3" /><path d="M5.500 11.500a6.500 6.500 0 0 0 13 0M12 18v3" /></svg>`;
}

function Composer({ say }) {
  const { mic, link } = desk;
  const [text, type] = useState('');
  useEffect(() => { if (desk.draft) { type((now) => now || desk.draft); desk.draft = ''; } }, [desk.draft]);
  const send = (event) => { event.preventDefault(); if (text.trim()) { desk.say(text.trim()); type(''); } };
  const mute = () => { mic.mute(!mic.muted); desk.changed(); };
  const on = !['off', ...ENDED].includes(link.state);
  return html`<div class="desk">
    <form onSubmit=${send}>
      <input id="text" value=${text} maxlength="4000" autocomplete="off" enterkeyhint="send" placeholder=${say('type')} aria-label=${say('type_label')} onInput=${(e) => type(e.target.value)} />
      <button id="send" class="send" disabled=${!text.trim()}>${say('send')}</button>
    </form>
    ${on && html`<div class="controls" role="group" aria-label=${say('controls')}>
      ${mic.live
        ? html`<button id="mute" class="tool ${mic.muted ? 'off' : ''}" aria-pressed=${mic.muted} onClick=${mute}><${Microphone} />${say(mic.muted ? 'unmute' : 'mute')}<${Level} say=${say} /></button>`
        : html`<button id="mic" class="tool" disabled=${mic.why === 'asking' || mic.why === 'insecure'} onClick=${() => desk.begin(true)}><${Microphone} />${say('mic_on')}</button>`}
      <button id="stop" class="tool" disabled=${!desk.busy} title=${say('stop_hint')} aria-keyshortcuts="Escape" onClick=${() => desk.stop()}>${say('stop')}</button>
      <button id="hang" class="tool hang" onClick=${() => desk.end()}>${say('hang')}</button>
    </div>`}
  </div>`;
}

function Level({ say }) {
  const bar = useRef(null);
  useEffect(() => {
    const timer = setInterval(() => {
      const level = Math.min(1, desk.mic.level * 8);
      bar.current?.style.setProperty('--level', level.toFixed(2));
      bar.current?.setAttribute('aria-valuenow', Math.round(level * 100));
    }, 100);
    return () => clearInterval(timer);
  }, []);
  return html`<span class="level" id="level" ref=${bar} role="meter" aria-label=${say('level')} aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"><i></i></span>`;
}

function Door({ say }) {
  const [text, type] = useState('');
  const enter = (event) => { event.preventDefault(); token.set(text.trim()); desk.link.look(); };
  return html`<form class="door" onSubmit=${enter}>
    <h1>OnAir · ${say('title')}</h1><p>${say('token_hint')}</p>
    <input type="password" id="token" value=${text} autocomplete="current-password" autofocus placeholder=${say('token')} aria-label=${say('token')} onInput=${(e) => type(e.target.value)} />
    <button class="send" disabled=${!text.trim()}>${say('enter')}</button>
    <p class="bad" role="alert">${token.get() ? say('refused_again') : ''}</p>
  </form>`;
}

addEventListener('keydown', (event) => { if (event.key === 'Escape' && desk.busy) { event.preventDefault(); desk.stop(); } });
addEventListener('pointerdown', () => desk.player.context?.resume());
render(html`<${App} />`, document.getElementById('app'));
setInterval(() => desk.follow(), 40);
desk.link.look();
globalThis.onair = { desk };
