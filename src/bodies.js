// Bodies that are held whole: read under a cap, counted, and put together with edits. What one
// isolate holds at a time is bounded.

// Failures as the core knows them: of a client's body, and of an upstream's.
export const BODY = { TOO_LARGE: 1, INCOMPLETE: 2, BUSY: 3, SHARE: 4 };
export const FAILURE = {
  UNREACHABLE: 1, TIMEOUT: 2, TOO_LARGE: 3, SECRET_MISSING: 4, BUSY: 5, ABANDONED: 6, NO_TOKEN: 7, UNSENT: 8,
};

// Of the 128 MB of an isolate, so many bytes may be bodies. As much again may be their copies, as each has
// at most one at a time (with its edits, or while its pieces are put together), and the core has room
// for one more.
const MAX_HELD = 40 * 1024 * 1024;
// How much of that the bodies of one caller may be, so that who sends slowly keeps no room from all others; but at
// least what one body takes, however long it may be.
const SHARE = MAX_HELD / 2;
// From this number on callers are addresses (`Flight::whose` in crates/engine/src/flight.rs); and all of them together.
const STRANGERS = 2 ** 52;
const ALL_STRANGERS = -1;
// A body of up to this length takes its room at once, as long as what was announced so and has not come is less than
// `PROMISED`. Of any other, and of one of unknown length, only what has come is counted: what is announced and never
// sent takes no room from others.
const EAGER = 64 * 1024;
const PROMISED = 4 * 1024 * 1024;
// How long the blocks are in which a body is read whose pieces are counted.
const BLOCK = { SMALLEST: 4 * 1024, LARGEST: 64 * 1024 };

let held = 0;
let promised = 0;
// What the bodies of each caller take.
const callers = new Map();

// Reserves room for a request's bodies; `release` gives it back. What clients send takes of the share of `whose` it
// is, for a body of up to `longest`; what comes from upstreams is nobody's.
export function createHold(whose = null, longest = 0) {
  let mine = 0;
  let ahead = 0;
  const most = Math.max(SHARE, longest + BLOCK.LARGEST);
  // Whom nobody knows may have many addresses: all of them have one share together, beside their own.
  const counted = whose === null ? [] : whose < STRANGERS ? [whose] : [whose, ALL_STRANGERS];
  const hold = {
    // Why there was no room, when there was none.
    why: "busy",
    reserve(length) {
      if (length === 0) return true;
      if (held + length > MAX_HELD) {
        hold.why = "busy";
        return false;
      }
      for (const one of counted) {
        if ((callers.get(one) ?? 0) + length > most) {
          hold.why = one === ALL_STRANGERS ? "busy" : "share";
          return false;
        }
      }
      for (const one of counted) callers.set(one, (callers.get(one) ?? 0) + length);
      held += length;
      mine += length;
      return true;
    },
    // The same for what is yet to come; `arrived` says that it has.
    promise(length) {
      if (promised + length > PROMISED || !hold.reserve(length)) return false;
      promised += length;
      ahead += length;
      return true;
    },
    arrived() {
      promised -= ahead;
      ahead = 0;
    },
    release() {
      hold.arrived();
      held -= mine;
      if (mine > 0) {
        for (const one of counted) {
          const rest = callers.get(one) - mine;
          if (rest > 0) callers.set(one, rest);
          else callers.delete(one);
        }
      }
      mine = 0;
    },
  };
  return hold;
}

// Reads a body whole: bytes, or why not ("large", "lost", "late", "busy", "share"). `controller` aborts what
// is read, where there is one.
export async function readWhole(source, announced, max, within, hold, watch, controller = null) {
  if (announced !== null && announced > max) return "large";
  const eager = announced !== null && announced <= EAGER && hold.promise(announced);
  let late = false;
  try {
    if (eager && controller !== null) {
      watch.within(within, () => {
        late = true;
        controller.abort();
      });
      const read = new Uint8Array(await source.arrayBuffer());
      hold.arrived();
      return read;
    }
    // Whoever waits is told. A race for each piece would leave as many waiting for the deadline.
    let tell = () => {};
    watch.within(within, () => {
      late = true;
      tell("late");
    });
    const orLate = (reading) => new Promise((resolve, reject) => {
      tell = resolve;
      reading.then(resolve, reject);
      if (late) resolve("late");
    });
    if (eager) {
      const read = await orLate(source.arrayBuffer());
      if (read === "late") return "late";
      hold.arrived();
      return new Uint8Array(read);
    }
    const read = await readCounted(source.body, max, orLate, hold);
    if (read === "late" && controller !== null) controller.abort();
    return read;
  } catch {
    return late ? "late" : "lost";
  } finally {
    watch.over();
  }
}

// Reads what comes into blocks of its own. The runtime would hand out each piece, of a single byte too, in a buffer of
// kilobytes: who sends crumbs would fill the isolate with what is counted as next to nothing.
async function readCounted(stream, max, orLate, hold) {
  if (stream === null) return new Uint8Array(0);
  const reader = stream.getReader({ mode: "byob" });
  const blocks = [];
  let used = 0;
  let length = 0;
  let piece = new Uint8Array(BLOCK.SMALLEST);
  const stop = (why) => {
    reader.cancel(why).catch(() => {});
    return why;
  };
  for (;;) {
    const read = await orLate(reader.read(piece));
    if (read === "late") return stop("late");
    if (read.done) break;
    const { value } = read;
    length += value.length;
    if (length > max) return stop("large");
    for (let at = 0; at < value.length;) {
      let block = blocks.at(-1);
      if (block === undefined || used === block.length) {
        // As long as all before it, in between.
        block = new Uint8Array(Math.min(BLOCK.LARGEST, Math.max(BLOCK.SMALLEST, length)));
        if (!hold.reserve(block.length)) return stop(hold.why);
        blocks.push(block);
        used = 0;
      }
      const part = value.subarray(at, at + block.length - used);
      block.set(part, used);
      used += part.length;
      at += part.length;
    }
    // Who sends much gets a larger buffer; the one there is serves again.
    const { buffer } = value;
    const grown = buffer.byteLength < BLOCK.LARGEST && value.length === buffer.byteLength;
    piece = new Uint8Array(grown ? new ArrayBuffer(buffer.byteLength * 2) : buffer);
  }
  const last = blocks.pop();
  return last === undefined ? new Uint8Array(0) : joined([...blocks, last.subarray(0, used)]);
}

// Pieces as one.
export function joined(pieces) {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

// A body with some of its bytes replaced.
export function edited(body, edits) {
  if (edits.length === 0) return body;
  let length = body.length;
  for (const edit of edits) length += edit.insert.length - edit.remove;
  const result = new Uint8Array(length);
  let from = 0;
  let to = 0;
  for (const edit of edits) {
    result.set(body.subarray(from, edit.at), to);
    to += edit.at - from;
    result.set(edit.insert, to);
    to += edit.insert.length;
    from = edit.at + edit.remove;
  }
  result.set(body.subarray(from), to);
  return result;
}
