// A button that acts at the second click: the first asks whether it is meant.

import { html, useEffect, useState } from '/web/vendor/htm-preact.js';

const SURE_MS = 4_000;

export function Sure({ say, word, really, onSure, kind = '' }) {
  const [asked, ask] = useState(false);
  useEffect(() => { const timer = asked && setTimeout(() => ask(false), SURE_MS); return () => clearTimeout(timer); }, [asked]);
  const click = () => { ask(!asked); if (asked) onSure(); };
  return html`<button class="act ${kind} ${asked ? 'asked' : ''}" onClick=${click}>${say(asked ? really : word)}</button>`;
}
