// Budgets of tokens and money, and places: reserved before a call at its upper bound, settled at what it used.
// However many calls come at once, none is made that could not be paid, and the books balance at the end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { chat, key, startE2e } from "./harness/e2e.mjs";
import { parseList } from "./harness/fields.mjs";
import { open } from "./harness/raw.mjs";
import { PORTS, chunks, completion, event, eventStream, json, startUpstream } from "./harness/upstream.mjs";

// What a call of 200 bytes may use: its bytes, what a provider may put around them, and its answer.
const INPUT = 200 + 512;
const OUTPUT = 100;
const UNITS = {
  tokens: { limit: 30_100, reserved: INPUT + OUTPUT, of: ({ input, cached, output }) => input + cached + output },
  spender: {
    limit: 90_000_000,
    reserved: INPUT * 2_000 + OUTPUT * 10_000,
    of: ({ input, cached, output }) => input * 2_000 + cached * 200 + output * 10_000,
  },
};
const DAY = 24 * 60 * 60 * 1000;
let day = Date.UTC(2041, 2, 3, 9);

// A body of exactly 200 bytes, so that what is reserved for it is known.
function body(model, more = {}) {
  const build = (content) => JSON.stringify({ model, messages: [{ role: "user", content }], ...more });
  return build("x".repeat(200 - build("").length));
}
const usageOf = ({ input, cached, output }) => ({
  prompt_tokens: input + cached,
  completion_tokens: output,
  total_tokens: input + cached + output,
  prompt_tokens_details: { cached_tokens: cached },
});

let gateway;
let upstream;
const say = async (as, text) => {
  const response = await gateway.fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": key(as) },
    body: text,
  });
  const answer = await response.text();
  return { status: response.status, headers: response.headers, text: answer, body: answer.startsWith("{") ? JSON.parse(answer) : null };
};
const left = ({ headers }) => parseList(headers.get("ratelimit"))[0].r;

// What is left when all is settled: what a call that is not paid finds, and what it reserves itself.
async function standing(as) {
  const before = upstream.answer;
  upstream.answer = (request, response) => json(response, { error: { message: "no", type: "invalid_request_error" } }, 400);
  // A settlement is made after the answer; it is soon over.
  await sleep(100);
  const answer = await say(as, body("priced"));
  assert.equal(answer.status, 400, answer.text);
  upstream.answer = before;
  await sleep(100);
  return left(answer) + UNITS[as].reserved;
}

before(async () => {
  upstream = await startUpstream(PORTS.chat, null);
  gateway = await startE2e({ clock: true });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
// Each test has a day, and so a window, of its own.
beforeEach(async () => {
  day += DAY;
  await gateway.clock(day);
});

for (const as of Object.keys(UNITS)) {
  const { limit, reserved, of } = UNITS[as];
  test(`200 calls at once by ${as}, for 37 of which there is enough: exactly 37 are made, and the books balance`, async () => {
    let made = 0;
    let refused = 0;
    let used = 0;
    let release;
    const decided = new Promise((resolve) => { release = resolve; });
    const count = () => { if (made + refused === 200) release(); };
    upstream.answer = async (request, response) => {
      const mine = { input: 5 + made, cached: made % 7, output: 3 * made };
      made += 1;
      count();
      // Nobody is answered, and so settled, before all are decided.
      await decided;
      used += of(mine);
      json(response, completion("priced-model", "ok", usageOf(mine)));
    };
    const answers = await Promise.all(Array.from({ length: 200 }, async () => {
      const answer = await say(as, body("priced"));
      if (answer.status === 429) {
        refused += 1;
        count();
      }
      return answer;
    }));
    assert.deepEqual([made, refused], [37, 163]);
    assert.equal(answers.filter(({ status }) => status === 200).length, 37);
    for (const { status, headers, body: said } of answers.filter(({ status }) => status !== 200)) {
      assert.deepEqual([status, said.error.code], [429, "budget_exceeded"]);
      assert.equal(headers.get("x-should-retry"), "false");
      // Until midnight, in whole seconds.
      assert.equal(Number(headers.get("retry-after")), 15 * 60 * 60);
    }
    assert.ok(37 * reserved <= limit && 38 * reserved > limit);
    assert.equal(await standing(as), limit - used);
  });
}

describe("what a call is charged", () => {
  const spent = async (as, answer, more = {}) => {
    const before = await standing(as);
    upstream.answer = answer;
    const said = await say(as, body("priced", more));
    return { said, spent: before - (await standing(as)) };
  };
  const mine = { input: 20, cached: 10, output: 5 };

  test("what its provider counted, cached tokens at their price", async () => {
    const whole = (request, response) => json(response, completion("priced-model", "ok", usageOf(mine)));
    assert.equal((await spent("tokens", whole)).spent, 35);
    assert.equal((await spent("spender", whole)).spent, 20 * 2_000 + 10 * 200 + 5 * 10_000);
  });

  test("of a stream too", async () => {
    const stream = (request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const data of chunks("priced-model", ["a", "b"], { usage: usageOf(mine) })) response.write(event(data));
      response.end(event("[DONE]"));
    };
    const { said, spent: amount } = await spent("tokens", stream, { stream: true });
    assert.equal(amount, 35);
    assert.match(said.text, /\[DONE\]/);
    assert.doesNotMatch(said.text, /prompt_tokens/, "nobody asked for it");
  });

  test("its bound, where a stream is cut", async () => {
    const cut = async (request, response) => {
      const stream = eventStream(response);
      await stream.write(event(chunks("priced-model", ["a"])[1]));
      await sleep(50);
      stream.cut();
    };
    const { said, spent: amount } = await spent("tokens", cut, { stream: true });
    assert.match(said.text, /stream_cut/);
    assert.equal(amount, UNITS.tokens.reserved);
  });

  test("nothing, where the upstream fails or refuses", async () => {
    for (const status of [400, 401, 429, 500, 503]) {
      const fails = (request, response) => json(response, { error: { message: "no" } }, status);
      assert.equal((await spent("tokens", fails)).spent, 0, `${status}`);
    }
  });

  test("both targets, where one was left while it may have been thinking", async () => {
    const hangs = async (request, response) => {
      if (request.url.startsWith("/backup/")) return json(response, completion("dear-model", "ok", usageOf(mine)));
      await sleep(1500);
      response.destroy();
    };
    // A plain call waits for its target up to `total`; a stream for its first token.
    const streamed = (request, response) => {
      if (!request.url.startsWith("/backup/")) return hangs(request, response);
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const data of chunks("dear-model", ["a"], { usage: usageOf(mine) })) response.write(event(data));
      response.end(event("[DONE]"));
    };
    const { said, spent: amount } = await spent("spender", streamed, { stream: true });
    assert.match(said.text, /\[DONE\]/);
    assert.equal(amount, UNITS.spender.reserved + 20 * 4_000 + 10 * 4_000 + 5 * 20_000);
  });

  test("more than the bound, where a provider counts more than it was asked for", async () => {
    const more = { input: 5_000, cached: 0, output: 200 };
    const whole = (request, response) => json(response, completion("priced-model", "ok", usageOf(more)));
    assert.equal((await spent("tokens", whole)).spent, 5_200);
  });
});

for (const as of Object.keys(UNITS)) {
  const { limit, reserved, of } = UNITS[as];
  for (const usage of [true, false]) {
    test(`a client of ${as} leaves in the middle of a stream (usage ${usage ? "" : "not "}wanted): it is charged what was used, and the books balance`, async () => {
      const mine = { input: 20, cached: 10, output: 5 };
      const events = chunks("priced-model", ["a", "b"], { usage: usageOf(mine) }).map(event);
      // Its client hears the first text and leaves; then the upstream goes on so. The log line of the call.
      const leave = async (rest) => {
        let left;
        const gone = new Promise((resolve) => { left = resolve; });
        upstream.answer = async (request, response) => {
          const stream = eventStream(response);
          await stream.write(events.slice(0, 2).join(""));
          await gone;
          await rest(stream);
        };
        const headers = { "content-type": "application/json", "x-api-key": key(as) };
        const call = open(gateway.url, { method: "POST", path: "/v1/chat/completions", headers });
        call.request.on("error", () => {});
        call.request.end(body("priced", { stream: true, ...(usage ? { stream_options: { include_usage: true } } : {}) }));
        const response = await call.response;
        response.on("error", () => {});
        await once(response, "data");
        call.request.socket.resetAndDestroy();
        await sleep(100);
        left();
        return gateway.line(response.headers["x-request-id"]);
      };
      // The upstream is heard out, and says what it counted.
      const told = await leave(async (stream) => {
        await stream.write(events.slice(2).join(""));
        stream.end(event("[DONE]"));
      });
      assert.deepEqual([told.client_gone, told.usage.settled], [true, "counted"]);
      assert.equal(await standing(as), limit - of(mine));
      // It never says: what was reserved stays charged, and the line says that it is the bound.
      const cut = await leave((stream) => stream.cut());
      assert.deepEqual([cut.client_gone, cut.usage.settled], [true, "bound"]);
      assert.equal(await standing(as), limit - of(mine) - reserved);
    });
  }
}

describe("a caller that tries to use more than its budget", () => {
  const usage = usageOf({ input: 1, cached: 0, output: 1 });
  const whole = (request, response) => json(response, completion("priced-model", "ok", usage));
  const said = async (as, more) => {
    upstream.answer = whole;
    const asked = upstream.requests.length;
    const answer = await say(as, body("priced", more));
    return { ...answer, asked: upstream.requests.length - asked };
  };

  test("by giant numbers: it is told that they never fit, and nobody is asked", async () => {
    for (const more of [{ n: 4294967295 }, { n: 1000, max_tokens: 4000 }]) {
      const answer = await said("tokens", more);
      assert.deepEqual([answer.status, answer.body.error.code, answer.asked], [429, "budget_exceeded", 0]);
      assert.equal(answer.headers.get("retry-after"), null);
      assert.equal(answer.headers.get("x-should-retry"), "false");
    }
    assert.equal(await standing("tokens"), UNITS.tokens.limit);
  });

  test("by numbers that are none, or twice: nothing of it reaches an upstream", async () => {
    for (const text of [
      '"n":-1', '"n":0', '"n":"9"', '"n":1.5', '"n":1,"n":99', '"max_tokens":-5', '"max_tokens":1e9', '"max_tokens":1,"max_tokens":null',
      '"Max_Tokens":1', '"N":99', '"max_tokens":18446744073709551616',
    ]) {
      const asked = upstream.requests.length;
      const answer = await say("tokens", `{"model":"priced","messages":[{"role":"user","content":"hi"}],${text}}`);
      assert.equal(answer.status, 400, `${text}: ${answer.text}`);
      assert.equal(upstream.requests.length, asked, text);
    }
    assert.equal(await standing("tokens"), UNITS.tokens.limit);
  });

  test("by a dearer tier of service: not for money", async () => {
    const answer = await said("spender", { service_tier: "priority" });
    assert.deepEqual([answer.status, answer.asked], [400, 0]);
    assert.equal((await said("spender", { service_tier: "default" })).status, 200);
  });

  test("a provider that counts what cannot be: its call is charged at its bound", async () => {
    for (const wrong of [
      { prompt_tokens: -5, completion_tokens: 1 }, { prompt_tokens: 1, completion_tokens: 1e300 }, { prompt_tokens: "1", completion_tokens: 1 },
      { prompt_tokens: 1.5, completion_tokens: 1 }, { completion_tokens: 1 }, null, [],
    ]) {
      const before = await standing("tokens");
      upstream.answer = (request, response) => json(response, completion("priced-model", "ok", wrong));
      assert.equal((await say("tokens", body("priced"))).status, 200);
      assert.equal(before - (await standing("tokens")), UNITS.tokens.reserved, JSON.stringify(wrong));
    }
  });

  test("a provider that counts more than was reserved is booked, reported, and paid from what follows", async () => {
    upstream.answer = (request, response) => json(response, completion("priced-model", "ok", usageOf({ input: 40_000, cached: 0, output: 0 })));
    const answer = await say("tokens", body("priced"));
    assert.equal(answer.status, 200);
    const line = await gateway.line(answer.headers.get("x-request-id"));
    assert.deepEqual([line.usage.input_tokens, line.usage.beyond_bound], [40_000, true]);
    await sleep(100);
    assert.equal((await say("tokens", body("priced"))).body.error.code, "budget_exceeded");
  });
});

test("what an upstream may answer is bounded by what was reserved", async () => {
  upstream.answer = (request, response) => json(response, completion("priced-model", "ok"));
  for (const [more, expected] of [[{}, 100], [{ max_tokens: 7 }, 7], [{ max_tokens: 4_000 }, 100]]) {
    await say("tokens", body("priced", more));
    assert.equal(JSON.parse(upstream.requests.at(-1).body).max_tokens, expected);
  }
});

test("a new day begins a new budget", async () => {
  upstream.answer = (request, response) => json(response, completion("priced-model", "ok", usageOf({ input: 900, cached: 0, output: 100 })));
  await say("tokens", body("priced"));
  assert.equal(await standing("tokens"), 30_100 - 1_000);
  await gateway.clock(day + 15 * 60 * 60 * 1000);
  assert.equal(await standing("tokens"), 30_100);
  day += DAY;
});

test("places: as many at one time as the plan says, each until its last byte", async () => {
  const open = [];
  upstream.answer = (request, response) => {
    const stream = eventStream(response);
    open.push(stream);
    return stream.write(event(chunks("upstream-model", ["a"])[1]));
  };
  const call = () => chat(gateway, { as: "places", stream: true });
  // One after another: so it is known whose stream is whose.
  const streams = [await call(), await call(), await call()];
  assert.deepEqual(streams.map(({ status }) => status), [200, 200, 200]);
  const fourth = await call();
  assert.equal(fourth.status, 429);
  assert.equal((await fourth.json()).error.code, "concurrency_limited");
  assert.equal(fourth.headers.get("x-should-retry"), "true");
  // One ends: its place is free.
  await open[0].write(event(chunks("upstream-model", [], {}).at(-1)));
  open[0].end(event("[DONE]"));
  await streams[0].text();
  await sleep(200);
  const again = await call();
  assert.equal(again.status, 200);
  // One is left by its client: its place is free when its upstream is over.
  await streams[1].body.cancel();
  open[1].cut();
  await sleep(300);
  const last = await call();
  assert.equal(last.status, 200);
  for (const stream of open.slice(2)) stream.cut();
  await Promise.all([streams[2].text(), again.text(), last.text()]);
});

for (const stream of [true, false]) {
  test(`places: until the client has the last byte, of ${stream ? "a stream" : "an answer"} whose upstream is long done`, async () => {
    // More than what is on its way between here and there holds; in large events, as a stream that its client does not
    // take is read on a piece at a time. Three of them have room in an isolate, which keeps it for each until it is sent.
    const text = "x".repeat(256 * 1024);
    const times = 50;
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    const done = [];
    upstream.answer = async (request, response) => {
      if (!stream) {
        json(response, completion("upstream-model", text.repeat(times), usage));
      } else {
        const events = eventStream(response);
        for (const data of chunks("upstream-model", Array(times).fill(text), { usage })) await events.write(event(data));
        events.end(event("[DONE]"));
      }
      done.push(response);
    };
    const content = JSON.stringify({
      model: "plain", messages: [{ role: "user", content: "hi" }],
      ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    });
    const headers = { "x-api-key": key("places"), "content-type": "application/json" };
    const begin = () => {
      const call = open(gateway.url, { method: "POST", path: "/v1/chat/completions", headers });
      call.request.on("error", () => {});
      call.request.end(content);
      return call.response;
    };
    const slow = [await begin(), await begin(), await begin()];
    for (const answer of slow) answer.pause();
    assert.deepEqual(slow.map(({ statusCode }) => statusCode), [200, 200, 200]);
    const until = Date.now() + 150_000;
    while (done.length < 3 && Date.now() < until) await sleep(50);
    await sleep(500);
    assert.equal(done.length, 3, "their upstream is done");
    const refused = await begin();
    assert.equal(refused.statusCode, 429);
    refused.resume();
    let length = 0;
    for await (const piece of slow[0]) length += piece.length;
    assert.ok(length > times * text.length, `${length}`);
    await sleep(300);
    const next = await begin();
    assert.equal(next.statusCode, 200, "it is whole, so its place is another's");
    for (const answer of [slow[1], slow[2], next]) {
      answer.on("error", () => {});
      answer.destroy();
    }
    await sleep(1500);
  });
}

test("places of an API: until the last byte of an answer that is passed on untouched", async (t) => {
  const open = [];
  const rest = await startUpstream(PORTS.rest, (request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write("[");
    open.push(response);
  });
  t.after(() => rest.stop());
  await sleep(300);
  const call = () => gateway.fetch("/orders/v1/orders", { headers: { "x-api-key": key("places") } });
  const answers = [await call(), await call(), await call()];
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
  assert.equal((await call()).status, 429);
  open[0].end("]");
  assert.equal(await answers[0].text(), "[]");
  await sleep(200);
  const again = await call();
  assert.equal(again.status, 200);
  for (const response of open.slice(1)) response.end("]");
  await Promise.all([...answers.slice(1), again].map((answer) => answer.text()));
});

test("places of an API: a client that leaves gives its place back", async (t) => {
  const answering = [];
  const rest = await startUpstream(PORTS.rest, async (request, response) => {
    answering.push(response);
    if (request.url.includes("limit=1")) await sleep(400);
    response.writeHead(200, { "content-type": "application/json" });
    response.write("[");
    // The platform here notices that a client has left only when something is sent to it.
    const talks = setInterval(() => response.writableEnded || response.write(" "), 100);
    response.on("close", () => clearInterval(talks));
  });
  t.after(() => rest.stop());
  await sleep(300);
  const path = "/orders/v1/orders";
  const headers = { "x-api-key": key("places") };
  // In the middle of its body, by a close (which workerd sees when it writes again) or a reset: at once.
  for (const reset of [false, true, false, true, false]) {
    const { request, response } = open(gateway.url, { path, headers });
    request.on("error", () => {});
    request.end();
    const answer = await response;
    assert.equal(answer.statusCode, 200);
    answer.on("error", () => {});
    await once(answer, "data");
    if (reset) request.socket.resetAndDestroy();
    else request.destroy();
    await sleep(500);
  }
  // Before the head of the answer: the platform does not tell, but then nobody takes it.
  for (let i = 0; i < 3; i++) {
    const { request } = open(gateway.url, { path: `${path}?limit=1`, headers });
    request.on("error", () => {});
    request.end();
    await sleep(100);
    request.destroy();
  }
  await sleep(17_000);
  const call = () => gateway.fetch(path, { headers });
  const answers = [await call(), await call(), await call()];
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
  for (const response of answering) response.end("]");
  await Promise.all(answers.map((answer) => answer.text()));
});

test("a client that stalls does not keep its place, nor its stream", async (t) => {
  const big = Buffer.alloc(48 * 1024 * 1024, "x");
  const rest = await startUpstream(PORTS.rest, (request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": big.length });
    response.end(big);
  });
  t.after(() => rest.stop());
  const headers = { "x-api-key": key("places") };
  const begin = () => {
    const call = open(gateway.url, { path: "/orders/v1/orders", headers });
    call.request.on("error", () => {});
    call.request.end();
    return call.response;
  };
  const stalled = [await begin(), await begin(), await begin()];
  assert.deepEqual(stalled.map(({ statusCode }) => statusCode), [200, 200, 200]);
  for (const answer of stalled) answer.pause();
  const turned = await begin();
  assert.equal(turned.statusCode, 429);
  turned.resume();
  let next;
  const until = Date.now() + 40_000;
  do {
    await sleep(1000);
    next?.resume();
    next = await begin();
  } while (next.statusCode === 429 && Date.now() < until);
  assert.equal(next.statusCode, 200, "its place is another's");
  // Who reads on finds that the answer has ended, and not whole.
  for (const answer of stalled) {
    let length = 0;
    const ended = new Promise((resolve) => {
      answer.on("error", () => resolve("cut")).on("close", () => resolve("cut")).on("end", () => resolve("whole"));
    });
    answer.on("data", (chunk) => { length += chunk.length; });
    answer.resume();
    assert.equal(await ended, "cut");
    assert.ok(length < big.length, `${length}`);
  }
  next.on("error", () => {});
  next.destroy();
});

test("the official SDK raises its own exception, and does not try again", async () => {
  const before = upstream.requests.length;
  upstream.answer = (request, response) => json(response, completion("priced-model", "ok", usageOf({ input: 30_000, cached: 0, output: 50 })));
  const client = new OpenAI({ apiKey: key("tokens"), baseURL: `${gateway.url}/v1` });
  const ask = () => client.chat.completions.create({ model: "priced", messages: [{ role: "user", content: "hi" }] });
  await ask();
  await sleep(200);
  await assert.rejects(ask(), (error) => error instanceof OpenAI.RateLimitError && error.code === "budget_exceeded");
  assert.equal(upstream.requests.length, before + 1);
});
