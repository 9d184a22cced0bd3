// Streams: passed on as they come, and followed by the core.
//
// A stream whose bytes need not change is passed on untouched: the runtime pumps one branch of a
// `tee` to the client, and the other is looked at now and then. A stream from which something must
// be left out goes through the core, chunk by chunk. Either way the client's stream is closed only
// when the core has said how it ends: with nothing, or with an error event.

import { createHold, joined } from "./bodies.js";
import { Fault } from "./core.js";
import { settle, settleNow } from "./settle.js";
import { TELL } from "./wire.js";

const COMMIT = { HEAD: 0, FIRST_TOKEN: 1, WHOLE: 2 };
const STALLED = Symbol("stalled");
const END = { CLOSED: 0, LOST: 1, LATE: 2, ABANDONED: 3, TOO_LARGE: 4, BUSY: 5 };

// How often a stream that is passed on untouched is looked at, in milliseconds, and in pieces of
// which size. Its end wakes at once; only what goes wrong in between is noticed so much later.
const GLANCE = 200;
const PIECE = 64 * 1024;
// What a look at a stream costs the core, in bytes: for itself, and for every byte that it must carry along. Each
// byte that comes pays for so many; what is saved up is bounded. Who sends crumbs has nothing left, and then what
// comes within a while, in milliseconds, is looked at at once, in so many pieces (docs/decisions/0013).
const LOOK = 512;
const PAYS = 16;
const SAVED = 1024 * 1024;
const CRUMBS = 50;
const MOST_CRUMBS = 256;
// How long an upstream is heard out whose client has left; the platform allows 30 s.
const DRAIN = 25_000;
// How long a client may take nothing of a stream that is held back for it, in milliseconds.
const PATIENCE = 60_000;
// How long after the upstream's end a client may take to fetch the rest, in milliseconds.
const REST = 300_000;
// The most bytes of one stream.
const MAX_STREAM = 64 * 1024 * 1024;

// Passes a stream on. Returns the client's answer, or the next step when the upstream failed
// before the answer was the client's.
export function relay(core, step, call, log) {
  return new Promise((resolve, reject) => {
    const stream = createStream(core, step, call, log, resolve);
    const pump = step.filter ? filtered(stream) : untouched(stream);
    call.ctx.waitUntil(pump.catch((error) => {
      stream.free();
      if (!stream.committed) return reject(error);
      // The answer is the client's already: it must see that this is no end, and the operator why.
      log(JSON.stringify({ event: "fault", half: "shell", message: String(error) }));
      stream.writable.abort(error).catch(() => {});
    }));
  });
}

// What both ways share: following, deadlines, the client, and the end.
function createStream(core, step, call, log, resolve) {
  const { readable, writable } = new IdentityTransformStream();
  let { tracking } = step;
  const { signal } = call.request;
  let { within } = step;
  let lateAt = core.now() + within;
  let drainBy = Infinity;
  let timer = null;
  // When the timer wakes.
  let wakes = 0;
  // By how much later what has come may be seen.
  const unseen = step.filter ? 0 : GLANCE;
  // The room of what waited until the answer was the client's, until it has that.
  let room = null;
  let stop = null;
  let kept = 0;
  let saved = SAVED;

  const wakeBy = (time) => {
    clearTimeout(timer);
    wakes = time;
    timer = setTimeout(stream.alarm, Math.max(1, time - core.now()));
  };

  const stream = {
    source: call.response.body,
    writable,
    // Lets go of what is still being passed on.
    async drop() {},
    end: null,
    committed: false,
    clientGone: false,
    // The core was lost over it.
    faulted: false,
    started: false,
    over: false,
    bytes: 0,

    // Wakes when a deadline has passed: `halt` must then end the reading.
    watch(halt) {
      stop = halt;
      wakeBy(lateAt);
      // A client that leaves while nothing comes is noticed by this alone.
      signal.addEventListener("abort", stream.leave);
      if (signal.aborted) stream.leave();
    },
    alarm() {
      const now = core.now();
      if (lateAt > now) {
        // A deadline that was moved for a client that takes nothing comes back when it does.
        wakeBy(Math.min(lateAt, now + Math.max(within, 100)));
      } else if (stream.end === null) {
        stream.end = stream.clientGone ? END.ABANDONED : END.LATE;
        stop();
      }
    },

    // The client has left: the upstream is heard out, but not for ever.
    leave() {
      // Also who lets go of its stream at the end seems to leave.
      if (stream.clientGone || stream.over || stream.end !== null) return;
      stream.clientGone = true;
      drainBy = core.now() + DRAIN;
      lateAt = Math.min(lateAt, drainBy);
      wakeBy(lateAt);
    },

    // Waits until the client has taken something. Meanwhile its upstream is not late: nobody listens.
    async taken(writing) {
      lateAt = Math.min(core.now() + PATIENCE, drainBy);
      await writing;
      lateAt = Math.min(core.now() + within, drainBy);
    },

    hasLeft() {
      return signal.aborted;
    },

    // Counts bytes that wait until the answer is the client's. They may be too many, or there is no room.
    keep(length) {
      if (kept + length > step.hold) stream.end ??= END.TOO_LARGE;
      else if (!(call.answers ??= createHold()).reserve(length)) stream.end ??= END.BUSY;
      else kept += length;
      return stream.end === null;
    },

    // Shows the core one more chunk; returns what the client gets of it.
    follow(chunk) {
      core.ready(call.env);
      const progress = core.follow(tracking, chunk);
      ({ tracking } = progress);
      stream.bytes += chunk.length;
      saved = Math.max(-SAVED, Math.min(SAVED, saved + chunk.length * PAYS - tracking.length - LOOK));
      stream.started = progress.started;
      // What comes after its end does not put off when it is left.
      if (!stream.over) {
        within = progress.within + unseen;
        lateAt = Math.min(core.now() + within, drainBy);
      }
      stream.over = progress.over;
      // Later is seen when it wakes; earlier it must be told, as after the first token, and after the last.
      if (lateAt < wakes) wakeBy(lateAt);
      if (stream.bytes > MAX_STREAM && stream.end === null) {
        stream.end = END.TOO_LARGE;
        stop();
      }
      return progress;
    },

    // What has come of the stream; null: its end.
    read(reader) {
      return saved < 0 ? reader.gather() : reader.read();
    },

    // What was kept has gone on.
    free() {
      room?.release();
      room = null;
    },

    // Ends the upstream, so that what has come of it goes on to the client; whether it can be ended so.
    quit() {
      call.controller?.abort();
      return Boolean(call.controller);
    },

    // Whether the answer is the client's now.
    ripe(progress) {
      if (stream.committed || progress.failed) return false;
      return step.commit === COMMIT.FIRST_TOKEN && progress.started;
    },

    commit() {
      stream.committed = true;
      // Nobody else will be asked: what is kept for that is let go of while the stream runs.
      call.body = null;
      room = call.answers;
      call.answers = null;
      const headers = {};
      for (let i = 0; i < step.set.length; i += 2) headers[step.set[i]] = step.set[i + 1];
      resolve(new Response(readable, { status: step.status, headers }));
    },

    // Ends the stream as the core says. `flush` passes on what is still held back.
    async finish(flush) {
      clearTimeout(timer);
      signal.removeEventListener("abort", stream.leave);
      const next = ending();
      if (next.kind !== TELL.END) {
        // Nothing has reached the client yet: somebody else may answer.
        if (!stream.committed) return resolve(next);
        throw new Error("a stream that has begun was answered anew");
      }
      if (next.log !== null) log(next.log);
      // What it used is told at once; its place is kept until the client has its last byte.
      const places = next.settle === null ? [] : settleNow(next.settle, call, log);
      if (stream.clientGone) settle(places.splice(0), call, log);
      if (!stream.committed) stream.commit();
      let writer = null;
      const rest = async () => {
        await flush();
        writer = writable.getWriter();
        if (next.tail.length > 0) await writer.write(next.tail);
        await writer.close();
      };
      // All is said and written down; only a client that does not take it could keep it.
      let patience;
      const lost = new Promise((_, refuse) => { patience = setTimeout(refuse, REST, new Error("the client takes too long")); });
      try {
        await Promise.race([rest(), lost]);
      } catch (error) {
        // The client has left, or is treated as if it had. Who holds the stream lets go of it first.
        await Promise.race([stream.drop(), pause(1_000)]);
        (writer ?? writable).abort(error).catch(() => {});
      } finally {
        clearTimeout(patience);
        stream.free();
        settle(places, call, log);
      }
    },
  };
  // What the core says of the end, or what is said of it when the core was lost over it.
  function ending() {
    core.ready(call.env);
    if (!stream.faulted) {
      try {
        return core.streamed(step.flight, tracking, stream.end ?? END.CLOSED, stream.clientGone, stream.committed);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        core.ready(call.env);
      }
    }
    return core.fault(call.request, step.flight, stream.committed);
  }

  if (step.commit === COMMIT.HEAD) stream.commit();
  return stream;
}

async function untouched(stream) {
  const [client, copy] = stream.source.tee();
  const halted = new AbortController();
  let pipe = null;
  const open = () => {
    pipe = client
      .pipeTo(stream.writable, { preventClose: true, preventAbort: true, signal: halted.signal })
      .catch(() => {
        // Either the upstream or the client; the other branch tells which.
        if (stream.end === null) stream.leave();
      });
  };
  const reader = openReader(copy);
  stream.drop = () => {
    halted.abort();
    return pipe;
  };
  stream.watch(() => {
    reader.cancel();
    // Of a stream that is over only its connection is not: who has not taken all of it yet shall have the rest.
    if (!stream.over || !stream.quit()) halted.abort();
  });
  if (stream.committed) open();
  try {
    while (stream.end === null) {
      const chunk = await stream.read(reader);
      if (chunk === null) break;
      const progress = stream.follow(chunk);
      if (stream.ripe(progress)) {
        stream.commit();
        open();
      }
      if (progress.failed && !stream.committed) break;
      if (!stream.committed) stream.keep(chunk.length);
      // Look again when there is more to see: at once, where there is more than was taken; otherwise
      // after a while, or at the end.
      const more = chunk.length === PIECE;
      if (pipe !== null && !stream.clientGone && !more) await Promise.race([pipe, pause(GLANCE)]);
    }
  } catch (error) {
    if (error instanceof Fault) {
      stream.faulted = true;
      halted.abort();
    } else {
      stream.end ??= END.LOST;
    }
  }
  stream.end ??= END.CLOSED;
  // A broken upstream ends the pipe as a client that left does; only this tells them apart.
  if (stream.end === END.LOST) stream.clientGone = stream.hasLeft();
  await stream.finish(async () => {
    if (pipe === null) open();
    await pipe;
  });
  if (pipe === null) {
    reader.cancel();
    client.cancel().catch(() => {});
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Reads what is there, in large pieces where the stream can do that.
function openReader(stream) {
  let reader;
  let buffer = null;
  try {
    reader = stream.getReader({ mode: "byob" });
    buffer = new ArrayBuffer(PIECE);
  } catch {
    reader = stream.getReader();
  }
  // A read that nobody has taken yet.
  let begun = null;

  async function next() {
    const { done, value } =
      buffer === null ? await reader.read() : await reader.read(new Uint8Array(buffer));
    if (value !== undefined && buffer !== null) ({ buffer } = value);
    return done ? null : value;
  }

  return {
    read() {
      const read = begun ?? next();
      begun = null;
      return read;
    },

    // What comes within a while, as one piece. What fails meanwhile, or ends, is for the next call.
    async gather() {
      const first = await this.read();
      if (first === null) return null;
      // The buffer is the next piece's.
      const pieces = [first.slice()];
      const over = pause(CRUMBS);
      while (pieces.length < MOST_CRUMBS) {
        begun ??= next();
        const read = await Promise.race([begun, over]).catch(() => null);
        if (!(read instanceof Uint8Array)) break;
        begun = null;
        pieces.push(read.slice());
      }
      await over;
      return joined(pieces);
    },

    cancel() {
      reader.cancel().catch(() => {});
    },
  };
}

async function filtered(stream) {
  // In large pieces: when chunks come faster than they can be looked at, several are looked at at once.
  const reader = openReader(stream.source);
  let writer = null;
  let writing = null;
  const held = [];
  const open = () => {
    writer = stream.writable.getWriter();
    writer.closed.catch(() => stream.leave());
  };
  const taken = () => { writing = null; };
  const refused = () => {
    writing = null;
    stream.leave();
  };
  // A client that takes nothing for too long is treated as one that left.
  let waits = false;
  let stalled;
  const patience = new Promise((resolve) => { stalled = resolve; });
  stream.drop = async () => writer?.abort().catch(() => {});
  // One write is under way at a time: a slow client slows the upstream, and fills no memory.
  const pass = async (bytes) => {
    if (stream.clientGone || bytes.length === 0) return;
    if (writing !== null) {
      waits = true;
      const taken = await Promise.race([stream.taken(writing), patience]);
      waits = false;
      if (taken === STALLED) return;
    }
    writing = writer.write(bytes).then(taken, refused);
  };
  stream.watch(() => {
    reader.cancel();
    if (waits) {
      // It is the client that was waited for, not the upstream.
      stream.end = END.ABANDONED;
      stream.clientGone = true;
      stalled(STALLED);
    }
  });
  if (stream.committed) open();
  try {
    while (stream.end === null) {
      const chunk = await stream.read(reader);
      if (chunk === null) break;
      const progress = stream.follow(chunk);
      if (stream.ripe(progress)) {
        stream.commit();
        open();
        for (const bytes of held.splice(0)) await pass(bytes);
        stream.free();
      }
      if (progress.failed && !stream.committed) break;
      if (stream.committed) {
        await pass(progress.passed);
      } else if (progress.passed.length > 0) {
        if (stream.keep(progress.passed.length)) held.push(progress.passed);
      }
    }
  } catch (error) {
    if (error instanceof Fault) stream.faulted = true;
    else stream.end ??= END.LOST;
  }
  stream.end ??= END.CLOSED;
  await stream.finish(async () => {
    if (writer === null) open();
    for (const bytes of held.splice(0)) await pass(bytes);
    if (writing !== null && (await Promise.race([writing, patience])) === STALLED) {
      throw new Error("the client takes nothing");
    }
    writer.releaseLock();
  });
  reader.cancel();
}
