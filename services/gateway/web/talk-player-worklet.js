// In the audio thread: plays what it is given, sample for sample, and says how far it is.

import { Reel } from '/web/talk-sound.js';

const CUSHION_S = 0.08;
const TELL_S = 0.04;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.reel = new Reel(Math.round(CUSHION_S * sampleRate));
    this.told = { state: 'empty', frame: 0 };
    this.port.onmessage = ({ data }) => this.order(data);
  }

  order({ put, paused, flush }) {
    if (put) this.reel.put(put);
    if (paused !== undefined) this.reel.paused = paused;
    if (flush) { this.reel.flush(); this.tell(this.reel.place); }
  }

  process(_, [[out]]) {
    for (const place of this.reel.fill(out)) this.tell(place, true);
    const { state } = this.reel;
    const due = state === 'playing' && currentFrame - this.told.frame >= TELL_S * sampleRate;
    if (due || state !== this.told.state) this.tell(this.reel.place);
    return true;
  }

  tell(place, left = false) {
    this.told = { state: this.reel.state, frame: currentFrame };
    this.port.postMessage({ place, left, state: this.reel.state, time: currentTime });
  }
}

registerProcessor('player', Player);
