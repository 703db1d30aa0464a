// The host: a cat with headphones, drawn here. Mouth from the sound, eyes that blink and wander, six faces.

const SVG = `
<svg viewBox="0 0 600 640" role="img" aria-label="OnAir">
<defs>
 <radialGradient id="fur" cx=".45" cy=".3" r=".85"><stop offset="0" stop-color="#fff6e8"/><stop offset=".7" stop-color="#ffe3c2"/><stop offset="1" stop-color="#f3c79b"/></radialGradient>
 <linearGradient id="patch" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#d98244"/><stop offset="1" stop-color="#f0a868"/></linearGradient>
 <linearGradient id="coat" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#f0694a"/><stop offset="1" stop-color="#a93a2c"/></linearGradient>
 <radialGradient id="iris" cx=".5" cy=".75" r=".8"><stop offset="0" stop-color="#f2b04e"/><stop offset=".55" stop-color="#a3582a"/><stop offset="1" stop-color="#3a1c14"/></radialGradient>
 <linearGradient id="cup" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#5b4640"/><stop offset="1" stop-color="#2c201d"/></linearGradient>
 <clipPath id="head-clip"><path d="M300 140C412 140 484 208 484 300C484 396 404 452 300 452C196 452 116 396 116 300C116 208 188 140 300 140Z"/></clipPath>
 <clipPath id="mouth-clip"><path data-part="mouth-clip" d=""/></clipPath>
</defs>
<g data-part="tail"><path d="M455 640C560 610 580 520 530 480C505 462 486 486 500 508C518 538 490 590 430 610Z" fill="url(#fur)"/><path d="M530 480C505 462 486 486 500 508C508 521 508 536 500 552C530 546 552 510 530 480Z" fill="url(#patch)"/></g>
<g data-part="body">
 <path d="M104 720C104 520 190 456 300 456C410 456 496 520 496 720Z" fill="url(#coat)"/>
 <path d="M206 476C232 520 368 520 394 476C372 452 228 452 206 476Z" fill="#8c2d23"/>
 <path d="M262 504q-4 44 2 70M338 504q4 44-2 70" stroke="#ffe3c2" stroke-width="6" stroke-linecap="round" fill="none"/>
 <g transform="translate(392 578)"><circle r="25" fill="#2a1c17"/><circle r="7" fill="#ff7a55"/><path d="M-12-12a17 17 0 0 0 0 24M12-12a17 17 0 0 1 0 24" fill="none" stroke="#ffc46b" stroke-width="4.500" stroke-linecap="round"/></g>
</g>
<g data-part="head">
 <g data-part="ear-l"><path d="M136 236C120 150 124 92 150 78C180 66 232 116 258 158Z" fill="url(#patch)"/><path d="M154 206C148 154 150 118 162 112C180 106 212 138 230 164Z" fill="#ff9d86"/></g>
 <g data-part="ear-r"><path d="M464 236C480 150 476 92 450 78C420 66 368 116 342 158Z" fill="url(#fur)"/><path d="M446 206C452 154 450 118 438 112C420 106 388 138 370 164Z" fill="#ff9d86"/></g>
 <path d="M300 140C412 140 484 208 484 300C484 396 404 452 300 452C196 452 116 396 116 300C116 208 188 140 300 140Z" fill="url(#fur)"/>
 <g clip-path="url(#head-clip)"><path d="M90 120H282C286 190 262 236 210 250C160 262 120 250 100 290Z" fill="url(#patch)" opacity=".95"/><path d="M116 452C200 470 400 470 484 452V400C420 450 180 450 116 400Z" fill="#e9b482" opacity=".35"/></g>
 <path d="M288 144q6 34 12 0M310 146q4 26 14 2" fill="none" stroke="#c97a42" stroke-width="7" stroke-linecap="round" opacity=".8"/>
 <g data-part="blush" opacity=".5"><ellipse cx="186" cy="364" rx="36" ry="20" fill="#ff8f7a"/><ellipse cx="414" cy="364" rx="36" ry="20" fill="#ff8f7a"/></g>
 <g stroke="#b98a63" stroke-width="4" stroke-linecap="round" opacity=".65"><path d="M150 338l-50-8M150 356l-48 8M450 338l50-8M450 356l48 8"/></g>
 <g data-part="eyes">
  <g data-part="eye-l"><ellipse cx="216" cy="304" rx="37" ry="47" fill="#321a13"/><ellipse data-part="iris-l" cx="216" cy="308" rx="31" ry="40" fill="url(#iris)"/><g data-part="look-l"><ellipse cx="216" cy="302" rx="14" ry="21" fill="#1d0e0b"/><circle cx="204" cy="284" r="11" fill="#fff"/><circle cx="229" cy="324" r="6" fill="#fff" opacity=".8"/></g></g>
  <g data-part="eye-r"><ellipse cx="384" cy="304" rx="37" ry="47" fill="#321a13"/><ellipse data-part="iris-r" cx="384" cy="308" rx="31" ry="40" fill="url(#iris)"/><g data-part="look-r"><ellipse cx="384" cy="302" rx="14" ry="21" fill="#1d0e0b"/><circle cx="372" cy="284" r="11" fill="#fff"/><circle cx="397" cy="324" r="6" fill="#fff" opacity=".8"/></g></g>
 </g>
 <g data-part="smiles" fill="none" stroke="#321a13" stroke-width="12" stroke-linecap="round"><path d="M178 314q38-46 76 0M346 314q38-46 76 0"/></g>
 <g fill="none" stroke="#8a5430" stroke-width="9" stroke-linecap="round"><path data-part="brow-l" d="M182 238q32-16 64-4"/><path data-part="brow-r" d="M418 238q-32-16-64-4"/></g>
 <path d="M288 352q12-8 24 0q-2 12-12 14q-10-2-12-14Z" fill="#e4765f"/>
 <path data-part="mouth" d="" fill="#7c2a2a"/><g clip-path="url(#mouth-clip)"><ellipse data-part="tongue" cx="300" cy="420" rx="24" ry="20" fill="#ff8d80"/></g>
 <path data-part="lip" d="M262 380Q281 396 300 378Q319 396 338 380" fill="none" stroke="#5a2a1e" stroke-width="7" stroke-linecap="round" stroke-linejoin="round"/>
 <path data-part="tear" d="M172 346q-13 20 0 28q13-8 0-28Z" fill="#9ad4ff" opacity="0"/>
 <path d="M110 300C110 84 490 84 490 300" fill="none" stroke="#2c201d" stroke-width="22" stroke-linecap="round"/><path d="M132 232C170 110 430 110 468 232" fill="none" stroke="#7a5b50" stroke-width="6" stroke-linecap="round" opacity=".8"/>
 <g><rect x="80" y="256" width="58" height="104" rx="27" fill="url(#cup)"/><rect x="90" y="276" width="22" height="64" rx="11" fill="#ff7a55" data-part="glow-l"/></g>
 <g><rect x="462" y="256" width="58" height="104" rx="27" fill="url(#cup)"/><rect x="488" y="276" width="22" height="64" rx="11" fill="#ff7a55" data-part="glow-r"/></g>
 <path d="M112 356C120 420 168 446 216 440" fill="none" stroke="#2c201d" stroke-width="9" stroke-linecap="round"/><rect x="208" y="424" width="44" height="28" rx="14" fill="#2c201d" transform="rotate(-14 230 438)"/>
</g></svg>`;

//            eyes' height, brows' tilt and lift, blush, smiling eyes, size of pupil, corners of the mouth, look
const FACES = {
  neutral: { lid: 1, tilt: 0, lift: 0, blush: 0.45, smile: 0, pupil: 1, corner: 0, look: 0 },
  happy: { lid: 1, tilt: -2, lift: -8, blush: 0.8, smile: 1, pupil: 1.1, corner: 6, look: 0 },
  sad: { lid: 0.72, tilt: -16, lift: 2, blush: 0.3, smile: 0, pupil: 0.95, corner: -9, look: 0 },
  angry: { lid: 0.78, tilt: 18, lift: 12, blush: 0.55, smile: 0, pupil: 0.85, corner: -6, look: 0 },
  surprised: { lid: 1.14, tilt: -3, lift: -20, blush: 0.4, smile: 0, pupil: 0.72, corner: 0, look: 0 },
  shy: { lid: 0.66, tilt: -9, lift: -2, blush: 1, smile: 0, pupil: 1, corner: 3, look: -9 },
};
const STILL = matchMedia('(prefers-reduced-motion: reduce)');

export class Puppet {
  constructor(place) {
    place.innerHTML = SVG;
    this.part = Object.fromEntries([...place.querySelectorAll('[data-part]')].map((node) => [node.dataset.part, node]));
    this.pose = { ...FACES.neutral };
    this.mouth = 0;
    this.blinkAt = 1500;
    this.glance = { at: 0, x: 0, y: 0 };
    this.eye = { x: 0, y: 0 };
  }

  // One frame: milliseconds since the start, loudness 0 to 1, the face.
  frame(ms, level, face) {
    const wanted = FACES[face] ?? FACES.neutral;
    for (const key of Object.keys(wanted)) this.pose[key] += (wanted[key] - this.pose[key]) * 0.14;
    const db = level > 0 ? 20 * Math.log10(level) : -99;
    const open = Math.min(1, Math.max(0, (db + 42) / 28));
    this.mouth += (open - this.mouth) * (open > this.mouth ? 0.55 : 0.32);
    if (open === 0 && this.mouth < 0.03) this.mouth = 0;
    this.sway(STILL.matches ? 0 : ms);
    this.eyes(ms);
    this.speak();
  }

  sway(ms) {
    const { part, mouth } = this;
    const breath = Math.sin(ms / 1100), drift = Math.sin(ms / 2300) + 0.5 * Math.sin(ms / 1370);
    move(part.head, `translate(${drift * 4} ${breath * 4 - mouth * 6}) rotate(${drift * 1.6 + this.pose.look * 0.35} 300 460)`);
    move(part.body, `translate(0 ${breath * 2 - 34})`);
    move(part.tail, `rotate(${Math.sin(ms / 900) * 5} 440 620)`);
    const twitch = Math.max(0, Math.sin(ms / 700) - 0.93) * 90;
    move(part['ear-l'], `rotate(${-twitch} 190 190)`);
    move(part['ear-r'], `rotate(${twitch * 0.4} 410 190)`);
    for (const cup of ['glow-l', 'glow-r']) part[cup].setAttribute('opacity', 0.55 + 0.45 * Math.min(1, mouth * 1.6));
  }

  eyes(ms) {
    const { part, pose, eye } = this;
    if (ms > this.blinkAt + 170) this.blinkAt = ms + 1800 + Math.random() * 3400;
    const shut = ms > this.blinkAt ? Math.sin(((ms - this.blinkAt) / 170) * Math.PI) : 0;
    if (ms > this.glance.at) this.glance = { at: ms + 900 + Math.random() * 2600, x: (Math.random() - 0.5) * 14, y: (Math.random() - 0.5) * 8 };
    eye.x += (this.glance.x + pose.look - eye.x) * 0.12;
    eye.y += (this.glance.y - eye.y) * 0.12;
    const tall = Math.max(0.06, pose.lid * (1 - shut));
    for (const [side, x] of [['l', 216], ['r', 384]]) {
      move(part[`eye-${side}`], `translate(0 ${306 * (1 - tall)}) scale(1 ${tall})`);
      move(part[`look-${side}`], `translate(${eye.x} ${eye.y}) translate(${x * (1 - pose.pupil)} ${304 * (1 - pose.pupil)}) scale(${pose.pupil})`);
      move(part[`iris-${side}`], `translate(${eye.x * 0.4} ${eye.y * 0.4})`);
    }
    part.eyes.setAttribute('opacity', pose.smile > 0.5 ? 0 : 1);
    part.smiles.setAttribute('opacity', pose.smile > 0.5 ? 1 : 0);
    part.blush.setAttribute('opacity', pose.blush);
    move(part['brow-l'], `translate(0 ${pose.lift}) rotate(${pose.tilt} 216 236)`);
    move(part['brow-r'], `translate(0 ${pose.lift}) rotate(${-pose.tilt} 384 236)`);
    part.tear.setAttribute('opacity', Math.max(0, (-6 - pose.corner) / 3));
  }

  speak() {
    const { part, pose, mouth } = this;
    const deep = mouth * 58, wide = 24 + mouth * 8, c = pose.corner;
    const shape = `M${300 - wide} 385Q${300 - wide / 2} 396 300 380Q${300 + wide / 2} 396 ${300 + wide} 385Q${300 + wide} ${388 + deep} 300 ${390 + deep}Q${300 - wide} ${388 + deep} ${300 - wide} 385Z`;
    part.mouth.setAttribute('d', mouth > 0 ? shape : '');
    part['mouth-clip'].setAttribute('d', mouth > 0 ? shape : '');
    part.tongue.setAttribute('cy', 396 + deep);
    part.lip.setAttribute('d', `M${262 - c / 2} ${380 - c}Q281 ${396 + c / 3} 300 378Q319 ${396 + c / 3} ${338 + c / 2} ${380 - c}`);
  }
}

function move(node, how) { node.setAttribute('transform', how); }
