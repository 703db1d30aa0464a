// What is kept: the ledger, dead letters, jobs, what operators did.

import { html, useState } from '/web/vendor/htm-preact.js';
import { headers } from '/web/console-link.js';
import { Empty, Panel, reasoned, seconds } from '/web/console-now.js';
import { Sure } from '/web/console-sure.js';
import { age, clock, known } from '/web/console-words.js';

export function Ledger({ say, store, act, lang }) {
  const books = store.data.ledger ?? {};
  const rooms = Object.keys(books);
  const [chosen, choose] = useState('');
  const room = books[chosen] ? chosen : rooms.find((name) => books[name].law.received) ?? rooms[0];
  const book = books[room];
  const tools = html`${rooms.length > 1 && html`<span class="tabs" role="group">${rooms.map((name) => html`<button key=${name} class="tab ${books[name].law.holds ? '' : 'bad'}" aria-pressed=${name === room} onClick=${() => choose(name)}>${name}</button>`)}</span>`}
    ${room && store.data.jobs && html`<button class="act" onClick=${() => act('report', `/api/rooms/${encodeURIComponent(room)}/reports`, { language: lang })}>${say('report')}</button>`}`;
  return html`<${Panel} say=${say} store=${store} name="ledger" tools=${tools}>
    ${book && html`<p class="law ${book.law.holds ? 'holds' : 'broken'}" id="law" title=${say(book.law.holds ? 'law_holds' : 'law_broken')}><b>${book.law.holds ? '✓' : '✗'}</b> ${say('law', { ...book.law, relation: book.law.holds ? '=' : '≠' })}${book.law.holds ? '' : html` <small>${say('law_broken')}</small>`}</p>`}
    ${book?.rows.length ? html`<table class="fixed"><thead><tr>${['when', 'viewer', 'amount', 'what', 'state'].map((name) => html`<th key=${name} scope="col" class=${`${name} ${name === 'amount' ? 'n' : ''}`}>${say(name)}</th>`)}</tr></thead>
      <tbody>${book.rows.map((row) => html`<tr key=${row.id} data-id=${row.id} data-state=${row.state} class=${row.state}>
        <td class="n when" title=${row.id}>${clock(row.event_ms || row.at_ms)}</td><td class="viewer">${row.viewer}</td><td class="n amount">${row.amount_fen ? +(row.amount_fen / 100).toFixed(2) : ''}</td><td class="what" title=${row.text}>${row.text}</td>
        <td class="state" title=${reasoned(say, row.reason)}><b>${say(`state_${row.state}`)}</b>${row.samples > 0 && html` <small class="n">${seconds(row.samples)}</small>`}${row.reason && html` <small>${reasoned(say, row.reason)}</small>`}</td></tr>`)}</tbody></table>` : html`<${Empty}>${say('ledger_empty')}<//>`}
  <//>`;
}

export function Dead({ say, store, act }) {
  const { count = 0, rows = [] } = store.data.dead ?? {};
  const [open, toggle] = useState('');
  return html`<${Panel} say=${say} store=${store} name="dead" count=${count || ''}>
    ${rows.length ? html`<ul class="rows">${rows.map((row) => html`<li key=${row.id} class="letter" data-letter=${row.id}>
      <button class="line" aria-expanded=${open === row.id} onClick=${() => toggle(open === row.id ? '' : row.id)}><small class="up">${age(store.since(row.at_ms))}</small><b>${row.code}</b><span class="does">${row.reason}</span></button>
      ${open === row.id && html`<div class="detail"><p>${row.reason}</p><p><small>${[row.stream, row.message, say('bytes', row), row.deliveries && say('deliveries', { count: row.deliveries }), row.id].filter(Boolean).join(' · ')}</small></p><pre tabindex="0">${row.body || say('nobody')}</pre>
        <p class="acts"><button class="act go" onClick=${() => act('requeue', `/api/console/dead/${row.id}/requeue`)}>${say('requeue')}</button><${Sure} say=${say} word="drop" really="really_drop" kind="stop" onSure=${() => act('drop', `/api/console/dead/${row.id}/drop`)} /></p></div>`}</li>`)}</ul>
      ${count > rows.length && html`<p class="empty">${say('dead_more', { count })}</p>`}` : html`<${Empty}>${say('dead_empty')}<//>`}
  <//>`;
}

export function Jobs({ say, store }) {
  const { jobs } = store.data;
  const down = jobs && !jobs.workers.length;
  return html`<${Panel} say=${say} store=${store} name="jobs" broker=${jobs ? 'jobs' : 'work'} count=${jobs?.counts.started || ''}>
    ${!jobs && html`<${Empty}>${say('jobs_off')}<//>`}
    ${jobs && html`<p class="law ${down ? 'broken' : ''}">${down ? say('jobs_nobody') : say('jobs_counts', jobs.counts)}</p>`}
    ${jobs && (jobs.jobs.length ? html`<ul class="rows">${jobs.jobs.map((job) => html`<li key=${job.id} class="job ${job.state}" data-job=${job.id} title=${job.reason || job.result}>
      <i class="dot ${{ finished: 'good', failed: 'bad', started: 'air' }[job.state] ?? ''}"></i><b>${job.what}</b><span class="does">${say(`job_${job.state}`)} <small>${job.reason}</small></span><small class="up">${clock(job.ended_ms || job.began_ms || job.due_ms || job.asked_ms)}</small>
      ${job.state === 'finished' && job.what.startsWith('report') && html`<button class="act" onClick=${() => download(job.id)}>${say('open')}</button>`}</li>`)}</ul>` : html`<${Empty}>${say('jobs_empty')}<//>`)}
  <//>`;
}

// By a request with the token, since an address is no place for it.
async function download(id) {
  const answer = await fetch(`/api/reports/${encodeURIComponent(id)}`, { headers: headers() });
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `report-${id}.html`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function Audit({ say, store }) {
  const rows = store.data.audit ?? [];
  return html`<${Panel} say=${say} store=${store} name="audit">
    ${rows.length ? html`<ul class="rows">${rows.map((row) => html`<li key=${row.id} class="deed ${row.how.startsWith('failed') ? 'bad' : ''}"><small class="up">${clock(row.at_ms)}</small><b>${known(say, `act_${row.what}`, row.what)}</b><span class="does">${row.on === 'everything' ? '' : row.on} <small>${row.how}</small></span><small>${row.who}</small></li>`)}</ul>` : html`<${Empty}>${say('audit_empty')}<//>`}
  <//>`;
}
