// The bytes between the shell and the core: what `crates/core/src/wire.rs` and `dispatch.rs` read and
// write. Numbers are little-endian; byte strings have their length before them; all texts of a message
// stand behind the rest, as one string that crosses at once and is taken apart here by slicing. The
// number and the two lists below are those of `dispatch.rs`; a test compares them.

export const WIRE = 17;

export const ASK = {
  FACTS: 0, START: 1, BEGIN: 2, VERIFIED: 3, KEYS: 4, BODY: 5, METERED: 6, ANSWERED: 7,
  ANSWER: 8, PAUSED: 9, FOLLOW: 10, STREAMED: 11, METER: 12, METER_ALARM: 13, NAMES: 14, FAULT: 15,
  WHOLE: 16, DECIDED: 17,
};

export const TELL = {
  ERROR: 0, DATA: 1, VERIFY: 2, FETCH_KEYS: 3, READ_BODY: 4, METER: 5, ATTEMPT: 6,
  READ_ANSWER: 7, RELAY: 8, PAUSE: 9, FINISH: 10, END: 11, COLD: 12, DECIDE: 13,
};

// Where the gateway's own credential for an upstream comes from.
export const CREDENTIAL = { SECRET: 1, SIGNED: 2, GRANTED: 3 };

const NONE = 0xffffffff;
// The lengths of a message's two parts, before it.
const HEADER = 8;
const encoder = new TextEncoder();
// A mark of byte order is a character like any other: what is counted must stay.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

// Writes into and reads from the core's memory. There is one message at a time: nothing here is
// kept across an `await`.
export function createWire(memory, reserve) {
  let bytes = new Uint8Array(memory.buffer);
  let view = new DataView(memory.buffer);
  let start = 0;
  let at = 0;
  let texts = "";
  let next = 0;

  // The memory moves when it grows.
  function refresh() {
    if (bytes.buffer !== memory.buffer) {
      bytes = new Uint8Array(memory.buffer);
      view = new DataView(memory.buffer);
    }
  }

  return {
    // Begins a message of at most `size` bytes.
    write(size, ask) {
      start = reserve(size + HEADER);
      refresh();
      at = start + HEADER;
      texts = "";
      bytes[at++] = ask;
    },
    // Ends it.
    seal() {
      view.setUint32(start, at - start - HEADER, true);
      const written = texts === "" ? 0 : encoder.encodeInto(texts, bytes.subarray(at)).written;
      view.setUint32(start + 4, written, true);
    },
    u8(value) {
      bytes[at++] = value;
    },
    u16(value) {
      view.setUint16(at, value, true);
      at += 2;
    },
    u32(value) {
      view.setUint32(at, value, true);
      at += 4;
    },
    ms(value) {
      view.setFloat64(at, value, true);
      at += 8;
    },
    raw(data) {
      bytes.set(data, at);
      at += data.length;
    },
    data(data) {
      if (data === null) return this.u32(NONE);
      this.u32(data.length);
      this.raw(data);
    },
    text(text) {
      if (text === null) return this.u32(NONE);
      this.u32(text.length);
      texts += text;
    },

    // Begins to read an answer.
    read(pointer) {
      refresh();
      at = pointer + HEADER;
      const end = at + view.getUint32(pointer, true);
      const length = view.getUint32(pointer + 4, true);
      texts = length === 0 ? "" : decoder.decode(bytes.subarray(end, end + length));
      next = 0;
    },
    readU8() {
      return bytes[at++];
    },
    readU16() {
      at += 2;
      return view.getUint16(at - 2, true);
    },
    readU32() {
      at += 4;
      return view.getUint32(at - 4, true);
    },
    readMs() {
      at += 8;
      return view.getFloat64(at - 8, true);
    },
    // A copy: the memory behind it belongs to the next message.
    readData() {
      const length = this.readU32();
      if (length === NONE) return null;
      at += length;
      return bytes.slice(at - length, at);
    },
    readText() {
      const length = this.readU32();
      if (length === NONE) return null;
      next += length;
      return texts.slice(next - length, next);
    },
    readTexts() {
      const texts = new Array(this.readU32());
      for (let i = 0; i < texts.length; i++) texts[i] = this.readText();
      return texts;
    },
    // Name and value in turn.
    readPairs() {
      const pairs = new Array(this.readU32() * 2);
      for (let i = 0; i < pairs.length; i++) pairs[i] = this.readText();
      return pairs;
    },
    // The text that ends with a zero byte.
    readZeroEnded(pointer) {
      refresh();
      const end = bytes.indexOf(0, pointer);
      return decoder.decode(bytes.subarray(pointer, end));
    },
  };
}

// How many bytes a text may need, and its length.
export function room(text) {
  return text === null ? 4 : text.length * 3 + 4;
}
