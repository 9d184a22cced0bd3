// Hostile and broken input: whatever comes, the answer is one of the documented refusals, in the format of
// who asked, with an id; nothing hangs, nothing is held for ever, and the instance lives on.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { chat, key, startE2e } from "./harness/e2e.mjs";
import { ROOT } from "./harness/gateway.mjs";
import { open, raw } from "./harness/raw.mjs";
import { PORTS, completion, json, startUpstream } from "./harness/upstream.mjs";

const MiB = 1024 * 1024;
const CHAT = "/v1/chat/completions";
const PETS = "/petstore/v2/pets";
let gateway;
let upstream;
// Every refusal that is documented: code -> status.
let documented;

before(async () => {
  const table = await readFile(join(ROOT, "docs/errors.md"), "utf8");
  documented = new Map([...table.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [code, Number(status)]));
  assert.ok(documented.size > 30);
  upstream = await startUpstream(PORTS.chat, (request, response) => json(response, completion("upstream-model", "fine")));
  gateway = await startE2e();
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});

const auth = { "x-api-key": key("wide") };
const jsonType = { "content-type": "application/json" };
const good = JSON.stringify({ model: "plain", messages: [{ role: "user", content: "hi" }] });
const lives = async () => assert.equal((await chat(gateway)).status, 200, "the instance lives on");

// A refusal: documented, in one of the two formats, with its id in the log.
async function refusal(answer, name) {
  const body = answer.json();
  const told = body.error ?? body;
  assert.equal(documented.get(told.code), answer.status, `${name}: ${answer.status} ${told.code}`);
  assert.match(answer.headers["x-request-id"] ?? "", /^[0-9a-f]{32}$/, name);
  assert.equal(told.request_id, answer.headers["x-request-id"], name);
  assert.equal(answer.headers["cache-control"], "no-store", name);
  const line = await gateway.line(told.request_id);
  assert.deepEqual([line.status, line.code], [answer.status, told.code], name);
  return told;
}
async function refused(request, status, code, name = code) {
  const answer = await raw(gateway.url, request);
  assert.equal(answer.status, status, `${name}: ${answer.body}`);
  assert.equal((await refusal(answer, name)).code, code, name);
  return answer;
}
const post = (body, headers = {}) => ({ method: "POST", path: CHAT, headers: { ...auth, ...jsonType, ...headers }, body });

describe("the body of a model's call", () => {
  test("malformed JSON, of all kinds", async () => {
    for (const body of ["", " ", "{", "}", '{"model"', "nul", `${good}x`, `\ufeff${good}`, "\u0000", '{"a":"\n"}', "[".repeat(100_000), '{"a":'.repeat(50_000)]) {
      await refused(post(body), 400, "invalid_json", JSON.stringify(body.slice(0, 20)));
    }
    for (const body of [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), Buffer.from(good, "utf16le")]) {
      await refused(post(body), 400, "invalid_json", body.toString("hex").slice(0, 20));
    }
  });

  test("JSON that is no chat request", async () => {
    const messages = [{ role: "user", content: "hi" }];
    // What routing needs is checked here; the rest is the provider's to judge.
    for (const body of [
      null, [], 1, "text", {}, { messages }, { model: null, messages }, { model: 7, messages }, { model: "", messages },
      { model: ["plain"], messages }, { model: "x".repeat(257), messages }, { model: "plain", messages, stream: "yes" },
      { model: "plain", messages, stream: 1 }, { model: "plain", messages, max_tokens: -1 }, { model: "plain", messages, max_tokens: 1.5 },
      { model: "plain", messages, n: "many" }, { model: "plain", messages, n: 0 }, { model: "plain", messages, stream: true, stream_options: 7 },
    ]) {
      const answer = await raw(gateway.url, post(JSON.stringify(body)));
      assert.equal(answer.status, 400, `${JSON.stringify(body)}: ${answer.status} ${answer.body}`);
      assert.equal((await refusal(answer)).code, "invalid_request", JSON.stringify(body));
    }
    await refused(post(`{"model":"plain","model":"capped",${good.slice(1)}`), 400, "invalid_request", "a model named twice");
  });

  test("a model that is unknown, and names that are not for the log", async () => {
    for (const model of ["no-such-model", "plain ", "PLAIN", "../plain", "x".repeat(256), "a\nb\u0000c", "plain\u202e"]) {
      const answer = await refused(post(JSON.stringify({ ...JSON.parse(good), model })), 404, "model_not_found", model.slice(0, 20));
      const line = await gateway.line(answer.headers["x-request-id"]);
      assert.ok(line.model.length <= 128 && !/[\u0000-\u001f]/.test(line.model), "bounded, on one line");
    }
  });

  test("a page of the gateway's own that nobody knows is cut short in the log", async () => {
    const answer = await raw(gateway.url, { method: "GET", path: `/_turnpike/${"x".repeat(4_000)}` });
    assert.equal(answer.status, 404);
    const line = await gateway.line(answer.headers["x-request-id"]);
    assert.equal(line.operation.length, 128);
  });

  test("the wrong content type", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "json", "*/*", ""]) {
      await refused(post(good, { "content-type": type }), 415, "unsupported_media_type", type);
    }
    const { status } = await raw(gateway.url, post(good, { "content-type": "Application/JSON; charset=utf-8" }));
    assert.equal(status, 200);
  });

  test("one that is too large: announced, and not", async () => {
    const before = upstream.requests.length;
    // Announced: refused before it is sent.
    const announced = open(gateway.url, { method: "POST", path: CHAT, headers: { ...auth, ...jsonType, "content-length": 11 * MiB } });
    announced.request.on("error", () => {});
    announced.request.flushHeaders();
    const early = await Promise.race([announced.response, sleep(5000)]);
    assert.equal(early?.statusCode, 413, "without waiting for what will not be read");
    announced.request.destroy();
    const large = JSON.stringify({ ...JSON.parse(good), padding: "x".repeat(10 * MiB) });
    const chunked = open(gateway.url, { method: "POST", path: CHAT, headers: { ...auth, ...jsonType, "transfer-encoding": "chunked" } });
    chunked.request.on("error", () => {});
    chunked.request.end(large);
    const late = await chunked.response;
    assert.equal(late.statusCode, 413);
    // And the smaller bound of a model that is known only once the body was read.
    await refused(post(JSON.stringify({ ...JSON.parse(good), model: "capped", padding: "x".repeat(4096) })), 413, "body_too_large");
    const most = JSON.stringify({ ...JSON.parse(good), padding: "" });
    const fits = JSON.stringify({ ...JSON.parse(good), padding: "x".repeat(10 * MiB - most.length) });
    assert.equal(upstream.requests.length, before, "the upstream saw none of it");
    assert.equal((await raw(gateway.url, post(fits))).status, 200, "to the last byte");
    assert.equal(upstream.requests.at(-1).body.length > 9 * MiB, true);
  });

  // One caller may fill half of what an instance can hold, so that those are several.
  const each = ["wide", "open", "closed", "minute-a", "minute-b", "daily", "local-a", "local-b"];
  const by = (at) => ({ "x-api-key": key(each[at]) });

  // So many at a time as one instance can hold, and no one more; statuses.
  const full = () => Promise.all([0, 1, 2, 3].map(async (at) => {
    const body = JSON.stringify({ ...JSON.parse(good), padding: "x".repeat(9 * MiB) });
    const call = open(gateway.url, { method: "POST", path: CHAT, headers: { ...by(at), ...jsonType, "content-length": body.length } });
    // An answer may come before all is sent.
    call.request.on("error", () => {});
    call.request.end(body);
    const response = await call.response;
    await response.toArray();
    return response.statusCode;
  }));
  const ALL = [200, 200, 200, 200];

  test("an upload that its client cuts, or sends slowly, holds nothing for ever", async () => {
    for (const framing of [{ "content-length": 9 * MiB }, { "transfer-encoding": "chunked" }]) {
      for (const reset of [false, true]) {
        for (let round = 0; round < 2; round++) {
          const cut = [0, 1, 2, 3, 4].map((at) => {
            const call = open(gateway.url, { method: "POST", path: CHAT, headers: { ...by(at), ...jsonType, ...framing } });
            call.request.on("error", () => {});
            call.request.write(Buffer.alloc(4 * MiB, " "));
            return call;
          });
          await sleep(200);
          for (const { request } of cut) reset ? request.socket.resetAndDestroy() : request.destroy();
          await sleep(100);
        }
      }
    }
    // And one whose client leaves while an upstream thinks.
    const answer = upstream.answer;
    upstream.answer = async (request, response) => {
      await sleep(500);
      answer(request, response);
    };
    const gone = [0, 1, 2, 3, 4].map((at) => {
      const call = open(gateway.url, post(undefined, by(at)));
      call.request.on("error", () => {});
      call.request.end(JSON.stringify({ ...JSON.parse(good), padding: "x".repeat(8 * MiB) }));
      return call;
    });
    await sleep(600);
    for (const { request } of gone) request.socket.resetAndDestroy();
    await sleep(1000);
    upstream.answer = answer;
    assert.deepEqual(await full(), ALL, "all of it was given back");
    // One that comes in small pieces is served.
    const slow = open(gateway.url, { method: "POST", path: CHAT, headers: { ...auth, ...jsonType, "content-length": good.length } });
    for (const sign of good) {
      slow.request.write(sign);
      await sleep(5);
    }
    slow.request.end();
    assert.equal((await slow.response).statusCode, 200);
  });

  test("uploads that are announced and not sent take no room from others", async () => {
    for (const framing of [{ "content-length": 256 * 1024 }, { "content-length": 65_536 }, { "transfer-encoding": "chunked" }]) {
      const slow = Array.from({ length: framing["content-length"] === 65_536 ? 700 : 170 }, (_, i) => {
        const from = { "cf-connecting-ip": `198.51.100.${i}` };
        const call = open(gateway.url, { method: "POST", path: CHAT, headers: { ...auth, ...jsonType, ...framing, ...from } });
        call.request.on("error", () => {});
        call.response.catch(() => {});
        call.request.write("{");
        return call;
      });
      await sleep(1500);
      assert.equal((await raw(gateway.url, post(good))).status, 200);
      for (const { request } of slow) request.destroy();
      await sleep(200);
    }
  });

  test("one caller, however slowly it sends, leaves room to the others, and is told so in its own format", async () => {
    const from = gateway.logs.length;
    const body = `${good.slice(0, -1)},"padding":"${"x".repeat(9 * MiB - good.length - 12)}"}`;
    const slow = Array.from({ length: 4 }, () => {
      const call = open(gateway.url, post(undefined, { "content-length": body.length }));
      call.request.on("error", () => {});
      // All but the last byte.
      call.request.write(body.slice(0, -1));
      return call;
    });
    const limited = () => gateway.logs.slice(from).filter(({ code }) => code === "uploads_limited");
    for (let i = 0; i < 250 && limited().length < 2; i++) await sleep(20);
    assert.deepEqual(limited().map(({ consumer, status, decision }) => [consumer, status, decision]), Array(2).fill(["wide", 429, "refused"]));
    // What is left of its share is less than that: two MiB.
    const more = body.slice(0, 3 * MiB);
    const told = await refused({ ...post(more, { "transfer-encoding": "chunked" }) }, 429, "uploads_limited");
    assert.equal(told.headers["retry-after"], "1");
    const api = { method: "POST", path: "/orders/v1/orders", headers: { ...auth, ...jsonType, "transfer-encoding": "chunked" }, body: more };
    const problem = await refused(api, 429, "uploads_limited");
    assert.match(problem.headers["content-type"], /^application\/problem\+json\b/);
    assert.equal((await raw(gateway.url, post(good))).status, 200, "a small one has room");
    for (const at of [1, 2]) assert.equal((await raw(gateway.url, post(body, by(at)))).status, 200, `${each[at]} has room`);
    for (const { request } of slow) request.end("}");
    const answered = await Promise.all(slow.map(({ response }) => response.then(({ statusCode }) => statusCode, () => 429)));
    assert.deepEqual(answered.sort(), [200, 200, 429, 429]);
    assert.deepEqual(await full(), ALL, "all of it was given back");
  });

  test("what one instance holds is bounded: beyond, 503 overloaded, and later all is well", async () => {
    for (const framing of [{ "content-length": 9 * MiB }, { "transfer-encoding": "chunked" }]) {
      const from = gateway.logs.length;
      const uploads = Array.from({ length: 8 }, (_, at) => {
        const call = open(gateway.url, { method: "POST", path: CHAT, headers: { ...by(at), ...jsonType, ...framing } });
        call.request.on("error", () => {});
        call.answered = call.response.then(async (response) => {
          const chunks = await response.toArray();
          return { status: response.statusCode, headers: response.headers, body: JSON.parse(Buffer.concat(chunks)) };
        });
        // The answer to an upload that is not read to its end may be lost with the connection: the log has it.
        call.answered = call.answered.catch(() => ({ status: 503, lost: true }));
        return call;
      });
      const start = Buffer.from(`${good.slice(0, -1)},"padding":"`);
      for (const { request } of uploads) request.write(start);
      // All but the last byte, so that all are held at a time.
      const rest = Buffer.alloc(9 * MiB - start.length - 2, "x");
      for (const { request } of uploads) request.write(rest);
      const refusals = [];
      for (const { answered } of uploads) answered.then((early) => refusals.push(early));
      // Until nothing has been refused for a while.
      for (let known = -1; known !== refusals.length || known === 0; await sleep(800)) known = refusals.length;
      const early = refusals.length;
      assert.ok(early >= 2 && early <= 5, `${early} of 8 were refused`);
      const logged = gateway.logs.slice(from).filter(({ code }) => code === "overloaded");
      assert.equal(logged.length, early);
      for (const { status, headers, body } of refusals.slice(0, early).filter(({ lost }) => !lost)) {
        assert.deepEqual([status, body.error.code], [503, "overloaded"]);
        assert.equal(headers["retry-after"], "1");
      }
      assert.equal((await raw(gateway.url, { path: PETS, headers: auth })).status, 200, "what needs no body is served meanwhile");
      for (const { request } of uploads) request.end('"}');
      const all = await Promise.all(uploads.map(({ answered }) => answered));
      const count = (wanted) => all.filter(({ status }) => status === wanted).length;
      assert.deepEqual([count(200), count(503)], [8 - early, early], "what was not refused at once was served");
    }
    assert.deepEqual(await full(), ALL, "all of it was given back");
  });
});

describe("the head of a request", () => {
  test("paths: unknown, ambiguous, too long", async () => {
    for (const path of ["/", "/nothing", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/V1/chat/completions", "/petstore", "/petstore/v9/pets", "/petstore/v2/pets/1/x"]) {
      await refused({ path, headers: auth }, 404, "not_found", path);
    }
    for (const path of [
      "/petstore%2fv2/pets", "/petstore/v2%2Fpets", "/petstore/v2/pets%5c1", "/petstore/v2//pets", "//petstore/v2/pets", "/petstore/v2/pets;a=b", "/petstore/v2/..%3B", "/petstore/v2/pets%3ba=b",
      "/petstore/v2/pets/%00", "/petstore/v2/pets/%0a", "/petstore/v2/pets/%", "/petstore/v2/pets/%zz", "/petstore/v2/pets/%ff", "/petstore/v2/pets/%252e", `/${"a/".repeat(80)}`,
    ]) await refused({ path, headers: auth }, 400, "ambiguous_path", path);
    await refused({ path: `/${"a".repeat(9000)}`, headers: auth }, 414, "uri_too_long");
    // Dot segments are resolved before anything is decided: never a way around.
    for (const path of ["/status/../petstore/v2/pets", "/status/%2e%2e/petstore/v2/pets", "/status/v1/now/%2e%2e/%2E%2e/%2e./petstore/v2/pets"]) {
      const answer = await raw(gateway.url, { path });
      assert.ok([400, 401].includes(answer.status), `${path}: ${answer.status}`);
      await refusal(answer, path);
    }
  });

  test("methods", async () => {
    const wrong = await refused({ method: "GET", path: CHAT, headers: auth }, 405, "method_not_allowed");
    assert.equal(wrong.headers.allow, "OPTIONS, POST");
    await refused({ method: "DELETE", path: PETS, headers: auth }, 405, "method_not_allowed");
    for (const method of ["PROPFIND", "REPORT", "PURGE"]) await refused({ method, path: PETS, headers: auth }, 405, "method_unknown", method);
  });

  test("headers: twice, contradictory, huge", async () => {
    const twice = (name, one, other) => ({ method: "POST", path: CHAT, headers: { ...auth, ...jsonType, [name]: [one, other] }, body: good });
    await refused(twice("content-type", "application/json", "text/plain"), 400, "ambiguous_header");
    await refused(twice("x-api-key", key("wide"), key("open")), 400, "ambiguous_header");
    const bearers = await raw(gateway.url, { path: PETS, headers: { authorization: [`Bearer ${key("wide")}`, `Bearer ${key("open")}`] } });
    assert.ok([400, 401].includes(bearers.status));
    await refusal(bearers);
    for (const name of ["authorization", "x-api-key", "prefer", "origin"]) {
      await refused({ path: PETS, headers: { ...auth, [name]: "x".repeat(9000) } }, 431, "header_too_large", name);
    }
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-many-${i}`, "y".repeat(60)]));
    assert.equal((await raw(gateway.url, { path: PETS, headers: { ...auth, ...many } })).status, 200);
    // More than the platform lets in where it is deployed; the runtime by itself may: nobody looks at what nobody names.
    const flood = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-flood-${i}`, "z".repeat(8000)]));
    const flooded = await raw(gateway.url, { path: PETS, headers: { ...auth, ...flood } }).then((answer) => answer.status, (error) => error.code);
    assert.ok([200, 400, 431, "ECONNRESET", "EPIPE"].includes(flooded), `${flooded}`);
    await refused({ path: PETS, headers: { ...flood, authorization: "x".repeat(9000) } }, 431, "header_too_large", "of a flood");
    await lives();
    const { status, headers } = await raw(gateway.url, { path: PETS, headers: { ...auth, traceparent: "00-zz", "x-request-id": "forged", "cf-connecting-ip": "not an address" } });
    assert.deepEqual([status, headers["x-request-id"] === "forged"], [200, false]);
  });

  test("a body where none belongs", async () => {
    await refused({ method: "DELETE", path: `${PETS}/1`, headers: { ...auth, "content-type": "text/plain", "content-length": 4 }, body: "body" }, 400, "body_unexpected");
    const answer = await raw(gateway.url, { method: "GET", path: PETS, headers: { ...auth, "content-length": 4 }, body: "body" });
    assert.ok([200, 400].includes(answer.status), `${answer.status}`);
    await lives();
  });
});

describe("what is hardly HTTP", () => {
  // Sends bytes; what comes back until the connection closes, at most for a second.
  const send = (bytes, within = 1000) => new Promise((resolve) => {
    const socket = connect(new URL(gateway.url).port, "127.0.0.1");
    const heard = [];
    const end = () => { socket.destroy(); resolve(Buffer.concat(heard).toString("latin1")); };
    socket.on("data", (data) => heard.push(data));
    socket.on("error", () => {});
    socket.on("close", end);
    setTimeout(end, within).unref();
    socket.write(bytes);
  });

  test("smuggling, garbage, half a request: nothing reaches an upstream that was not meant to", async () => {
    const before = upstream.requests.length;
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: ${key("wide")}\r\ncontent-type: application/json\r\n`;
    // What is hidden would be let in by itself: the same caller, a body that is right.
    const body = JSON.stringify({ model: "plain", messages: [{ role: "user", content: "smuggled" }] });
    const hidden = `0\r\n\r\n${head}content-length: ${body.length}\r\n\r\n${body}`;
    const answers = await Promise.all([
      `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n${hidden}`,
      `${head}content-length: 4\r\ncontent-length: 5\r\n\r\nhello`,
      `${head}transfer-encoding: chunked\r\n\r\nzz\r\nhello`,
      `${head}content-length: -1\r\n\r\n`,
      `${head}content-length: 99999999999999999999\r\n\r\n`,
      "\u0000\u0001\u0002\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", `GET ${"/a".repeat(100_000)} HTTP/1.1\r\n\r\n`,
      `${head}content-length: 1000\r\n\r\n{`, head,
    ].map((bytes) => send(bytes)));
    for (const answer of answers) {
      assert.doesNotMatch(answer, /HTTP\/1\.1 (200|500)/);
      assert.ok((answer.match(/HTTP\/1\.1 /g) ?? []).length <= 1, answer);
    }
    // By itself it is let in, so that its absence says something.
    assert.match(await send(hidden.slice(5)), /^HTTP\/1\.1 200/);
    assert.equal(upstream.requests.splice(before).length, 1);
    assert.equal(upstream.requests.length, before);
    await lives();
  });
});

test("two hundred requests of random garbage: documented refusals, no 500, no hang", async () => {
  // A generator with a seed, so that a failure can be had again.
  let state = 0x7a57e;
  const random = (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return (state >>> 0) % below;
  };
  const pick = (list) => list[random(list.length)];
  const bytes = (length) => Buffer.from(Array.from({ length }, () => random(256)));
  const word = () => bytes(1 + random(12)).toString("latin1").replace(/[^\x21-\x7e]|[?#]/g, "~");
  const broken = () => {
    const body = Buffer.from(good);
    for (let i = 0; i < 1 + random(4); i++) body[random(body.length)] = random(256);
    return body.subarray(0, random(8) === 0 ? random(body.length) : body.length);
  };
  // What a URL may hold at all: the rest is refused by the platform, before the gateway.
  const piece = () => word().replace(/[<>"{}|^`\\]/g, "%");
  const make = () => {
    const headers = {};
    if (random(4) > 0) Object.assign(headers, pick([auth, { authorization: `Bearer ${word()}` }, { "api-key": word() }, { authorization: word() }]));
    if (random(3) > 0) Object.assign(headers, pick([jsonType, jsonType, { "content-type": word() }]));
    for (let i = random(4); i > 0; i--) headers[pick(["prefer", "origin", "traceparent", "accept", "x-request-id", "range", "expect-ct", "if-match"])] = word();
    headers["cf-connecting-ip"] = `203.0.113.${random(250)}`;
    const path = pick([CHAT, CHAT, CHAT, "/v1/models", `/v1/models/${piece()}`, PETS, `${PETS}/${piece()}`, `/${piece()}`, `/${piece()}/${piece()}?${piece()}`, `/_turnpike/${piece()}`, `/.well-known/${piece()}`, `${CHAT}?${piece()}`]);
    const method = pick(["POST", "POST", "POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]);
    const body = ["GET", "HEAD"].includes(method) ? undefined : pick([broken, broken, () => bytes(random(300)), () => Buffer.alloc(0), () => Buffer.from(good)])();
    if (body !== undefined) headers["content-length"] = body.length;
    return { method, path, headers, body };
  };
  const from = gateway.logs.length;
  const seen = new Map();
  for (let i = 0; i < 20; i++) {
    await Promise.all(Array.from({ length: 10 }, async () => {
      const request = make();
      const shown = `${request.method} ${request.path} ${JSON.stringify(request.headers)} ${request.body?.toString("base64")}`;
      const answer = await Promise.race([raw(gateway.url, request), sleep(10_000, undefined, { ref: false })]);
      assert.notEqual(answer, undefined, `no answer: ${shown}`);
      assert.notEqual(answer.status, 500, shown);
      if (answer.status >= 400) {
        assert.match(answer.headers["x-request-id"] ?? "", /^[0-9a-f]{32}$/, shown);
        if (request.method !== "HEAD") {
          const body = answer.json();
          const { code } = body.error ?? body;
          assert.equal(documented.get(code), answer.status, `${shown}: ${answer.status} ${code}`);
          seen.set(code, (seen.get(code) ?? 0) + 1);
        }
      }
    }));
  }
  assert.ok(seen.size >= 6, `too narrow: ${[...seen.keys()]}`);
  assert.deepEqual(gateway.logs.slice(from).filter(({ event }) => event === "fault"), [], "no fault in the log");
  await lives();
});
