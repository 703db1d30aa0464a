// Captions by what is heard: which sentence of a turn was heard, is heard now, is still ahead, or was cut off.

// `place` is the last sample of this turn that was heard, {index, sample}, or null; `later`: one of a later turn was heard.
// What was cut off stays as it was heard, whatever is heard later.
export function captions(turn, place, later = false) {
  let past = true;
  return turn.sentences.map((sentence) => {
    const state = standing(sentence, place, past, later && !turn.stopped);
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
