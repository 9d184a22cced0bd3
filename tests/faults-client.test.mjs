// Clients that leave, and clients that do not read. What a call has used is counted also when nobody hears
// its end; an upstream is heard out, but not for ever; and a slow client makes its upstream wait, instead of
// filling the gateway's memory. Streams are asked twice: with usage wanted (passed on untouched) and without
// (filtered), as in streams.test.mjs.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { key, startE2e } from "./harness/e2e.mjs";
import { open } from "./harness/raw.mjs";
import { PORTS, chunks, completion, event, json, startStreams, startUpstream } from "./harness/upstream.mjs";

const USAGE = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 };
const COUNTED = { input_tokens: 9, output_tokens: 4, settled: "counted" };
const EVENTS = chunks("upstream-model", ["one", " two", " three"], { usage: USAGE }).map(event);
const BEGIN = EVENTS.slice(0, 2).join("");
const REST = EVENTS.slice(2).join("") + event("[DONE]");
const LARGE = event(JSON.stringify({ choices: [{ index: 0, delta: { content: "x".repeat(32 * 1024) } }] }));

let gateway;
let upstream;
// What happens in the background of the others: see the last test.
let drained;
before(async () => {
  upstream = await startStreams(PORTS.chat);
  gateway = await startE2e();
  drained = drainForEver();
  drained.catch(() => {});
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
beforeEach(() => { upstream.streams = []; });

const closed = ({ gone }) => Promise.race([gone, sleep(2000).then(() => assert.fail("the upstream's connection is still open"))]);
async function waitFor(look, within = 5000) {
  for (const until = performance.now() + within; performance.now() < until; await sleep(20)) {
    const found = look();
    if (found !== undefined) return found;
  }
  return assert.fail("it did not come");
}

// A call that a test can break off.
function ask(script, { usage = true, stream = true, model = "plain", as = "wide" } = {}) {
  const call = open(gateway.url, {
    method: "POST", path: "/v1/chat/completions", headers: { "x-api-key": key(as), "content-type": "application/json" },
  });
  call.request.on("error", () => {});
  call.request.end(JSON.stringify({
    model, messages: [{ role: "user", content: upstream.play(script) }],
    ...(stream ? { stream: true, stream_options: { include_usage: usage } } : {}),
  }));
  return call;
}
// Its client hears the first text and leaves: the connection is closed, or reset. (workerd sees the first only
// when it writes again, the second at once.) The log line.
async function leave(script, { reset = false, within = 8000, ...options }) {
  const call = ask(script, options);
  const response = await call.response;
  response.on("error", () => {});
  await once(response, "data");
  if (reset) call.request.socket.resetAndDestroy();
  else call.request.destroy();
  return gateway.line(response.headers["x-request-id"], within);
}

for (const usage of [true, false]) {
  describe(usage ? "usage wanted: passed on untouched" : "usage not wanted: filtered", () => {
    test("the client leaves: the upstream is heard out, and its usage counted", async () => {
      // Longer than one silence may be (400 ms), as long as the whole may take (2 s).
      let heardOut;
      const line = await leave(async (stream) => {
        await stream.write(BEGIN);
        for (let i = 0; i < 8; i++) {
          await sleep(120);
          await stream.write(EVENTS[2]);
        }
        heardOut = !stream.left;
        stream.end(REST);
      }, { usage, model: "brief" });
      assert.ok(heardOut, "the upstream was cut short");
      assert.deepEqual([line.client_gone, line.usage, line.code], [true, COUNTED, undefined]);
    });

    test("the client leaves, and the upstream never tells: settled at the bound, and its connection closed", async () => {
      const line = await leave((stream) => stream.write(BEGIN), { usage, model: "brief", reset: true });
      assert.deepEqual([line.client_gone, line.usage?.settled], [true, "bound"]);
      assert.ok(line.usage.input_tokens > 0);
      await closed(upstream.streams[0]);
      const cut = await leave(async (stream) => {
        await stream.write(BEGIN);
        await sleep(300);
        stream.cut();
      }, { usage, reset: true });
      assert.deepEqual([cut.client_gone, cut.code, cut.usage?.settled], [true, "stream_cut", "bound"]);
    });

    test("the client leaves before anything came", async () => {
      const from = gateway.logs.length;
      let asked;
      const arrived = new Promise((resolve) => { asked = resolve; });
      const call = ask(async (stream) => {
        asked();
        await sleep(300);
        stream.end(BEGIN + REST);
      }, { usage });
      await arrived;
      call.request.destroy();
      const line = await waitFor(() => gateway.logs.slice(from).find(({ consumer }) => consumer === "wide"));
      assert.deepEqual(line.usage, COUNTED);
    });

    test("a client that pauses is not told that its upstream fell silent", async () => {
      // Three times as long as `careful` lets its upstream be silent (500 ms); more than the buffers on the way hold.
      const response = await ask(async (stream) => {
        await stream.write(BEGIN);
        for (let i = 0; i < 16 * 32 && !stream.left; i++) await stream.write(LARGE);
        stream.end(REST);
      }, { usage, model: "careful" }).response;
      await sleep(1500);
      let tail = "";
      for await (const bytes of response) tail = (tail + bytes.toString("latin1")).slice(-300);
      assert.ok(tail.endsWith(event("[DONE]")), tail);
    });

    test("a client that does not read makes the upstream wait", async () => {
      // Of 48 MiB, what the upstream gets rid of is bounded by the buffers on the way. It is counted
      // there: bytes that the kernel took. When nothing more is taken for a second, it stands still.
      const pieces = 48 * 32;
      let sent = 0;
      const name = upstream.play(async (stream) => {
        await stream.write(BEGIN);
        for (let i = 0; i < pieces && !stream.left; i++) {
          await stream.write(LARGE);
          sent += LARGE.length;
        }
        stream.end(REST);
      });
      const socket = connect(new URL(gateway.url).port, "127.0.0.1");
      const body = JSON.stringify({
        model: "plain", messages: [{ role: "user", content: name }], stream: true, stream_options: { include_usage: usage },
      });
      socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nx-api-key: ${key("wide")}\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
      socket.pause();
      let stands = false;
      for (let last = -1, i = 0; i < 12 && !stands; i++) {
        await sleep(1000);
        stands = sent > 0 && sent === last;
        last = sent;
      }
      const held = sent;
      let received = 0;
      let tail = "";
      socket.on("data", (bytes) => {
        received += bytes.length;
        tail = (tail + bytes.toString("latin1")).slice(-200);
      });
      socket.resume();
      await new Promise((resolve) => socket.on("close", resolve));
      assert.ok(stands, `the upstream was still being read after 12 s: ${held} bytes`);
      assert.ok(held < 32 * 1024 * 1024, `${held} bytes were taken`);
      assert.ok(received > pieces * LARGE.length, "when it reads, all of it comes");
      assert.ok(tail.includes("[DONE]"), tail);
    });
  });
}

// What the isolates' process holds, in bytes.
function resident() {
  const [own, ...others] = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const text = readFileSync(`/proc/${pid}/status`, "latin1");
      const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
      return /^Name:\s+workerd$/m.test(text) && field("PPid") === process.pid ? [field("VmRSS") * 1024] : [];
    } catch {
      return [];
    }
  });
  assert.ok(own > 0 && others.length === 0, "there is not one workerd of this process");
  return own;
}

test("many clients that do not read: what is held for them is bounded, and others are served", {
  skip: process.platform === "linux" ? false : "what a process holds is read from /proc",
}, async (t) => {
  const clients = 8;
  const bytes = 48 * 1024 * 1024;
  let sent = 0;
  const before = resident();
  const sockets = [];
  for (let i = 0; i < clients; i++) {
    const name = upstream.play(async (stream) => {
      await stream.write(BEGIN);
      for (let at = 0; at < bytes && !stream.left; at += LARGE.length) {
        await stream.write(LARGE);
        sent += LARGE.length;
      }
      stream.end(REST);
    });
    const body = JSON.stringify({
      model: "plain", messages: [{ role: "user", content: name }], stream: true, stream_options: { include_usage: true },
    });
    const socket = connect(new URL(gateway.url).port, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nx-api-key: ${key("wide")}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
    sockets.push(socket);
  }
  // Several looks at each stream, so that a look that makes the runtime read on would show.
  for (let last = -1, still = 0; still < 5; await sleep(1000)) {
    still = sent > 0 && sent === last ? still + 1 : 0;
    last = sent;
    assert.ok(sent < clients * bytes, "an upstream was read to its end for a client that reads nothing");
  }
  const grown = resident() - before;
  t.diagnostic(`${Math.round(sent / clients / 1024)} KiB left each upstream, most of it for the kernel; the process grew by ${Math.round(grown / 1024)} KiB`);
  assert.ok(grown < clients * 4 * 1024 * 1024, `it grew by ${grown} bytes`);
  const other = ask(async (stream) => stream.end(BEGIN + REST), { as: "open" });
  let said = "";
  for await (const chunk of await other.response) said += chunk;
  assert.ok(said.includes("[DONE]"), said);
  for (const socket of sockets) socket.destroy();
});

test("a body that comes in crumbs is read whole", async (t) => {
  const content = "x".repeat(40_000);
  const body = JSON.stringify({ model: "plain", messages: [{ role: "user", content }] });
  const crumbs = Array.from(body, (byte) => `1\r\n${byte}\r\n`);
  const answer = upstream.answer;
  let arrived;
  upstream.answer = (request, response, whole) => {
    arrived = whole;
    json(response, { ...completion("upstream-model", "x"), usage: USAGE });
  };
  t.after(() => { upstream.answer = answer; });
  const socket = connect(new URL(gateway.url).port, "127.0.0.1");
  t.after(() => socket.destroy());
  let said = "";
  socket.on("data", (bytes) => { said += bytes; });
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nx-api-key: ${key("wide")}\r\n` +
    "content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
  socket.write(crumbs.slice(0, -1).join(""));
  await sleep(500);
  socket.write(`${crumbs.at(-1)}0\r\n\r\n`);
  await once(socket, "close");
  assert.match(said, /^HTTP\/1\.1 200 /);
  assert.equal(JSON.parse(arrived).messages[0].content, content, "nothing is lost");
});

test("a client that lags gets all of a stream whose upstream keeps its connection after the end", async () => {
  // For one of these lengths some waits in the gateway, beside what the kernel takes, when the end has been seen.
  const lengths = Array.from({ length: 16 }, (_, at) => 48 + 12 * at);
  const streams = lengths.map(async (length) => {
    const response = await ask(async (stream) => {
      await stream.write(BEGIN);
      for (let i = 0; i < length && !stream.left; i++) await stream.write(LARGE);
      await stream.write(REST);
      await Promise.race([stream.gone, sleep(20_000)]);
      stream.end("");
    }).response;
    response.pause();
    await sleep(8_000);
    let said = "";
    for await (const bytes of response) said += bytes.toString("latin1");
    assert.equal(said.split(LARGE).length - 1, length);
    assert.ok(said.endsWith(event("[DONE]")), said.slice(-200));
  });
  await Promise.all(streams);
});

test("nobody else is asked for a client that has left", async () => {
  const from = gateway.logs.length;
  const answer = upstream.answer;
  let asked = 0;
  let arrived;
  const first = new Promise((resolve) => { arrived = resolve; });
  upstream.answer = async (request, response) => {
    asked += 1;
    arrived();
    await sleep(200);
    json(response, { error: { message: "no" } }, 503, { "retry-after-ms": "300" });
  };
  const call = ask(null, { stream: false, model: "careful" });
  await first;
  call.request.socket.resetAndDestroy();
  const line = await waitFor(() => gateway.logs.slice(from).find(({ consumer }) => consumer === "wide"));
  await sleep(1_000);
  upstream.answer = answer;
  assert.equal(asked, 1);
  assert.deepEqual(line.attempts.map(({ failed }) => failed), ["overloaded", "unsent"]);
  assert.deepEqual([line.client_gone, line.usage], [true, undefined]);
});

test("a call that does not stream: its usage is counted also when the client leaves", async () => {
  const from = gateway.logs.length;
  let asked;
  const arrived = new Promise((resolve) => { asked = resolve; });
  const answer = upstream.answer;
  upstream.answer = async (request, response) => {
    asked();
    await sleep(300);
    json(response, { ...completion("upstream-model", "x"), usage: USAGE });
  };
  const call = ask(null, { stream: false });
  await arrived;
  call.request.destroy();
  const line = await waitFor(() => gateway.logs.slice(from).find(({ consumer }) => consumer === "wide"));
  upstream.answer = answer;
  assert.deepEqual(line.usage, COUNTED);
});

// Whatever it waits for, and whatever comes of that, the line says that nobody heard it. (A call of an API that needs
// nothing but its upstream is looked at after a second.)
test("calls that do not stream: the line says that the client has left", async (t) => {
  const rest = await startUpstream(PORTS.rest, () => {});
  t.after(() => rest.stop());
  const { answer } = upstream;
  t.after(() => { upstream.answer = answer; });
  const model = (name) => JSON.stringify({ model: name, messages: [{ role: "user", content: "x" }] });
  const whole = { ...completion("upstream-model", "x"), usage: USAGE };
  const post = { method: "POST", path: "/v1/chat/completions", type: "application/json" };
  let asked;
  const later = (ms, how) => async (request, response) => {
    asked();
    await sleep(ms);
    how(response, request);
  };
  const good = (response) => json(response, whole);
  for (const [name, call, does, status, attempts] of [
    ["a good answer", { ...post, body: model("plain") }, later(300, good), 200, [undefined]],
    ["an answer of the fallback, asked before it left", { ...post, body: model("rescued") }, later(300, good), 200, ["unreachable", undefined]],
    ["a refusal of the upstream's", { ...post, body: model("plain") },
      later(300, (response) => json(response, { error: { message: "no" } }, 400)), 400, ["refused"]],
    ["an upstream that fails", { ...post, body: model("plain") }, later(300, (response) => response.destroy()), 502, ["unreachable"]],
    ["nonsense", { ...post, body: model("plain") }, later(300, (response) => response.end("{")), 502, ["invalid_answer"]],
    ["an API", { method: "GET", path: "/staff/v1/lunch" }, later(2_000, (response) => json(response, [])), 200, [undefined]],
    ["an API that fails", { method: "GET", path: "/staff/v1/lunch" }, later(2_000, (response) => response.destroy()), 502, ["unreachable"]],
  ]) {
    const from = gateway.logs.length;
    const arrived = new Promise((resolve) => { asked = resolve; });
    [upstream.answer, rest.answer] = [does, does];
    const { method, path, type, body } = call;
    const headers = { "x-api-key": key("wide"), ...(type ? { "content-type": type } : {}) };
    const left = open(gateway.url, { method, path, headers });
    left.request.on("error", () => {});
    left.request.end(body);
    await arrived;
    left.request.socket.resetAndDestroy();
    const line = await waitFor(() => gateway.logs.slice(from).find(({ consumer }) => consumer === "wide"), 8_000);
    assert.equal(line.client_gone, true, name);
    assert.deepEqual([line.status, line.attempts.map(({ failed }) => failed)], [status, attempts], name);
  }
});

// A client leaves an upstream that talks for ever. Begun before the other tests, as it takes its time.
async function drainForEver() {
  let from;
  let gone;
  const line = await leave(async (stream) => {
    stream.gone.then((at) => { gone = at; });
    await stream.write(BEGIN);
    from = performance.now();
    while (!stream.left) await Promise.all([stream.write(EVENTS[2]), sleep(200)]);
  }, { as: "open", within: 40_000 });
  await waitFor(() => gone);
  return { line, after: gone - from };
}
test("an upstream that talks for ever to a client that left is heard for 25 seconds", async () => {
  const { line, after } = await drained;
  assert.deepEqual([line.client_gone, line.usage?.settled], [true, "bound"]);
  assert.ok(after > 20_000 && after < 29_000, `given up after ${after} ms`);
});
