// In the audio thread: plays what it is given, sample for sample, and says how far it is.

import { Deck } from '/web/talk-sound.js';

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.deck = new Deck(sampleRate, (told) => this.port.postMessage(told));
    this.port.onmessage = ({ data }) => this.deck.order(data, currentFrame);
  }

  process(_, [[out]]) {
    this.deck.fill(out, currentFrame);
    return true;
  }
}

registerProcessor('player', Player);
