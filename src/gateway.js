// The shell: it owns requests, answers, streams, WebCrypto and objects, and carries out the steps
// that the core decides. Whether a request may pass, and what it gets, is not decided here; what is, docs/architecture.md
// lists (What the shell decides).

import { BODY, FAILURE, createHold, edited, readWhole } from "./bodies.js";
import { Fault } from "./core.js";
import { verify } from "./crypto.js";
import { copyOf, share } from "./copies.js";
import { basic, granted } from "./grant.js";
import { play } from "./mock.js";
import { relay } from "./relay.js";
import { settle, settleNow } from "./settle.js";
import { signed } from "./sign.js";
import { createWatch } from "./watch.js";
import { CREDENTIAL, TELL } from "./wire.js";

// How long a client may take to send a body that must be read, in milliseconds; a short one, less.
const UPLOAD = 60_000;
const SHORT_UPLOAD = 10_000;
// What a short one is, in bytes.
const SHORT = 64 * 1024;
// After how many milliseconds an answer that nobody takes is settled, and ended: what is given back is over.
const UNTAKEN = 15_000;
// How long an answer that holds a place may last at the most, in milliseconds, no longer than its object keeps the
// place (`BODY` and `SETTLING` in crates/engine/src/admit/uses.rs): one that is passed on, and one that is whole.
const LONGEST = 15 * 60_000;
const FETCHED = 5 * 60_000;
// In which pieces an answer that is whole is handed out.
const PIECE = 64 * 1024;
// How long an object may take to decide, and an issuer to send its keys, in milliseconds.
const DECIDE = 5_000;
const KEYS = 5_000;

const BODY_FAILURES = { large: BODY.TOO_LARGE, lost: BODY.INCOMPLETE, late: BODY.INCOMPLETE, busy: BODY.BUSY, share: BODY.SHARE };
const ANSWER_FAILURES = {
  large: FAILURE.TOO_LARGE, lost: FAILURE.UNREACHABLE, late: FAILURE.TIMEOUT, busy: FAILURE.BUSY,
};

// What the value of a header cannot have (RFC 9110, 5.5); what is around it is no part of it.
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

// Headers whose values add up.
const listed = (name) => name === "vary" || name === "link";

export function createGateway(core, cold, log) {
  async function fetch(request, env, ctx) {
    // What belongs to this request alone.
    const call = {
      request, env, ctx,
      // What the core knows of it, while something is waited for.
      flight: null,
      body: null,
      response: null,
      noted: null,
      answer: null,
      controller: null,
      // Whether an upstream has been asked.
      attempted: false,
      // After how many milliseconds of its attempt a call was made again; 0: it was not.
      repeated: 0,
      // What the body takes of an isolate's room, and what answers take: that of an attempt that failed is given
      // back before the next one.
      hold: null,
      answers: null,
      watch: createWatch(() => {
        // To ask for it costs more than most calls take: it is asked for when one takes its time.
        call.signal ??= call.request.signal;
        return hasLeft(call);
      }),
      // Set while the request is carried on with or without its client.
      settle: null,
      // Tells whether the client has left; it must be at hand before that.
      signal: null,
    };
    try {
      core.ready(env);
      return await carryOut(core.begin(request), call);
    } catch (error) {
      return lost(error, call);
    } finally {
      call.watch.stop();
      call.hold?.release();
      call.answers?.release();
      if (call.settle !== null) call.settle();
    }
  }

  async function carryOut(first, call) {
    let step = first;
    for (;;) {
      call.flight = step.flight;
      if (call.settle === null && !lastsAlone(step)) outlast(call);
      if (step.errand !== null) call.ctx.waitUntil(aside(step.errand, call.env));
      switch (step.kind) {
        case TELL.FINISH:
          return finish(step, call);
        case TELL.ATTEMPT: {
          // Nobody waits for what another attempt would cost.
          if (call.attempted && hasLeft(call)) {
            step = resume(call).unanswered(step.flight, FAILURE.UNSENT, 0);
            break;
          }
          call.attempted = true;
          // An earlier answer that is not used any more.
          if (call.response !== null) discard(call);
          call.answer = null;
          call.answers?.release();
          call.controller = null;
          call.repeated = 0;
          const began = core.now();
          const failure = await (step.mock ? mocked(step, call) : reach(step, call, began));
          const { flight } = step;
          if (failure !== 0) {
            step = resume(call).unanswered(flight, failure, call.repeated);
            break;
          }
          // Its body is not sent again.
          if (step.last) {
            call.body = null;
            call.hold?.release();
          }
          call.noted = core.note(call.response);
          const { status } = call.response;
          // Of any other status, or of a client that has left, the core has something to say.
          if (step.ahead !== null && call.repeated === 0 && status >= 200 && status < 600 && !hasLeft(call)) {
            return finish(foreseen(step.ahead, status, core.now()), call);
          }
          if (step.whole > 0 && call.response.ok) {
            const within = Math.max(0, step.within - (core.now() - began));
            const read = await readAnswer(step.whole, within, call);
            const failed = typeof read === "string";
            if (!failed) call.answer = read;
            step = resume(call).whole(flight, status, call.noted, call.repeated, failed ? answerFailure(read, call) : 0, failed ? null : read);
            break;
          }
          step = resume(call).answered(flight, status, call.noted, call.repeated);
          break;
        }
        case TELL.METER: {
          const decided = await decide(step, call);
          step = resume(call).metered(step.flight, decided);
          break;
        }
        case TELL.READ_BODY:
          step = await readBody(step, call);
          break;
        case TELL.READ_ANSWER: {
          const read = await readAnswer(step.max, step.within, call);
          const failed = typeof read === "string";
          if (!failed) call.answer = read;
          step = resume(call).answer(step.flight, failed ? answerFailure(read, call) : 0, failed ? null : read);
          break;
        }
        case TELL.RELAY: {
          const relayed = await relay(core, step, call, log);
          if (relayed instanceof Response) return relayed;
          step = relayed;
          break;
        }
        case TELL.VERIFY: {
          const right = await verify(step);
          step = resume(call).verified(step.flight, right);
          break;
        }
        case TELL.FETCH_KEYS: {
          const { url } = step;
          const keys = await keysOf(step, call.watch);
          step = resume(call).keys(step.flight, keys);
          if (step.share) call.ctx.waitUntil(share(url, keys.bytes, keys.asked));
          break;
        }
        case TELL.DECIDE: {
          const { status, failure, bytes } = await askPoint(step, call);
          step = resume(call).decided(step.flight, status, failure, bytes);
          break;
        }
        case TELL.PAUSE:
          await new Promise((resolve) => setTimeout(resolve, step.within));
          step = resume(call).paused(step.flight);
          break;
        case TELL.COLD: {
          const response = await coldly(step, call);
          if (response === null) {
            step = resume(call).unanswered(step.flight, FAILURE.UNREACHABLE, 0);
            break;
          }
          const settled = resume(call).answered(step.flight, response.status, {}, 0);
          if (settled.log !== null) log(settled.log);
          for (let i = 0; i < settled.set.length; i += 2) response.headers.set(settled.set[i], settled.set[i + 1]);
          return response;
        }
        default:
          throw new Error(`the shell does not know the step ${step.kind}`);
      }
    }
  }

  // Whatever must be waited for is waited for also when the client leaves: what is held for it must be
  // given back, what it used must be known, and the log must have its line. Without this the platform
  // would stop in the middle, and run no `finally`.
  function outlast(call) {
    call.signal = call.request.signal;
    call.ctx.waitUntil(new Promise((resolve) => { call.settle = resolve; }));
  }

  function hasLeft(call) {
    return call.signal !== null && call.signal.aborted;
  }

  // What ends at once, or with a fetch that is waited for by itself (see `send`).
  function lastsAlone(step) {
    if (step.kind !== TELL.ATTEMPT) return step.kind === TELL.FINISH;
    return !step.mock && step.body !== 2 && (step.credential === null || step.credential.kind === CREDENTIAL.SECRET);
  }

  // The core may have been replaced while this request waited.
  function resume(call) {
    core.ready(call.env, hasLeft(call));
    return core;
  }

  async function readBody(step, call) {
    if (call.body !== null) return resume(call).body(step.flight, 0, call.body);
    const length = call.request.headers.get("content-length");
    const announced = length === null ? null : Number(length);
    call.hold ??= createHold(step.whose, step.max);
    const within = announced !== null && announced <= SHORT ? SHORT_UPLOAD : UPLOAD;
    const read = await readWhole(call.request, announced, step.max, within, call.hold, call.watch);
    if (typeof read === "string") return resume(call).body(step.flight, BODY_FAILURES[read], null);
    call.body = read;
    return resume(call).body(step.flight, 0, read);
  }

  function answerFailure(read, call) {
    return call.watch.gone() ? FAILURE.ABANDONED : ANSWER_FAILURES[read];
  }

  function readAnswer(max, within, call) {
    const { "content-length": length, "content-encoding": encoding } = call.noted;
    // A decoded answer is longer than what was announced.
    const plain = length !== undefined && /^\d+$/.test(length);
    const announced = plain && encoding === undefined ? Number(length) : null;
    call.answers ??= createHold();
    return readWhole(call.response, announced, max, within, call.answers, call.watch, call.controller);
  }

  // Plays a scripted answer; 0, or why there is none.
  async function mocked(step, call) {
    const played = await play(step);
    if (played === null) return FAILURE.TIMEOUT;
    call.response = played;
    return 0;
  }

  // Fetches what a step asks for; 0, or why there is no answer. Where the upstream does not take a granted token,
  // the call is made once more with another one, if there is, and the body can be sent again: a 401 says that
  // nothing was done (RFC 9110, 15.5.2), whatever the method.
  async function reach(step, call, began) {
    const left = () => step.within - (core.now() - began);
    let own = await credentialInTime(step, call, null, left());
    if (typeof own === "number") return own;
    if (left() <= 0) return FAILURE.NO_TOKEN;
    const failure = await send(step, call, own, left());
    if (failure !== 0 || call.response.status !== 401 || step.credential?.kind !== CREDENTIAL.GRANTED) return failure;
    const refused = own;
    if (step.body === 1) {
      call.ctx.waitUntil(credentialOf(step, call, refused));
      return failure;
    }
    const answered = core.now() - began;
    own = await credentialInTime(step, call, refused, left());
    if (typeof own === "number" || left() <= 0) return failure;
    call.repeated = Math.max(1, answered);
    discard(call);
    call.controller = null;
    return send(step, call, own, left());
  }

  // The same as `credentialOf`, in the time that its call has: what is spent waiting for it is the call's.
  async function credentialInTime(step, call, refused, within) {
    const waits = step.credential !== null && step.credential.kind !== CREDENTIAL.SECRET;
    if (!waits) return credentialOf(step, call, refused);
    const late = new Promise((resolve) => {
      const over = () => resolve(call.watch.gone() ? FAILURE.ABANDONED : FAILURE.NO_TOKEN);
      call.watch.within(Math.max(1, within), over);
    });
    try {
      return await Promise.race([credentialOf(step, call, refused), late]);
    } finally {
      call.watch.over();
    }
  }

  // The value of the gateway's own credential; null: it has none; or a failure.
  async function credentialOf({ credential }, call, refused) {
    if (credential === null) return null;
    const report = (event, secret) => log(JSON.stringify({ event, secret }));
    if (credential.kind === CREDENTIAL.SIGNED) {
      return (await signed(credential, call.env, core.now(), report)) ?? FAILURE.SECRET_MISSING;
    }
    const name = credential.name ?? credential.grant.secret;
    const secret = call.env[name];
    if (typeof secret !== "string" || secret === "") {
      report("secret_missing", name);
      return FAILURE.SECRET_MISSING;
    }
    // No header can carry it, and no upstream is at fault for that.
    if (credential.kind === CREDENTIAL.SECRET && NO_VALUE.test(secret.trim())) {
      report("secret_malformed", name);
      return FAILURE.SECRET_MISSING;
    }
    if (credential.kind === CREDENTIAL.SECRET) return secret;
    return (await granted(credential.grant, secret, refused, call, core.now, log)) ?? FAILURE.NO_TOKEN;
  }

  // Makes one call, in time. What is tried only once ends with its request and needs no signal to be aborted by:
  // wiring one costs more than the rest here.
  function send(step, call, own, within) {
    const init = outgoing(step, call, own);
    if (step.body === 2 && !step.last) {
      call.controller = new AbortController();
      init.signal = call.controller.signal;
    }
    return new Promise((resolve) => {
      let late = false;
      // An upload has its own time: it is the client's, not the upstream's.
      call.watch.within(step.body === 1 ? within + UPLOAD : Math.max(1, within), () => {
        late = true;
        if (call.controller !== null) call.controller.abort();
        resolve(call.watch.gone() ? FAILURE.ABANDONED : FAILURE.TIMEOUT);
      });
      const answered = globalThis.fetch(step.url, init).then(
        (response) => {
          // Somebody else may be answering already.
          if (late) return void response.body?.cancel().catch(() => {});
          call.watch.over();
          call.response = response;
          resolve(0);
        },
        (error) => {
          if (late) return;
          call.watch.over();
          // The client is told that, not why; the host alone, as a query may hold what is nobody's business.
          log(JSON.stringify({ event: "fetch_failed", host: new URL(step.url).host, message: String(error) }));
          resolve(FAILURE.UNREACHABLE);
        },
      );
      if (call.settle === null) call.ctx.waitUntil(answered);
    });
  }

  // What is sent to an upstream; `own` is the gateway's credential.
  function outgoing(step, call, own) {
    core.ready(call.env);
    const headers = {};
    for (const list of step.lists) {
      for (const name of core.names(list)) {
        const value = call.request.headers.get(name);
        if (value !== null) headers[name] = value;
      }
    }
    for (let i = 0; i < step.set.length; i += 2) headers[step.set[i]] = step.set[i + 1];
    if (own !== null) headers[step.credential.header] = step.credential.prefix + own;
    let body = null;
    if (step.body === 1) body = call.request.body;
    else if (step.body === 2) body = edited(call.body, step.edits);
    return { method: step.method, headers, body, redirect: "manual", cache: "no-store" };
  }

  // An object that threw is asked once more, through a stub of its own: it knows the request by its id, and charges it
  // once. One that has too much to do gets no more of it.
  async function decide(step, { env, watch }) {
    let waits = true;
    const late = new Promise((resolve) => { watch.within(DECIDE, () => resolve(null)); });
    const ask = async () => env.METER.getByName(step.object).decide(step.ask);
    const again = (error) => {
      if (!waits || error?.overloaded === true) throw error;
      return ask();
    };
    try {
      const asked = ask().catch(again);
      // It may fail when nobody waits for it any more.
      asked.catch(() => {});
      return await Promise.race([asked, late]);
    } catch (error) {
      log(JSON.stringify({ event: "limiter_failed", message: String(error) }));
      return null;
    } finally {
      waits = false;
      watch.over();
    }
  }

  // What is to be done beside a request, which does not wait for it. A core that failed at it has told so.
  async function aside(errand, env) {
    const watch = createWatch(() => false);
    try {
      for (let step = errand; step.kind === TELL.FETCH_KEYS;) {
        const { url } = step;
        const keys = await keysOf(step, watch);
        core.ready(env);
        step = core.keys(step.flight, keys);
        if (step.share) await share(url, keys.bytes, keys.asked);
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    } finally {
      watch.stop();
    }
  }

  // What an issuer publishes: a copy that is new enough, or what it answers, or a copy that will do.
  async function keysOf(step, watch) {
    const copy = step.fresh + step.stale > 0 ? await copyOf(step.url, step.max, core.now) : null;
    if (copy !== null && copy.age < step.fresh) return copy;
    const asked = core.now();
    const bytes = step.only ? null : await fetchKeys(step, watch);
    if (bytes === null && copy !== null && copy.age < step.stale) return copy;
    return { bytes, age: 0, asked };
  }

  async function fetchKeys(step, watch) {
    const hold = createHold();
    const controller = new AbortController();
    const began = Date.now();
    watch.within(KEYS, () => controller.abort());
    try {
      const response = await globalThis.fetch(step.url, {
        redirect: "manual",
        cache: "no-store",
        headers: { accept: "application/json" },
        signal: controller.signal,
      });
      if (response.status !== 200) {
        if (response.body !== null) response.body.cancel().catch(() => {});
        return null;
      }
      const left = Math.max(1, KEYS - (Date.now() - began));
      const read = await readWhole(response, null, step.max, left, hold, watch, controller);
      return typeof read === "string" ? null : read;
    } catch {
      return null;
    } finally {
      watch.over();
      hold.release();
    }
  }

  // Asks a decision point, in JSON; or, as its client, the issuer of a token, by a form. An answer of another status,
  // or not in JSON, is not read.
  async function askPoint(step, { env, watch }) {
    const none = (failure) => ({ status: 0, failure, bytes: null });
    const type = step.client === null ? "application/json" : "application/x-www-form-urlencoded";
    const headers = { accept: "application/json", "content-type": type };
    let { body } = step;
    if (step.secret !== null) {
      const secret = env[step.secret];
      if (typeof secret !== "string" || secret === "") {
        log(JSON.stringify({ event: "secret_missing", secret: step.secret }));
        return none(FAILURE.SECRET_MISSING);
      }
      if (step.client === null) headers.authorization = `Bearer ${secret}`;
      else if (step.post) body += `&${new URLSearchParams({ client_id: step.client, client_secret: secret })}`;
      else headers.authorization = `Basic ${basic(step.client, secret)}`;
    }
    const hold = createHold();
    const controller = new AbortController();
    const began = Date.now();
    let late = false;
    watch.within(step.within, () => {
      late = true;
      controller.abort();
    });
    try {
      const response = await globalThis.fetch(step.url, {
        method: "POST", headers, body, redirect: "manual", cache: "no-store", signal: controller.signal,
      });
      const { status } = response;
      const plain = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(response.headers.get("content-type") ?? "");
      if (status !== 200 || !plain) {
        response.body?.cancel().catch(() => {});
        return { status, failure: 0, bytes: null };
      }
      const left = Math.max(1, step.within - (Date.now() - began));
      const read = await readWhole(response, null, step.max, left, hold, watch, controller);
      return typeof read === "string" ? none(ANSWER_FAILURES[read]) : { status, failure: 0, bytes: read };
    } catch {
      return none(late ? FAILURE.TIMEOUT : FAILURE.UNREACHABLE);
    } finally {
      watch.over();
      hold.release();
    }
  }

  // The answer of the other half, under the id that the request has here; null when it failed.
  async function coldly(step, call) {
    try {
      const { url, method } = call.request;
      const request = new Request(url, { method, headers: { "x-request-id": step.id } });
      return await cold.fetch(request, call.env, call.ctx);
    } catch (error) {
      log(JSON.stringify({ event: "fault", half: "cold", message: String(error) }));
      return null;
    }
  }

  // Answers of these have no body, whatever an upstream sends after them (RFC 9110, 6.4.1).
  const bodyless = (status) => status === 204 || status === 205 || status === 304;

  // The end that was told ahead of its upstream's answer, as `Ahead::finish` has it (crates/engine/src/step.rs).
  function foreseen({ set, body, began, attempted, line, failuresOnly }, status, now) {
    const [ms, took] = [Math.max(0, now - began), Math.max(0, now - attempted)];
    const logged = status >= 400 || !failuresOnly;
    const log = logged ? line[0] + ms + line[1] + status + line[2] + took + line[3] + status + line[4] : null;
    return { status, set, copy: true, body: body && !bodyless(status) ? 2 : 0, bytes: null, log, settle: null };
  }

  function finish(step, call) {
    if (step.log !== null) log(step.log);
    const headers = {};
    let cookies = null;
    if (step.copy) {
      for (const name in call.noted) {
        if (name === "set-cookie") cookies = call.noted[name];
        else if (core.copied(name)) headers[name] = call.noted[name];
      }
    }
    for (let i = 0; i < step.set.length; i += 2) {
      const name = step.set[i];
      const both = listed(name) && headers[name] !== undefined;
      headers[name] = both ? `${headers[name]}, ${step.set[i + 1]}` : step.set[i + 1];
    }
    let body = null;
    if (step.body === 1) body = step.bytes;
    else if (step.body === 2) body = call.response.body;
    else if (step.body === 3) body = call.answer;
    if (step.body !== 2 && call.response !== null) discard(call);
    if (step.settle !== null) {
      if (step.body === 2 && body !== null && !hasLeft(call)) {
        body = accompanied(piecesOf(body), new IdentityTransformStream(), LONGEST, step.settle, call);
      } else {
        // Nobody is there to read the rest.
        if (step.body === 2 && call.response !== null) discard(call);
        const places = settleNow(step.settle, call, log);
        if (places.length > 0 && step.body === 3 && !hasLeft(call)) body = handed(body, places, call);
        else settle(places, call, log);
      }
    }
    // What a client takes its time with must not lie there uncounted.
    if (step.body === 3 && body === call.answer && body.length > PIECE && !hasLeft(call)) body = handed(body, [], call);
    const response = new Response(body, { status: step.status, headers });
    if (cookies !== null) for (const cookie of cookies) response.headers.append("set-cookie", cookie);
    return response;
  }

  // An answer that is whole, piece by piece: its room is given back with its last byte.
  function handed(body, places, call) {
    const room = call.answers;
    call.answers = null;
    return accompanied(slicesOf(body), new FixedLengthStream(body.length), FETCHED, places, call, room);
  }

  // The same bytes as a stream, and its reservation settled with its last byte; or when nobody has taken any for a
  // while, as when the client had left before the answer came, of which the platform does not tell.
  function accompanied(source, { readable, writable }, within, settled, call, room = null) {
    let told = false;
    const tell = () => {
      if (!told) settle(settled, call, log);
      told = true;
    };
    const pump = async () => {
      const writer = writable.getWriter();
      // The place goes back, so the stream must not go on: it would be one too many.
      const end = (why) => {
        tell();
        source.cancel();
        writer.abort(new Error(why)).catch(() => {});
      };
      // A client that leaves while nothing comes is noticed by this alone.
      call.signal?.addEventListener("abort", () => end("the client has left"));
      const longest = setTimeout(() => end("it took longer than a place is kept"), within);
      try {
        for (;;) {
          const { done, value } = await source.read();
          if (done) break;
          const timer = setTimeout(() => end("nobody takes it"), UNTAKEN);
          try {
            await writer.write(value);
          } finally {
            clearTimeout(timer);
          }
        }
        await writer.close();
      } catch (error) {
        source.cancel();
        writer.abort(error).catch(() => {});
      } finally {
        clearTimeout(longest);
        room?.release();
        tell();
      }
    };
    call.ctx.waitUntil(pump());
    return readable;
  }

  // What is left of a stream.
  function piecesOf(stream) {
    const reader = stream.getReader();
    return { read: () => reader.read(), cancel: () => void reader.cancel().catch(() => {}) };
  }

  // What is whole, piece by piece.
  function slicesOf(bytes) {
    let at = 0;
    const read = () => {
      const done = at >= bytes.length;
      const value = bytes.subarray(at, at + PIECE);
      at += PIECE;
      return { done, value };
    };
    return { read, cancel() { at = bytes.length; } };
  }

  // Frees the connection of an answer that nobody reads.
  function discard(call) {
    const { response } = call;
    call.response = null;
    if (response.body !== null && !response.bodyUsed) response.body.cancel().catch(() => {});
  }

  // The client's answer when its handling was lost: every other request goes on.
  function lost(error, call) {
    if (!(error instanceof Fault)) {
      log(JSON.stringify({ event: "fault", half: "shell", message: String(error) }));
    }
    // What broke the core may break it again as it looks for what was called: then that is not looked for.
    for (const request of [call.request, { method: call.request.method, url: "" }]) {
      try {
        core.ready(call.env);
        return finish(core.fault(request, call.flight, false), call);
      } catch {
        continue;
      }
    }
    return unready();
  }

  // Without a core there is nothing to decide with, as with a bundle of another format. One body for all surfaces:
  // a problem (RFC 9457), in which the SDKs of models find their `error` as well.
  function unready() {
    const [title, status, code] = ["The gateway cannot start", 503, "not_ready"];
    const request_id = crypto.randomUUID().replaceAll("-", "");
    log(JSON.stringify({ event: "request", request_id, decision: "failed", code, status }));
    const error = { message: `${title}.`, type: "server_error", param: null, code, request_id };
    const body = JSON.stringify({ type: `urn:turnpike:problem:${code}`, title, status, code, request_id, error });
    const headers = { "content-type": "application/problem+json", "retry-after": "30", "x-request-id": request_id };
    return new Response(body, { status, headers });
  }

  return { fetch };
}
