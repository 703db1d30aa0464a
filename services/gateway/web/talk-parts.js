// Parts of the call's page: the conversation, what is wrong, what may be chosen.

import { html, useEffect, useRef } from '/web/vendor/htm-preact.js';
import { known } from '/web/talk-words.js';

const PARTS = ['end_of_turn_ms', 'recognised_ms', 'first_sentence_ms', 'first_audio_ms', 'total_ms'];
const ENDED = ['protocol', 'policy', 'taken', 'nowhere', 'forbidden'];
const ERROR_MS = 12_000;

export function Lines({ say, desk }) {
  const list = useRef(null);
  const { call } = desk;
  const shown = call.lines.length + (call.place?.index ?? 0);
  useEffect(() => { list.current.scrollTop = list.current.scrollHeight; }, [shown, call.open, call.partial]);
  return html`<ol class="lines" id="lines" ref=${list} role="log" aria-label=${say('conversation')} tabindex=${call.lines.length ? 0 : -1}>
    ${call.lines.map((line, n) => (line.who === 'you'
      ? html`<li class="you" key=${n}><small>${say('you')}</small><p>${line.text}</p>${line.pending && html`<small class="foot">${say('pending')}</small>`}</li>`
      : html`<${Host} key=${n} say=${say} desk=${desk} line=${line} />`))}
  </ol>`;
}

// Sentences of spaced scripts need a space between them.
function apart(text) { return /[!-~]$/.test(text) ? `${text} ` : text; }

function Host({ say, desk, line }) {
  const heard = desk.call.captions(line).filter(({ state }) => state === 'heard' || state === 'now' || state === 'broken');
  if (!heard.length && !line.error && !(line.stopped && line.done)) return null;
  const name = desk.choice('persona') || desk.menu.persona || 'OnAir';
  return html`<li class="host"><small>${line.name ??= name}</small>
    <p>${heard.map(({ index, text, state }) => html`<span key=${index} class=${state} aria-current=${state === 'now' ? 'true' : null}>${apart(text)}</span>`)}${line.stopped && html`<em>${say('cut')}</em>`}</p>
    ${line.error && html`<p class="bad">${known(say, `code_${line.error.code}`, line.error.message)}</p>`}
    <${Wait} say=${say} line=${line} />
  </li>`;
}

// How long the user waited, by the page's own clock, and the parts that the gateway knows.
function Wait({ say, line }) {
  if (line.wait === null) return null;
  const parts = PARTS.filter((part) => line.latency?.[part] !== undefined);
  return html`<small class="foot wait"><b>${say('waited', { s: (line.wait / 1000).toFixed(2) })}</b>${parts.map((part) => html`<span key=${part}>${say(`part_${part}`)} ${line.latency[part]}</span>`)}${parts.length ? ' ms' : ''}</small>`;
}

export function Trouble({ say, desk }) {
  const { link, mic, call, notice } = desk;
  const told = [];
  if (ENDED.includes(link.state)) told.push(['end', say(`end_${link.state}`, { why: link.reason })]);
  if (link.state === 'lost') told.push(['lost', known(say, `lost_${link.code}`, link.reason || say('lost_0'))]);
  if (notice) told.push(['notice', say(notice)]);
  if (call.error && !call.open && performance.now() - call.error.at < ERROR_MS) told.push(['error', say('wrong', { why: `${known(say, `code_${call.error.code}`, '')} ${call.error.message}`.trim() })]);
  if (!['', 'off', 'asking'].includes(mic.why)) told.push(['mic', say(`mic_${mic.why}`)]);
  return html`<div class="trouble" role="alert">${told.map(([id, text]) => html`<p key=${id} id=${`trouble-${id}`} class=${id}>${text}</p>`)}</div>`;
}

export function Choices({ say, desk, close }) {
  const { menu } = desk;
  const pick = (name) => (event) => desk.choose(name, event.target.value);
  return html`<aside class="choices" id="choices" aria-label=${say('choices')}>
    <h2>${say('choices')}<button class="quiet" id="choices-close" onClick=${close}>${say('close')}</button></h2>
    <${Select} name="persona" label=${say('persona')} value=${desk.choice('persona') || menu.persona} options=${menu.personas.map(({ name }) => [name, name])} pick=${pick('persona')} />
    <${Select} name="speaker" label=${say('voice')} value=${desk.choice('speaker')} options=${[['', say('voice_default')], ...menu.voices.map((name) => [name, name])]} pick=${pick('speaker')} />
    <${Select} name="language" label=${say('language')} value=${desk.choice('language')} options=${[['', say('language_default')], ...menu.languages.map((tag) => [tag, known(say, `lang_${tag}`, tag)])]} pick=${pick('language')} />
    <label for="prompt">${say('prompt')}</label>
    <textarea id="prompt" rows="5" maxlength="8000" placeholder=${say('prompt_hint')} onChange=${pick('prompt')}>${desk.chosen.prompt ?? ''}</textarea>
    <p class="hint">${say('choices_hint')}</p>
    ${desk.call.lines.length > 0 && html`<button class="quiet" id="fresh" onClick=${() => desk.fresh()}>${say('fresh')}</button>`}
  </aside>`;
}

function Select({ name, label, value, options, pick }) {
  return html`<label for=${name}>${label}</label>
    <select id=${name} value=${value} onChange=${pick}>${options.map(([each, text]) => html`<option key=${each} value=${each} selected=${each === value}>${text}</option>`)}</select>`;
}
