// Upstreams that refuse, hang, or answer nonsense: each failure has its code, in the format that the client
// knows, and every attempt is in the log line. Nothing that an upstream says of the gateway's own credential
// reaches a client.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { SECRETS, key, startE2e } from "./harness/e2e.mjs";
import { open } from "./harness/raw.mjs";
import { PORTS, chunks, completion, event, json, startUpstream } from "./harness/upstream.mjs";

let gateway;
let upstream;
let client;
before(async () => {
  upstream = await startUpstream(PORTS.chat, null);
  gateway = await startE2e();
  client = new OpenAI({ apiKey: key("wide"), baseURL: `${gateway.url}/v1`, maxRetries: 0, logLevel: "off" });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
beforeEach(() => { upstream.requests.length = 0; });

const ask = (model, stream = false) => ({ model, stream, messages: [{ role: "user", content: "hi" }] });
const asked = () => upstream.requests.map(({ body }) => JSON.parse(body).model);
function whole(response, stream, text = "fine") {
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  if (!stream) return json(response, completion("upstream-model", text, usage));
  response.writeHead(200, { "content-type": "text/event-stream" });
  return response.end([...chunks("upstream-model", [text], { usage }), "[DONE]"].map(event).join(""));
}
const ERROR = { error: { message: "The upstream's words.", type: "invalid_request_error", param: "messages", code: "their_code" } };

// A call that fails: the SDK's exception, and the log line.
async function fails(model, { stream = false } = {}) {
  const began = performance.now();
  const error = await client.chat.completions.create(ask(model, stream)).then(
    () => assert.fail("the call did not fail"),
    (error) => error,
  );
  const took = performance.now() - began;
  assert.ok(error instanceof OpenAI.APIError, `${error.constructor.name}: ${error.message}`);
  const line = await gateway.line(error.requestID);
  return { error, line, took };
}
// A call that succeeds: what was said, and the log line.
async function passes(model, { stream = false } = {}) {
  const began = performance.now();
  const { data, response } = await client.chat.completions.create(ask(model, stream)).withResponse();
  let text = "";
  if (stream) for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? "";
  else text = data.choices[0].message.content;
  const line = await gateway.line(response.headers.get("x-request-id"));
  return { text, line, took: performance.now() - began };
}
const attempts = (line) => line.attempts.map(({ to, status, failed }) => [to, status, failed]);

// The code and the SDK's class, for a call that streams and one that does not.
function failing(name, answer, Class, status, code, { model = "plain", only, failed, seen, within = 3500 } = {}) {
  for (const stream of [false, true]) {
    if (only !== undefined && only !== stream) continue;
    test(`${name}${stream ? " (streamed)" : ""}: ${status} ${code}`, async () => {
      upstream.answer = (request, response) => answer(response, stream, request);
      const { error, line, took } = await fails(model, { stream });
      assert.equal(error.constructor, Class, `${error.constructor.name}: ${error.message}`);
      assert.deepEqual([error.status, error.code], [status, code]);
      assert.equal(error.error.request_id, error.requestID);
      assert.deepEqual([line.status, line.code, line.decision], [status, code, "failed"]);
      assert.deepEqual(line.attempts.map(({ status, failed }) => [status, failed]), [[seen, failed]]);
      assert.ok(line.attempts[0].ms <= line.ms);
      // Who was left while it may have been thinking, or answered what cannot be read, may have counted.
      const counted = failed === "no_first_token" || seen === 200;
      assert.equal(line.usage?.settled, counted ? "bound" : undefined);
      assert.ok(took < within, `${took} ms`);
      const told = JSON.stringify([error.error, [...error.headers]]);
      for (const secret of Object.values(SECRETS)) assert.ok(!told.includes(secret));
    });
  }
}
const { APIError, BadRequestError, InternalServerError, RateLimitError, UnprocessableEntityError } = OpenAI;
const text = (body, type = "application/json", status = 200) => (response) => {
  response.writeHead(status, { "content-type": type });
  response.end(body);
};

describe("an upstream", () => {
  failing("nobody listens", null, InternalServerError, 502, "upstream_unreachable", { model: "unreachable", failed: "unreachable" });
  failing("no secret for it", null, InternalServerError, 503, "secret_missing", { model: "unready", failed: "secret_missing" });
  failing("hangs", () => {}, InternalServerError, 504, "upstream_timeout", { model: "brief", failed: "no_first_token" });
  failing("hangs in its answer", (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"object":');
  }, InternalServerError, 504, "upstream_timeout", { model: "brief", only: false, failed: "no_first_token", seen: 200 });
  failing("closes without an answer", (response) => response.socket.destroy(), InternalServerError, 502, "upstream_unreachable", { failed: "unreachable" });
  failing("answers something that is not HTTP", (response) => response.socket.end("220 mail.test ESMTP\r\n"),
    InternalServerError, 502, "upstream_unreachable", { failed: "unreachable" });
  failing("cuts its answer", (response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1000 });
    response.write('{"object":"chat.completion",');
    setTimeout(() => response.socket.destroy(), 50);
  }, InternalServerError, 502, "upstream_unreachable", { only: false, failed: "unreachable", seen: 200 });

  const nonsense = { failed: "invalid_answer", seen: 200 };
  failing("answers a page", text("<html><body>Welcome</body></html>", "text/html"), InternalServerError, 502, "upstream_invalid", nonsense);
  failing("answers half of it", text(JSON.stringify(completion("m", "x")).slice(0, -9)), InternalServerError, 502, "upstream_invalid", { ...nonsense, only: false });
  failing("answers nothing", text(""), InternalServerError, 502, "upstream_invalid", nonsense);
  for (const body of ["null", "[]", "{}", '"ok"', '{"choices":{}}', JSON.stringify(ERROR), "\u0000"]) {
    failing(`answers ${JSON.stringify(body).slice(0, 30)}`, text(body), InternalServerError, 502, "upstream_invalid", { ...nonsense, only: false });
  }
  failing("answers a stream's call with JSON", (response) => whole(response, false), InternalServerError, 502, "upstream_invalid", { ...nonsense, only: true });

  const header = (status, headers = {}, body = ERROR) => (response) => json(response, body, status, headers);
  failing("is out of capacity", header(429), RateLimitError, 429, "upstream_rate_limited", { failed: "rate_limited", seen: 429 });
  failing("is overloaded", header(503), InternalServerError, 503, "upstream_overloaded", { failed: "overloaded", seen: 503 });
  failing("is overloaded, as Anthropic says it", header(529), InternalServerError, 503, "upstream_overloaded", { failed: "overloaded", seen: 529 });
  failing("fails", header(500), InternalServerError, 502, "upstream_error", { failed: "server_error", seen: 500 });
  failing("fails with a page", text("<html>", "text/html", 502), InternalServerError, 502, "upstream_error", { failed: "server_error", seen: 502 });
  for (const status of [401, 403, 404]) {
    failing(`answers ${status} to the gateway`, header(status, { "www-authenticate": "Bearer" }),
      InternalServerError, 502, "upstream_refused", { failed: "refused", seen: status });
  }
  for (const status of [301, 302, 307, 308]) {
    failing(`redirects (${status})`, header(status, { location: `http://127.0.0.1:${PORTS.chat}/elsewhere` }),
      InternalServerError, 502, "upstream_invalid", { failed: "invalid_answer", seen: status });
  }
  test("redirects are not followed", async () => {
    upstream.answer = (request, response) => json(response, {}, 307, { location: "/elsewhere" });
    await fails("plain");
    assert.deepEqual(upstream.requests.map(({ url }) => url), ["/v1/chat/completions"]);
  });

  failing("announces an answer that is too large", (response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1e9 });
    response.write("{");
  }, InternalServerError, 502, "upstream_invalid", { ...nonsense, only: false });
  test("an answer that does not end: given up at 16 MiB, and its connection closed", async () => {
    let sent = 0;
    const left = new Promise((resolve) => {
      upstream.answer = async (request, response) => {
        let open = true;
        response.on("close", () => { open = false; resolve(); });
        response.writeHead(200, { "content-type": "application/json" });
        const piece = Buffer.alloc(1024 * 1024, " ");
        while (open && sent < 256 * 1024 * 1024) {
          await Promise.race([new Promise((done) => response.write(piece, done)), left]);
          sent += piece.length;
        }
        response.end();
      };
    });
    const { error } = await fails("plain");
    assert.deepEqual([error.status, error.code], [502, "upstream_invalid"]);
    await left;
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were taken`);
  });

  for (const [how, begins] of [["before its answer", false], ["in its answer", true]]) {
    test(`one that hangs ${how}, and is the only one, is left with its request`, async () => {
      const left = new Promise((resolve) => {
        upstream.answer = (request, response) => {
          response.on("close", () => resolve("left"));
          if (!begins) return;
          response.writeHead(200, { "content-type": "application/json", "content-length": 1000 });
          response.write("{");
        };
      });
      const { error } = await fails("brief");
      assert.equal(error.code, "upstream_timeout");
      assert.equal(await Promise.race([left, sleep(3_000, "still there")]), "left");
    });
  }

  test("an answer without usage is settled at the bound", async () => {
    upstream.answer = (request, response) => json(response, { ...completion("m", "x"), usage: undefined });
    const { line } = await passes("plain");
    assert.equal(line.usage.settled, "bound");
    assert.ok(line.usage.input_tokens > 0);
  });
});

describe("what the provider says of the request", () => {
  for (const [status, Class] of [[400, BadRequestError], [422, UnprocessableEntityError], [413, APIError]]) {
    test(`an error in the format of OpenAI is passed on: ${status}`, async () => {
      upstream.answer = (request, response) => json(response, ERROR, status, { "x-request-id": "theirs", "set-cookie": "a=b" });
      const { error, line } = await fails("careful");
      assert.equal(error.constructor, Class);
      assert.deepEqual([error.status, error.code, error.param], [status, "their_code", "messages"]);
      assert.match(error.message, /The upstream's words\./);
      assert.notEqual(error.requestID, "theirs");
      assert.equal(error.headers.get("set-cookie"), null);
      assert.deepEqual(attempts(line), [["chat/primary-model", status, "refused"]], "nobody else is asked");
      assert.deepEqual([line.status, line.code], [status, "invalid_request"]);
    });
  }

  test("anything else is put in words of ours", async () => {
    for (const body of ["<html>secret internals</html>", "", "{}", '{"error":"secret internals"}']) {
      upstream.answer = (request, response) => text(body, "text/html", 400)(response);
      const { error } = await fails("plain", { stream: body === "" });
      assert.equal(error.constructor, BadRequestError);
      assert.equal(error.code, "invalid_request");
      assert.ok(!JSON.stringify(error.error).includes("internals"));
    }
  });
});

describe("another try", () => {
  const after = (failures, stream) => (request, response) => {
    const failure = failures.shift();
    return failure === undefined ? whole(response, stream) : failure(response);
  };
  const status = (status, headers = {}) => (response) => json(response, ERROR, status, headers);

  for (const stream of [false, true]) {
    const how = stream ? " (streamed)" : "";
    for (const [code, reason] of [[500, "server_error"], [503, "overloaded"], [529, "overloaded"], [429, "rate_limited"], [408, "server_error"]]) {
      test(`${code}, then success${how}`, async () => {
        upstream.answer = after([status(code)], stream);
        const { text, line } = await passes("careful", { stream });
        assert.equal(text, "fine");
        assert.deepEqual(attempts(line), [["chat/primary-model", code, reason], ["chat/primary-model", 200, undefined]]);
        assert.deepEqual([line.decision, line.usage.settled], ["passed", "counted"]);
      });
    }
    test(`a lost connection, then success${how}`, async () => {
      upstream.answer = after([(response) => response.socket.destroy()], stream);
      const { line } = await passes("careful", { stream });
      assert.deepEqual(attempts(line), [["chat/primary-model", undefined, "unreachable"], ["chat/primary-model", 200, undefined]]);
    });
    test(`twice a page, then another target${how}`, async () => {
      const page = text("<html>", "text/html");
      upstream.answer = after([page, page], stream);
      const { line } = await passes("careful", { stream });
      assert.deepEqual(attempts(line), [
        ["chat/primary-model", 200, "invalid_answer"],
        ["chat/primary-model", 200, "invalid_answer"],
        ["backup/secondary-model", 200, undefined],
      ]);
      assert.deepEqual(asked(), ["primary-model", "primary-model", "secondary-model"]);
      assert.deepEqual(upstream.requests.map(({ url }) => url), ["/v1/chat/completions", "/v1/chat/completions", "/backup/v1/chat/completions"]);
      assert.equal(upstream.requests[2].headers["x-backup-key"], SECRETS.E2E_BACKUP_KEY);
      assert.equal(upstream.requests[2].headers.authorization, undefined, "no target sees another's credential");
    });
  }

  test("Retry-After is waited for, in seconds and in milliseconds", async () => {
    for (const [headers, least, most] of [[{ "retry-after": "1" }, 1000, 2500], [{ "retry-after-ms": "300", "retry-after": "9" }, 300, 1500]]) {
      upstream.answer = after([status(429, headers)], false);
      const { line, took } = await passes("careful");
      assert.equal(line.attempts.length, 2);
      assert.ok(took >= least && took < most, `${took} ms`);
    }
  });
  test("one that is longer than the call may take is not: the next target is asked at once", async () => {
    upstream.answer = after([status(429, { "retry-after": "60" })], false);
    const { line, took } = await passes("careful");
    assert.deepEqual(attempts(line), [["chat/primary-model", 429, "rate_limited"], ["backup/secondary-model", 200, undefined]]);
    assert.ok(took < 1500, `${took} ms`);
  });
  test("when all fail, the client is told of the last, and how long it asked to wait", async () => {
    upstream.answer = (request, response) => json(response, ERROR, 429, { "retry-after": "7" });
    const { error, line } = await fails("careful");
    assert.deepEqual([error.constructor, error.code], [RateLimitError, "upstream_rate_limited"]);
    const asked = ["retry-after", "retry-after-ms", "x-should-retry"].map((name) => error.headers.get(name));
    assert.deepEqual(asked, ["7", "7000", "true"]);
    assert.deepEqual(attempts(line).map(([to]) => to), ["chat/primary-model", "backup/secondary-model"]);
  });
  test("an upstream that is down is replaced", async () => {
    upstream.answer = (request, response) => whole(response, false, "from the backup");
    const { text, line } = await passes("rescued");
    assert.equal(text, "from the backup");
    assert.deepEqual(attempts(line), [["nobody/any-model", undefined, "unreachable"], ["backup/secondary-model", 200, undefined]]);
  });
  test("what is not a reason of the policy's list is nobody's turn", async () => {
    for (const refusal of [400, 401, 403, 404, 422]) {
      upstream.requests.length = 0;
      upstream.answer = (request, response) => json(response, ERROR, refusal);
      await fails("careful");
      assert.deepEqual(asked(), ["primary-model"], String(refusal));
    }
    upstream.requests.length = 0;
    upstream.answer = (request, response) => text("<html>", "text/html")(response);
    // `invalid_answer` is not in the list of `rescued`.
    await fails("rescued");
    assert.deepEqual(asked(), ["secondary-model"]);
  });
  test("when all hang, each of two targets has its time, twice", async () => {
    upstream.answer = () => {};
    const { error, line, took } = await fails("careful", { stream: true });
    assert.deepEqual([error.status, error.code], [504, "upstream_timeout"]);
    assert.deepEqual(line.attempts.map(({ failed }) => failed), Array(4).fill("no_first_token"));
    for (const { ms } of line.attempts) assert.ok(ms >= 450 && ms < 1200, `${ms} ms`);
    assert.ok(took < 4500, `${took} ms`);
  });
});

describe("an API's upstream", () => {
  let orders;
  before(async () => { orders = await startUpstream(PORTS.rest, null); });
  after(() => orders?.stop());
  const get = () => gateway.fetch("/orders/v1/orders", { headers: { "x-api-key": key("wide") } });

  test("refuses, hangs, answers nonsense: problem details, and one attempt in the log", async () => {
    for (const [answer, status, code, failed] of [
      [(response) => response.socket.destroy(), 502, "upstream_unreachable", "unreachable"],
      [(response) => response.socket.end("nonsense\r\n\r\n"), 502, "upstream_unreachable", "unreachable"],
      [() => {}, 504, "upstream_timeout", "timeout"],
    ]) {
      orders.answer = (request, response) => answer(response);
      const response = await get();
      assert.equal(response.status, status);
      assert.match(response.headers.get("content-type"), /^application\/problem\+json/);
      const body = await response.json();
      assert.equal(body.code, code);
      const line = await gateway.line(body.request_id);
      assert.deepEqual(attempts(line), [["orders/v1", undefined, failed]]);
      assert.equal(line.decision, "failed");
    }
  });
  test("its own errors are its own", async () => {
    for (const status of [400, 401, 404, 429, 500, 503]) {
      orders.answer = (request, response) => json(response, { theirs: status }, status);
      const response = await get();
      assert.deepEqual([response.status, await response.json()], [status, { theirs: status }]);
    }
  });
  test("statuses that no client can be answered with are the upstream's fault", async () => {
    for (const status of [600, 999]) {
      orders.answer = (request, response) => response.socket.end(`HTTP/1.1 ${status} Odd\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno`);
      const from = gateway.logs.length;
      const response = await get();
      const body = await response.json();
      assert.deepEqual([response.status, body.code], [502, "upstream_invalid"]);
      await gateway.line(body.request_id);
      const lines = gateway.logs.slice(from).filter(({ event }) => event === "request" || event === "fault");
      assert.deepEqual(lines.map(({ event, decision, code }) => [event, decision, code]), [["request", "failed", "upstream_invalid"]]);
    }
  });
  test("answers that have no body have none, whatever follows them", async () => {
    for (const status of [204, 205, 304]) {
      orders.answer = (request, response) => response.socket.end(`HTTP/1.1 ${status} Nothing\r\netag: "7"\r\n` +
        `${status === 205 ? "content-length: 2\r\n" : ""}connection: close\r\n\r\n${status === 205 ? "no" : ""}`);
      const from = gateway.logs.length;
      const response = await get();
      assert.deepEqual([response.status, response.headers.get("etag"), await response.text()], [status, '"7"', ""]);
      await gateway.line(response.headers.get("x-request-id"));
      const lines = gateway.logs.slice(from).filter(({ event }) => event === "request" || event === "fault");
      assert.deepEqual(lines.map(({ event, decision, status }) => [event, decision, status]), [["request", "passed", status]]);
    }
  });
  test("an answer that is cut does not look whole", async () => {
    orders.answer = async (request, response) => {
      response.writeHead(200, { "content-type": "text/plain" });
      response.write("half of it");
      await sleep(50);
      response.socket.destroy();
    };
    const response = await get();
    await assert.rejects(() => response.text());
  });
  test("its client leaves before it answers: the log has its line all the same", async () => {
    let asked;
    for (const method of ["GET", "POST"]) {
      const arrived = new Promise((resolve) => { asked = resolve; });
      orders.answer = async (request, response) => {
        asked();
        await sleep(400);
        json(response, {});
      };
      const from = gateway.logs.length;
      const call = open(gateway.url, {
        method, path: "/orders/v1/orders",
        headers: { "x-api-key": key("wide"), ...(method === "POST" ? { "content-type": "application/json", "content-length": 2 } : {}) },
      });
      call.request.on("error", () => {});
      call.request.end(method === "POST" ? "{}" : undefined);
      await arrived;
      call.request.socket.resetAndDestroy();
      let line;
      for (let i = 0; i < 100 && line === undefined; i++, await sleep(30)) line = gateway.logs.slice(from).find(({ event }) => event === "request");
      assert.deepEqual([line?.method, line?.attempts.length], [method, 1]);
    }
  });
});
