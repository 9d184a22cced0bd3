// The core: the Wasm module that decides. One call for each decision, synchronous, bytes in and
// bytes out. It keeps nothing of a request, so when a call traps, only that call is lost: a fresh
// instance takes the module's place before the next one.

import { ASK, CREDENTIAL, TELL, WIRE, createWire, room } from "./wire.js";

// A call of the core that trapped, or that it could not answer.
export class Fault extends Error {}

// What the platform says of a client's certificate, in the order in which it is handed in.
const CERTIFICATE = [
  "certPresented", "certVerified", "certRevoked", "certRFC9440", "certSubjectDNRFC2253", "certIssuerDNRFC2253",
];

const POOL = 4096;
const RANDOM = 48;

// `now` and `fill` (randomness) are handed in, so that a test can hold the clock.
export function createCore(module, { now, fill, report }) {
  let exports = null;
  let wire = null;
  let started = false;
  let facts = null;
  let names = new Map();
  let left = false;

  const pool = new Uint8Array(POOL);
  let used = POOL;
  function random(length) {
    if (used + length > POOL) {
      fill(pool);
      used = 0;
    }
    used += length;
    return pool.subarray(used - length, used);
  }

  function instantiate() {
    // The core has no imports; the build checks it.
    exports = new WebAssembly.Instance(module, {}).exports;
    exports.prepare();
    wire = createWire(exports.memory, exports.input);
    started = false;
    names = new Map();
  }

  // Calls the core; afterwards its answer is read from `wire`.
  function call() {
    let pointer;
    wire.seal();
    try {
      pointer = exports.call();
    } catch (trap) {
      let message = String(trap);
      try {
        message = wire.readZeroEnded(exports.panic_message()) || message;
      } catch {
        // The dead instance's memory could not be read; the trap says what is known.
      }
      exports = null;
      report({ event: "fault", message });
      throw new Fault(message);
    }
    wire.read(pointer);
    const kind = wire.readU8();
    if (kind === TELL.ERROR) {
      const message = wire.readText();
      report({ event: "fault", message });
      throw new Fault(message);
    }
    return kind;
  }

  function prepare(env) {
    if (exports === null) instantiate();
    if (started) return;
    if (facts === null) {
      wire.write(1, ASK.FACTS);
      call();
      if (wire.readU32() !== WIRE) throw new Error("the shell and the core are not of one build");
      facts = {
        head: wire.readTexts(),
        answer: wire.readTexts(),
        copied: new Set(wire.readTexts()),
        secrets: wire.readTexts(),
        country: wire.readU8() === 1,
        certificate: wire.readU8() === 1,
      };
      facts.ofBody = facts.head.map((name) => name.startsWith("content-"));
      facts.noted = new Set([...facts.answer, ...facts.copied, "content-encoding"]);
    }
    const encoder = new TextEncoder();
    const secrets = [];
    for (const name of facts.secrets) {
      if (typeof env[name] === "string" && env[name] !== "") {
        secrets.push({ name, value: encoder.encode(env[name]) });
      }
    }
    const size = secrets.reduce((sum, { name, value }) => sum + room(name) + value.length + 4, 64);
    wire.write(size, ASK.START);
    wire.raw(random(16));
    wire.u32(secrets.length);
    for (const { name, value } of secrets) {
      wire.text(name);
      wire.data(value);
    }
    call();
    started = true;
  }

  // A core that was replaced while a request was under way is started again under it. `gone`: its client has left,
  // as the next event tells.
  function ready(env, gone = false) {
    left = gone;
    if (exports === null || !started) prepare(env);
  }

  // Begins an event of a request in flight, with room for `more` bytes beyond it.
  function event(ask, flight, more) {
    wire.write(64 + flight.length + more, ask);
    wire.ms(now());
    wire.raw(random(8));
    wire.data(flight);
    wire.u8(left ? 1 : 0);
  }

  function next() {
    const step = readStep(call(), wire);
    const beside = wire.readU8();
    step.errand = (beside & 1) === 0 ? null : readErrand(wire);
    step.share = (beside & 2) !== 0;
    return step;
  }

  return {
    now,
    ready,

    // Those headers of an upstream's answer that anybody asks for: all of them in one pass, which
    // costs as much as getting three by their names.
    note(response) {
      const noted = {};
      response.headers.forEach((value, name) => {
        if (!facts.noted.has(name)) return;
        // Of these each is a field of its own: they cannot be joined (RFC 6265, 3).
        if (name === "set-cookie") (noted[name] ??= []).push(value);
        else noted[name] = value;
      });
      return noted;
    },

    // Whether a header of an upstream's answer reaches the client.
    copied(name) {
      return facts.copied.has(name);
    },

    // The client's headers that a list stands for.
    names(list) {
      let found = names.get(list);
      if (found === undefined) {
        wire.write(8, ASK.NAMES);
        wire.u32(list);
        call();
        found = wire.readTexts();
        names.set(list, found);
      }
      return found;
    },

    begin(request) {
      const { method, url, headers } = request;
      const bodyless = request.body === null;
      const values = new Array(facts.head.length);
      let size = 128 + room(method) + room(url);
      for (let i = 0; i < values.length; i++) {
        values[i] = bodyless && facts.ofBody[i] ? null : headers.get(facts.head[i]);
        size += room(values[i]);
      }
      // The platform's word, never a header: a client could send that.
      const country = facts.country ? (request.cf?.country ?? null) : null;
      if (facts.country) size += room(country);
      const certificate = facts.certificate ? certificateOf(request) : null;
      if (certificate !== null) for (const word of certificate) size += room(word);
      wire.write(size, ASK.BEGIN);
      wire.ms(now());
      wire.raw(random(RANDOM));
      wire.u8(bodyless ? 0 : 1);
      wire.text(method);
      wire.text(url);
      for (const value of values) wire.text(value);
      if (facts.country) wire.text(country);
      if (certificate !== null) for (const word of certificate) wire.text(word);
      return next();
    },

    verified(flight, right) {
      event(ASK.VERIFIED, flight, 1);
      wire.u8(right ? 1 : 0);
      return next();
    },

    // `age` is 0 for what an issuer answers now, else that of a copy.
    keys(flight, { bytes, age }) {
      event(ASK.KEYS, flight, 12 + (bytes === null ? 0 : bytes.length));
      wire.data(bytes);
      wire.ms(age);
      return next();
    },

    // `failure` is 0 with bytes, or one of `BODY`.
    body(flight, failure, bytes) {
      event(ASK.BODY, flight, 5 + (bytes === null ? 0 : bytes.length));
      wire.u8(failure);
      if (failure === 0) wire.data(bytes);
      return next();
    },

    metered(flight, bytes) {
      event(ASK.METERED, flight, 4 + (bytes === null ? 0 : bytes.length));
      wire.data(bytes);
      return next();
    },

    // `noted` is what `note` said of the answer; `repeated`, after how many milliseconds the call was made again,
    // or 0.
    answered(flight, status, noted, repeated) {
      let size = 16;
      for (const name of facts.answer) size += room(noted[name] ?? null);
      event(ASK.ANSWERED, flight, size);
      wire.ms(repeated);
      wire.u8(0);
      wire.u16(status);
      for (const name of facts.answer) wire.text(noted[name] ?? null);
      return next();
    },

    // `answered` and `answer` in one, for what was read at once.
    whole(flight, status, noted, repeated, failure, bytes) {
      let size = 16 + (bytes === null ? 0 : bytes.length);
      for (const name of facts.answer) size += room(noted[name] ?? null);
      event(ASK.WHOLE, flight, size);
      wire.ms(repeated);
      wire.u16(status);
      for (const name of facts.answer) wire.text(noted[name] ?? null);
      wire.u8(failure);
      if (failure === 0) wire.data(bytes);
      return next();
    },

    // `failure` is one of `FAILURE`.
    unanswered(flight, failure, repeated) {
      event(ASK.ANSWERED, flight, 9);
      wire.ms(repeated);
      wire.u8(failure);
      return next();
    },

    answer(flight, failure, bytes) {
      event(ASK.ANSWER, flight, 5 + (bytes === null ? 0 : bytes.length));
      wire.u8(failure);
      if (failure === 0) wire.data(bytes);
      return next();
    },

    // `status` is 0 where there is no answer, for `failure`; `bytes` of what is not in JSON are null.
    decided(flight, status, failure, bytes) {
      event(ASK.DECIDED, flight, 8 + (bytes === null ? 0 : bytes.length));
      wire.u16(status);
      if (status === 0) wire.u8(failure);
      if (status === 200) wire.data(bytes);
      return next();
    },

    paused(flight) {
      event(ASK.PAUSED, flight, 0);
      return next();
    },

    // One more chunk of a stream.
    follow(tracking, chunk) {
      wire.write(64 + tracking.length + chunk.length, ASK.FOLLOW);
      wire.ms(now());
      wire.data(tracking);
      wire.data(chunk);
      call();
      const flags = wire.readU8();
      return {
        started: (flags & 1) !== 0,
        over: (flags & 2) !== 0,
        failed: (flags & 4) !== 0,
        within: wire.readMs(),
        tracking: wire.readData(),
        passed: wire.readData(),
      };
    },

    streamed(flight, tracking, end, clientGone, committed) {
      event(ASK.STREAMED, flight, 16 + tracking.length);
      wire.u8(end);
      wire.u8(clientGone ? 1 : 0);
      wire.u8(committed ? 1 : 0);
      wire.data(tracking);
      return next();
    },

    // What a client gets whose handling was lost. `flight` is null when nothing was in flight yet;
    // `committed` says that a part of a stream is the client's already.
    fault({ method, url }, flight, committed) {
      const size = 128 + (flight === null ? 0 : flight.length) + room(method) + room(url);
      wire.write(size, ASK.FAULT);
      wire.ms(now());
      wire.raw(random(RANDOM));
      wire.data(flight);
      wire.u8(committed ? 1 : 0);
      wire.text(method);
      wire.text(url);
      return next();
    },

    // The decision of a subject's object. Needs no started engine.
    meter(state, stored, ask) {
      if (exports === null) instantiate();
      wire.write(64 + (state === null ? 0 : state.length) + ask.length, ASK.METER);
      wire.ms(now());
      wire.u8(stored ? 1 : 0);
      wire.data(state);
      wire.data(ask);
      call();
      return {
        state: wire.readData(),
        answer: wire.readData(),
        persist: wire.readData(),
        alarm: wire.readMs(),
      };
    },

    // When the alarm of a subject's object is to be set again; 0: it may forget itself.
    meterAlarm(state, stored) {
      if (exports === null) instantiate();
      wire.write(64 + state.length, ASK.METER_ALARM);
      wire.ms(now());
      wire.u8(stored ? 1 : 0);
      wire.data(state);
      call();
      return wire.readMs();
    },
  };
}

// Those words as they are; null, where there is none.
function certificateOf({ cf }) {
  const said = cf?.tlsClientAuth;
  return CERTIFICATE.map((name) => (typeof said?.[name] === "string" ? said[name] : null));
}

// Reads what is to be done beside a request: a fetch of keys.
function readErrand(wire) {
  const step = { kind: TELL.FETCH_KEYS, errand: null };
  readFetch(step, wire);
  step.flight = wire.readData();
  return step;
}

// What to fetch, and how old a copy may be: without asking, and where there is no answer; or that nobody is asked.
function readFetch(step, wire) {
  step.url = wire.readText();
  step.max = wire.readU32();
  step.fresh = wire.readMs();
  step.stale = wire.readMs();
  step.only = wire.readU8() === 1;
}

// Reads a step, and what is in flight with it.
function readStep(kind, wire) {
  const step = { kind, flight: null, errand: null };
  switch (kind) {
    case TELL.VERIFY:
      step.algorithm = wire.readText();
      step.key = wire.readText();
      step.input = wire.readData();
      step.signature = wire.readData();
      break;
    case TELL.FETCH_KEYS:
      readFetch(step, wire);
      break;
    case TELL.READ_BODY:
      step.max = wire.readMs();
      step.whose = wire.readMs();
      break;
    case TELL.METER:
      step.object = wire.readText();
      step.ask = wire.readData();
      break;
    case TELL.ATTEMPT:
      readAttempt(step, wire);
      break;
    case TELL.READ_ANSWER:
      step.max = wire.readMs();
      step.within = wire.readMs();
      break;
    case TELL.RELAY:
      step.status = wire.readU16();
      step.set = wire.readPairs();
      step.filter = wire.readU8() === 1;
      step.commit = wire.readU8();
      step.hold = wire.readU32();
      step.within = wire.readMs();
      step.tracking = wire.readData();
      break;
    case TELL.DECIDE:
      step.url = wire.readText();
      step.body = wire.readText();
      step.secret = wire.readText();
      step.client = wire.readText();
      step.post = wire.readU8() === 1;
      step.max = wire.readU32();
      step.within = wire.readMs();
      break;
    case TELL.PAUSE:
      step.within = wire.readMs();
      break;
    case TELL.COLD:
      step.id = wire.readText();
      break;
    case TELL.FINISH:
      step.status = wire.readU16();
      step.set = wire.readPairs();
      step.copy = wire.readU8() === 1;
      step.body = wire.readU8();
      step.bytes = step.body === 1 ? wire.readData() : null;
      step.log = wire.readText();
      step.settle = readSettle(wire);
      return step;
    case TELL.END:
      step.tail = wire.readData();
      step.log = wire.readText();
      step.settle = readSettle(wire);
      return step;
    default:
  }
  step.flight = wire.readData();
  return step;
}

// Whom to tell what was used, and whether a place goes back with it; null: nobody.
function readSettle(wire) {
  let settled = null;
  for (let object = wire.readText(); object !== null; object = wire.readText()) {
    (settled ??= []).push({ object, ask: wire.readData(), place: wire.readU8() === 1 });
  }
  return settled;
}

function readAttempt(step, wire) {
  step.within = wire.readMs();
  step.whole = wire.readMs();
  step.ahead = wire.readU8() === 1 ? readAhead(wire) : null;
  step.mock = wire.readU8() === 1;
  if (step.mock) {
    step.status = wire.readU16();
    step.set = wire.readPairs();
    step.pieces = new Array(wire.readU32());
    for (let i = 0; i < step.pieces.length; i++) {
      step.pieces[i] = { wait: wire.readMs(), bytes: wire.readData() };
    }
    step.end = wire.readU8();
    return;
  }
  step.url = wire.readText();
  step.method = wire.readText();
  step.set = wire.readPairs();
  step.credential = readCredential(wire);
  step.lists = new Array(wire.readU32());
  for (let i = 0; i < step.lists.length; i++) step.lists[i] = wire.readU32();
  step.body = wire.readU8();
  step.edits = null;
  step.last = false;
  if (step.body === 2) {
    step.last = wire.readU8() === 1;
    step.edits = new Array(wire.readU32());
    for (let i = 0; i < step.edits.length; i++) {
      step.edits[i] = { at: wire.readU32(), remove: wire.readU32(), insert: wire.readData() };
    }
  }
}

// How the request ends if the upstream answers, but for what only then is known.
function readAhead(wire) {
  return {
    set: wire.readPairs(), body: wire.readU8() === 1, began: wire.readMs(), attempted: wire.readMs(),
    line: wire.readTexts(), failuresOnly: wire.readU8() === 1,
  };
}

// Where the gateway's own credential comes from, and where it goes; null: there is none.
function readCredential(wire) {
  const kind = wire.readU8();
  if (kind === 0) return null;
  const credential = { kind, header: wire.readText(), prefix: wire.readText() };
  if (kind === CREDENTIAL.SECRET) return Object.assign(credential, { name: wire.readText() });
  if (kind === CREDENTIAL.SIGNED) {
    return Object.assign(credential, {
      algorithm: wire.readText(), key: wire.readText(), claims: wire.readText(), lifetime: wire.readMs(),
    });
  }
  credential.grant = {
    object: wire.readText(), endpoint: wire.readText(), clientId: wire.readText(), secret: wire.readText(),
    post: wire.readU8() === 1, form: wire.readPairs(),
  };
  return credential;
}
