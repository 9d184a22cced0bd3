// A fault in one request harms no other. The build has the feature `faults`: `?fault=begin` and `verified`, `body`,
// `metered`, `answered` and `streamed` break the core there (`&fault=twice` once more, as it tells of that), as does a
// stream that holds `fault=follow`, and the plan `fault-meter` when the clock ends in 013 ms; `/_turnpike/panic` the
// half that is off the hot path, and `/_turnpike/slow?ms=` is a call of that half that takes its time.

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import v8 from "node:v8";
import { bearer, chat, key, startE2e } from "./harness/e2e.mjs";
import { parseList } from "./harness/fields.mjs";
import { PORTS, chunks, completion, event, eventStream, json, startUpstream } from "./harness/upstream.mjs";

const NOON = Date.UTC(2040, 5, 15, 12);
const PETS = "/petstore/v2/pets";
const USAGE = { prompt_tokens: 9, completion_tokens: 40, total_tokens: 49 };
const STREAM = [...chunks("upstream-model", Array.from({ length: 40 }, (_, i) => ` word-${i}`), { usage: USAGE }), "[DONE]"].map(event);
const WITHOUT_USAGE = STREAM.filter((one) => !one.includes('"usage"')).join("");

let gateway;
let upstream;
before(async () => {
  gateway = await startE2e({ clock: true });
  await gateway.clock(NOON);
  upstream = await startUpstream(PORTS.chat, async (request, response, body) => {
    const asked = JSON.parse(body);
    const question = asked.messages[0].content;
    if (question.startsWith("break")) {
      const stream = eventStream(response);
      for (const one of STREAM.slice(0, 8)) await stream.write(one);
      if (question === "break it") await stream.write(event(JSON.stringify({ choices: [{ index: 0, delta: { content: "fault=follow" } }] })));
      for (const one of STREAM.slice(8)) await stream.write(one);
      return stream.end();
    }
    if (asked.stream !== true) {
      await sleep(700);
      return json(response, completion("upstream-model", "slow but sure"));
    }
    const stream = eventStream(response);
    for (const one of STREAM) {
      await stream.write(one);
      await sleep(35);
    }
    return stream.end();
  });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});

const pets = (as, path = PETS) => gateway.fetch(path, { headers: { "x-api-key": key(as) } });
const left = (response) => parseList(response.headers.get("ratelimit"))[0].r;
const faults = (from) => gateway.logs.slice(from).filter((line) => line.event === "fault");

// What is under way, of another caller, while something breaks: streams of both kinds, calls that wait for their upstream, an
// answer that is held back until it is whole, and mocks.
function inFlight() {
  const text = async (response) => ({ status: (await response).status, text: await (await response).text() });
  return {
    untouched: [0, 1].map(() => text(chat(gateway, { as: "wide", stream: true, stream_options: { include_usage: true } }))),
    filtered: [0, 1].map(() => text(chat(gateway, { as: "wide", stream: true }))),
    held: [text(chat(gateway, { as: "wide", model: "whole", stream: true }))],
    mocked: [text(chat(gateway, { as: "wide", model: "scripted", stream: true, messages: [{ role: "user", content: "slowly" }] }))],
    slow: [0, 1, 2].map(() => text(chat(gateway, { as: "wide" }))),
  };
}
async function unharmed(flight) {
  const all = async (list) => Promise.all(list);
  for (const { status, text } of await all(flight.untouched)) assert.deepEqual([status, text], [200, STREAM.join("")]);
  for (const { status, text } of await all(flight.filtered)) assert.deepEqual([status, text], [200, WITHOUT_USAGE]);
  for (const { status, text } of await all(flight.held)) assert.deepEqual([status, text], [200, WITHOUT_USAGE]);
  for (const { status, text } of await all(flight.mocked)) {
    assert.equal(status, 200);
    assert.ok(text.endsWith("data: [DONE]\n\n"), text);
    for (const word of ["one", "two", "three", "four", "five", "six"]) assert.ok(text.includes(word), word);
  }
  for (const { status, text } of await all(flight.slow)) {
    assert.deepEqual([status, JSON.parse(text).choices[0].message.content], [200, "slow but sure"]);
  }
}

// The answer to a request that was lost: 500, in the right shape, with an id under which the log has it.
async function lost(response, shape, called) {
  assert.equal(response.status, 500);
  const body = await response.json();
  const id = response.headers.get("x-request-id");
  assert.match(id, /^[0-9a-f]{32}$/);
  const told = shape === "openai" ? body.error : body;
  assert.deepEqual([told.code, told.request_id], ["internal", id]);
  if (shape === "openai") {
    assert.equal(told.type, "server_error");
    assert.match(response.headers.get("content-type"), /^application\/json\b/);
  } else {
    assert.match(response.headers.get("content-type"), /^application\/problem\+json\b/);
  }
  assert.ok(!JSON.stringify(body).includes("panick"), "the reason is for the log alone");
  assert.ok(!JSON.stringify(body).includes(".rs"), "no place of the source");
  const line = await gateway.line(id);
  assert.deepEqual([line.status, line.code, line.decision], [500, "internal", "failed"]);
  if (called !== undefined) assert.deepEqual([line.method, line.operation], called);
}
const breakChat = (where) => gateway.fetch(`/v1/chat/completions?fault=${where}`, {
  method: "POST",
  headers: { "content-type": "application/json", "x-api-key": key("open") },
  body: JSON.stringify({ model: "plain", messages: [{ role: "user", content: "hi" }] }),
});

describe("a panic in the core", () => {
  for (const where of ["begin", "body", "answered"]) {
    test(`while others are under way (${where}): only the request that panics is lost`, async () => {
      const from = gateway.logs.length;
      const before = left(await pets("minute-a"));
      const cold = gateway.fetch("/_turnpike/slow?ms=900").then(async (response) => [response.status, await response.text()]);
      const flight = inFlight();
      await sleep(300);
      await lost(await breakChat(where), "openai", ["POST", "chat.completions"]);
      assert.equal((await pets("minute-a")).status, 200, "the very next request");
      await sleep(200);
      // Several at once, in both shapes: what one of them breaks, the next one uses.
      const broken = await Promise.all([
        breakChat(where), breakChat(where), breakChat(where),
        ...(where === "begin" ? [pets("minute-a", `${PETS}?fault=begin`)] : []),
      ]);
      await Promise.all(broken.slice(0, 3).map((response) => lost(response, "openai")));
      await Promise.all(broken.slice(3).map((response) => lost(response, "problem", ["GET", "petstore/v2#listPets"])));
      await unharmed(flight);
      const [status, text] = await cold;
      assert.equal(status, 200, text);

      const told = faults(from);
      assert.equal(told.length, 1 + broken.length);
      for (const { message } of told) {
        assert.match(message, /crates\/core\/src\/dispatch\.rs:\d+/, "the place");
        assert.match(message, new RegExp(`a fault was asked for at ${where}`), "the message");
      }
      // One passed meanwhile; those that were lost at their begin are charged nowhere.
      assert.equal(left(await pets("minute-a")), before - 2);
    });
  }

  test("one that comes back as it is told: the client gets its answer, and the next request its own", async () => {
    const from = gateway.logs.length;
    await lost(await pets("minute-a", `${PETS}?fault=begin&fault=twice`), "problem", ["GET", undefined]);
    assert.equal(faults(from).length, 2);
    assert.equal((await pets("open")).status, 200);
  });

  test("a stream that is being begun is lost alone", async () => {
    const flight = inFlight();
    await sleep(200);
    const response = await gateway.fetch("/v1/chat/completions?fault=answered", {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": key("open") },
      body: JSON.stringify({ model: "plain", stream: true, messages: [{ role: "user", content: "hi" }] }),
    });
    await lost(response, "openai");
    await unharmed(flight);
  });

  // A stream that is the client's already ends in an error event, and its one log line says whose it was.
  for (const [place, usage] of [["follow", true], ["follow", false], ["streamed", true], ["streamed", false]]) {
    test(`a stream that is under way, lost at ${place} (${usage ? "untouched" : "filtered"})`, async () => {
      const from = gateway.logs.length;
      const flight = inFlight();
      await sleep(200);
      const response = await gateway.fetch(`/v1/chat/completions${place === "streamed" ? "?fault=streamed" : ""}`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": key("open") },
        body: JSON.stringify({
          model: "plain", stream: true, messages: [{ role: "user", content: place === "follow" ? "break it" : "break nothing" }],
          ...(usage ? { stream_options: { include_usage: true } } : {}),
        }),
      });
      const id = response.headers.get("x-request-id");
      const text = await response.text();
      await unharmed(flight);
      if (response.status === 200) {
        const last = JSON.parse(text.trimEnd().split("\n\n").at(-1).replace(/^data: /, ""));
        assert.deepEqual([last.error.code, last.error.request_id], ["internal", id], text);
        if (place === "follow" && !usage) assert.ok(!text.includes("[DONE]"), text);
      } else {
        // It was not the client's yet.
        assert.deepEqual([response.status, JSON.parse(text).error.request_id], [500, id]);
      }
      const line = await gateway.line(id);
      assert.deepEqual([line.code, line.decision, line.operation, line.consumer], ["internal", "failed", "chat.completions", "open"]);
      assert.equal(line.usage.settled, "bound", "what was used is not known, and not forgotten");
      assert.equal(faults(from).length, 1);
      assert.equal(gateway.logs.slice(from).filter((one) => one.request_id === id).length, 1, "one line");
    });
  }

  test("an object of limits that breaks: its call is refused, nothing is charged, and the others keep their state", async () => {
    await gateway.clock(NOON + 12 * 3600_000);
    const before = { broken: left(await pets("fault-meter")), other: left(await pets("minute-a")) };
    await gateway.clock(NOON + 12 * 3600_000 + 13);
    const from = gateway.logs.length;
    const answers = await Promise.all(["fault-meter", "minute-a", "fault-meter", "minute-a"].map((as) => pets(as)));
    assert.deepEqual(answers.map(({ status }) => status), [503, 200, 503, 200]);
    assert.equal((await answers[0].json()).code, "limiter_unavailable");
    // Each is asked once more before its call is refused.
    assert.equal(faults(from).filter(({ message }) => message.includes("at meter")).length, 4);
    await gateway.clock(NOON + 12 * 3600_000 + 14);
    assert.equal(left(await pets("fault-meter")), before.broken - 1);
    assert.equal(left(await pets("minute-a")), before.other - 3);
  });

  test("limits go on exactly", async () => {
    await gateway.clock(NOON + 24 * 3600_000);
    const statuses = [];
    const burst = async (count) => {
      const answers = await Promise.all(Array.from({ length: count }, () => pets("minute-b")));
      for (const { status } of answers) statuses.push(status);
    };
    for (let i = 0; i < 6; i++) {
      await burst(15);
      await lost(await breakChat("begin"), "openai");
    }
    await burst(30);
    const count = (wanted) => statuses.filter((status) => status === wanted).length;
    assert.deepEqual([count(200), count(429)], [100, 20]);
    const answers = await Promise.all(Array.from({ length: 30 }, async (_, i) => {
      const [response] = await Promise.all([pets("daily"), i % 3 === 0 ? breakChat("begin") : null]);
      return response.status;
    }));
    assert.equal(answers.filter((status) => status === 200).length, 20, "a quota as well");
  });

  test("where a signature was looked at, and where an object has decided: the next one is served, and nothing is charged twice", async () => {
    const now = NOON + 36 * 3600_000;
    await gateway.clock(now);
    const from = gateway.logs.length;
    const flight = inFlight();
    await sleep(200);
    const iat = now / 1000 - 60;
    const authorization = await bearer("open", { iat, exp: iat + 3600 });
    const asked = (query) => gateway.fetch(`${PETS}${query}`, { headers: { authorization } });
    await lost(await asked("?fault=verified"), "problem", ["GET", "petstore/v2#listPets"]);
    assert.equal((await asked("")).status, 200);
    const before = left(await pets("daily"));
    await lost(await pets("daily", `${PETS}?fault=metered`), "problem", ["GET", "petstore/v2#listPets"]);
    assert.equal(left(await pets("daily")), before - 2, "the object had admitted what was lost: it stays charged, once");
    await unharmed(flight);
    assert.equal(faults(from).length, 2);
  });

  test("hundreds of times over, it goes on", async () => {
    for (let i = 0; i < 10; i++) {
      const broken = await Promise.all(Array.from({ length: 30 }, () => pets("open", `${PETS}?fault=begin`)));
      for (const response of broken) {
        assert.equal(response.status, 500);
        await response.arrayBuffer();
      }
    }
    assert.equal((await pets("open")).status, 200);
  });
});

describe("a panic in the half that is off the hot path", () => {
  test("while others are under way: the hot path is unharmed, and the next request works", async () => {
    await gateway.clock(NOON + 48 * 3600_000);
    const from = gateway.logs.length;
    const before = left(await pets("minute-a"));
    const flight = inFlight();
    // Of that half itself, those that are under way may be lost, but none is left without an answer.
    const began = performance.now();
    const cold = [0, 1].map(() => gateway.fetch("/_turnpike/slow?ms=1500").then(async (response) => [response.status, await response.text()]));
    await sleep(300);
    await lost(await gateway.fetch("/_turnpike/panic"), "problem");
    const version = await gateway.fetch("/_turnpike/version");
    assert.equal(version.status, 200, "the very next request to it");
    assert.equal((await version.json()).gateway, "e2e");
    assert.equal((await pets("minute-a")).status, 200);
    await Promise.all([0, 1, 2].map(async () => lost(await gateway.fetch("/_turnpike/panic"), "problem")));
    assert.equal((await gateway.fetch("/.well-known/api-catalog")).status, 200);
    for (const [status, text] of await Promise.all(cold)) {
      assert.ok(status === 200 || status === 500, `${status} ${text}`);
      if (status === 500) assert.equal(JSON.parse(text).code, "internal");
    }
    assert.ok(performance.now() - began < 5000, "answered, not left hanging");
    await unharmed(flight);
    assert.equal(left(await pets("minute-a")), before - 2);

    const told = gateway.logs.slice(from).map((line) => JSON.stringify(line)).join("\n");
    assert.match(told, /src\/lib\.rs:\d+/, "the log names the place");
    assert.match(told, /a panic that a test asked for/, "and the message");
    assert.ok(faults(from).every(({ half }) => half === "cold"), "the core did not notice");
    assert.ok(faults(from).length >= 4);
  });

  test("it serves again at once, however often", async () => {
    for (let i = 0; i < 40; i++) {
      const panicked = await gateway.fetch("/_turnpike/panic");
      assert.equal(panicked.status, 500);
      await panicked.arrayBuffer();
      const { status } = await gateway.fetch("/_turnpike/version");
      assert.equal(status, 200);
    }
  });
});

describe("an object that throws", () => {
  // What is stored of a subject, spoilt in the object's database.
  async function spoil(directory, value) {
    const files = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith(".sqlite"));
    let spoilt = 0;
    for (const file of files) {
      const database = new DatabaseSync(join(directory, file));
      const tables = database.prepare("SELECT name FROM sqlite_master WHERE name = '_cf_KV'").all();
      if (tables.length > 0) {
        spoilt += Number(database.prepare("UPDATE _cf_KV SET value = ? WHERE key = 'state'").run(value).changes);
      }
      database.close();
    }
    return spoilt;
  }
  const stored = (value) => {
    const serializer = new v8.Serializer();
    serializer.writeHeader();
    serializer.writeValue(value);
    return serializer.releaseBuffer();
  };

  for (const [name, value] of [
    ["other bytes", new Uint8Array([1, 83, 255, 255, 255, 255, 255, 255])],
    ["no bytes at all, but a text", "state"],
  ]) {
    test(`because what it stored are ${name}: refused, or let pass and flagged, as the plan says`, async (t) => {
      const persist = await mkdtemp(join(tmpdir(), "turnpike-spoilt-"));
      t.after(() => rm(persist, { recursive: true, force: true }));
      const round = async (work) => {
        const own = await startE2e({ persist });
        const call = async (as) => {
          const response = await own.fetch(PETS, { headers: { "x-api-key": key(as) } });
          const body = await response.json();
          return { response, body, line: await own.line(response.headers.get("x-request-id")) };
        };
        try {
          return await work(call, own);
        } finally {
          await own.stop();
        }
      };
      await round(async (call) => {
        for (const as of ["open", "closed"]) assert.equal((await call(as)).response.status, 200);
      });
      assert.equal(await spoil(persist, stored(value)), 2, "the state of both was found");
      await round(async (call, own) => {
        for (let i = 0; i < 2; i++) {
          const closed = await call("closed");
          assert.deepEqual([closed.response.status, closed.body.code], [503, "limiter_unavailable"]);
          assert.equal(closed.response.headers.get("retry-after"), "1");
          assert.deepEqual([closed.line.code, closed.line.unlimited], ["limiter_unavailable", undefined]);
          const open = await call("open");
          assert.equal(open.response.status, 200);
          assert.equal(open.response.headers.get("ratelimit"), null, "nothing is said of limits that nobody knows");
          assert.deepEqual([open.line.decision, open.line.unlimited], ["passed", true]);
        }
        assert.equal((await call("wide")).response.status, 200, "other subjects are not affected");
        assert.ok(own.logs.some(({ event }) => event === "limiter_failed"));
      });
    });
  }
});
