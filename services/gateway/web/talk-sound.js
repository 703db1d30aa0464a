// Sound without a browser around it: another sample rate, frames of a microphone, what a player has still to play.

const CROSSINGS = 16; // of the sinc, to each side
const PASS = 0.92; // of the lower Nyquist frequency
const CUSHION_S = 0.08;
const TELL_S = 0.04;

// A windowed sinc with one set of taps for each phase; nothing is lost between two pushes.
export class Resampler {
  constructor(from, to) {
    const common = gcd(from, to);
    Object.assign(this, { step: from / common, phases: to / common, taps: new Map(), at: 0, phase: 0 });
    this.cut = Math.min(1, to / from) * PASS;
    this.half = Math.ceil(CROSSINGS / this.cut);
    this.kept = new Float32Array(this.half - 1);
  }

  push(samples) {
    if (this.step === this.phases) return samples.slice();
    const all = new Float32Array(this.kept.length + samples.length);
    all.set(this.kept);
    all.set(samples, this.kept.length);
    const out = [];
    const width = 2 * this.half;
    for (; this.at + width <= all.length; this.next()) {
      const taps = this.of(this.phase);
      let sum = 0;
      for (let k = 0; k < width; k++) sum += all[this.at + k] * taps[k];
      out.push(sum);
    }
    const gone = Math.min(this.at, all.length);
    this.kept = all.slice(gone);
    this.at -= gone;
    return Float32Array.from(out);
  }

  next() {
    this.phase += this.step;
    this.at += Math.floor(this.phase / this.phases);
    this.phase %= this.phases;
  }

  of(phase) {
    let taps = this.taps.get(phase);
    if (!taps) {
      taps = Float32Array.from({ length: 2 * this.half }, (_, k) => this.tap(k - this.half + 1 - phase / this.phases));
      const sum = taps.reduce((a, b) => a + b, 0);
      this.taps.set(phase, (taps = taps.map((tap) => tap / sum)));
    }
    return taps;
  }

  tap(x) {
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x * this.cut) / (Math.PI * x * this.cut);
    return Math.abs(x) >= this.half ? 0 : sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / this.half));
  }
}

// Whole frames of s16 from samples of any number.
export class Framer {
  constructor(length) { Object.assign(this, { length, frame: new Int16Array(length), filled: 0 }); }

  push(samples) {
    const whole = [];
    for (const sample of samples) {
      this.frame[this.filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      if (this.filled < this.length) continue;
      whole.push(this.frame);
      this.frame = new Int16Array(this.length);
      this.filled = 0;
    }
    return whole;
  }
}

// What is still to be played. It begins when a little is there, or after as long a wait; a pause loses no sample.
export class Reel {
  constructor(cushion) { Object.assign(this, { cushion, clips: [], queued: 0, waited: 0, rolling: false, paused: false, place: null }); }

  put(clip) {
    this.clips.push({ ...clip, used: 0 });
    this.queued += clip.pcm.length;
  }

  get state() { return this.paused ? 'paused' : this.rolling ? 'playing' : this.queued ? 'waiting' : 'empty'; }

  flush() {
    Object.assign(this, { clips: [], queued: 0, waited: 0, rolling: false, paused: false });
  }

  // Fills with what comes next; gives the places, `{turn, index, sample}`, at which a sentence was left.
  fill(out) {
    out.fill(0);
    if (this.paused) return [];
    if (!this.rolling && this.queued) {
      this.rolling = this.queued >= this.cushion || this.waited >= this.cushion;
      this.waited += out.length;
    }
    const left = [];
    for (let n = 0; this.rolling && n < out.length && this.clips.length;) {
      const clip = this.clips[0];
      if (this.place && (this.place.turn !== clip.turn || this.place.index !== clip.index)) left.push(this.place);
      const part = clip.pcm.subarray(clip.used, clip.used + out.length - n);
      out.set(part, n);
      n += part.length;
      clip.used += part.length;
      this.queued -= part.length;
      this.place = { turn: clip.turn, index: clip.index, sample: clip.from + clip.used };
      if (clip.used === clip.pcm.length) this.clips.shift();
    }
    if (this.rolling && !this.clips.length) Object.assign(this, { rolling: false, waited: 0 });
    return left;
  }
}

// A reel that takes orders and tells how far it is; `frame` is the clock of whoever plays it.
export class Deck {
  constructor(rate, post) { Object.assign(this, { rate, post, reel: new Reel(Math.round(CUSHION_S * rate)), told: { state: 'empty', frame: 0 } }); }

  order({ put, paused, flush }, frame) {
    if (put) this.reel.put(put);
    if (paused !== undefined) this.reel.paused = paused;
    if (flush) { this.reel.flush(); this.tell(this.reel.place, frame); }
  }

  fill(out, frame) {
    for (const place of this.reel.fill(out)) this.tell(place, frame, true);
    const { state } = this.reel;
    const due = state === 'playing' && frame - this.told.frame >= TELL_S * this.rate;
    if (due || state !== this.told.state) this.tell(this.reel.place, frame);
  }

  tell(place, frame, left = false) {
    this.told = { state: this.reel.state, frame };
    this.post({ place, left, state: this.reel.state, time: frame / this.rate });
  }
}

export function level(samples) {
  let sum = 0;
  for (const sample of samples) sum += (sample / 32768) ** 2;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}

function gcd(a, b) { return b ? gcd(b, a % b) : a; }
