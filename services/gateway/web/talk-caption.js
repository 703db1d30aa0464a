// Captions by what is heard: which sentence of a turn was heard, is heard now, is still ahead, or was cut off.

// `place` is the last sample that was heard, {turn, index, sample}; `later`: it lies in a later turn than this one.
export function captions(turn, place, later = false) {
  const here = place?.turn === turn.turn ? place : null;
  let past = true;
  return turn.sentences.map((sentence) => {
    const state = standing(sentence, here, past, later);
    past = past && state === 'heard';
    return { index: sentence.index, text: sentence.text, state: turn.stopped ? CUT[state] : state };
  });
}

const CUT = { heard: 'heard', now: 'broken', ahead: 'unheard' };

function standing({ index, total, received }, here, past, later) {
  if (later || (here && index < here.index)) return 'heard';
  if (here?.index === index) return total !== null && here.sample >= Math.max(total, 1) ? 'heard' : 'now';
  return total === 0 && received === 0 && past ? 'heard' : 'ahead'; // without sound it is read, not heard
}

// Whether all of the turn was heard that will ever be.
export function over(turn, place) {
  return turn.stopped || (turn.done && captions(turn, place).every(({ state }) => state === 'heard'));
}
