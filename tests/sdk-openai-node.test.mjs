// The package `openai` of npm, pointed at the gateway of the sample tree: as its user would, with
// nothing changed but the base URL. Every failure must surface as the SDK's own exception class.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { parseList } from "./harness/fields.mjs";
import { WEATHER_TOOLS as TOOLS, startSample, tokenOf } from "./harness/sample.mjs";

const ask = (content, more = {}) => ({ model: "fast", messages: [{ role: "user", content }], ...more });

function client(gateway, apiKey, options = {}) {
  return new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0, ...options });
}

describe("npm openai: calls", () => {
  let gateway;
  let demo;
  before(async () => {
    gateway = await startSample();
    demo = client(gateway, await tokenOf("demo"));
  });
  after(() => gateway?.stop());

  test("a chat call", async () => {
    const { data, response, request_id } = await demo.chat.completions.create(ask("Hello")).withResponse();
    assert.equal(data.object, "chat.completion");
    assert.equal(data.model, "fast", "the model is called as the client called it");
    assert.equal(data.choices.length, 1);
    assert.deepEqual(data.choices[0].message.content, "Hello from fast! You said: Hello");
    assert.equal(data.choices[0].finish_reason, "stop");
    assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens, data.usage.total_tokens], [12, 10, 22]);
    assert.match(response.headers.get("content-type"), /^application\/json\b/);
    assert.match(request_id, /^[0-9a-f]{32}$/, "the SDK finds the request's id");
    assert.ok(parseList(response.headers.get("ratelimit")).every(({ r }) => r >= 0));
  });

  test("a streamed call, without usage unless it is asked for", async () => {
    const stream = await demo.chat.completions.create(ask("Hello", { stream: true }));
    let text = "";
    let last;
    for await (const chunk of stream) {
      assert.equal(chunk.object, "chat.completion.chunk");
      assert.ok(!("usage" in chunk) || chunk.usage === null, "usage was not asked for");
      assert.equal(chunk.choices.length, 1, "no empty chunk that would carry the usage");
      text += chunk.choices[0].delta.content ?? "";
      last = chunk;
    }
    assert.equal(text, "Hello from fast! You said: Hello");
    assert.equal(last.choices[0].finish_reason, "stop");
  });

  test("a streamed call with usage", async () => {
    const stream = await demo.chat.completions.create(
      ask("Hello", { stream: true, stream_options: { include_usage: true } }),
    );
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.deepEqual([last.usage.prompt_tokens, last.usage.completion_tokens], [12, 10]);
    assert.ok(chunks.every((chunk) => !chunk.usage), "only the last chunk has the usage");
  });

  test("a stream comes in many pieces, the first before the last", async () => {
    // `smart` waits 10 ms between its pieces.
    const stream = await demo.chat.completions.create(ask("Hello", { model: "smart", stream: true }));
    const times = [];
    for await (const _ of stream) times.push(performance.now());
    assert.ok(times.length > 5);
    assert.ok(times.at(-1) - times[0] > 40, "the pieces did not arrive together");
  });

  test("a tool call", async () => {
    const { choices: [{ message, finish_reason }] } = await demo.chat.completions.create(
      ask("How is the weather in Paris? (weather)", { tools: TOOLS }),
    );
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.tool_calls.length, 1);
    const [call] = message.tool_calls;
    assert.equal(call.type, "function");
    assert.equal(call.function.name, "get_weather");
    assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
    const answer = await demo.chat.completions.create(ask("weather", {
      tools: TOOLS,
      messages: [
        { role: "user", content: "weather" },
        message,
        { role: "tool", tool_call_id: call.id, content: "sunny" },
      ],
    }));
    assert.equal(answer.choices[0].message.content, "It is sunny in Paris, 21 degrees.");
  });

  test("a streamed tool call, its arguments put together by the SDK", async () => {
    const runner = demo.chat.completions.stream(ask("weather", { tools: TOOLS }));
    const completion = await runner.finalChatCompletion();
    const [{ message, finish_reason }] = completion.choices;
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(
      message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
      [["get_weather", { city: "Paris" }]],
    );
  });

  test("a consumer sees the models that it may call", async () => {
    const names = async (token) => {
      const list = [];
      for await (const model of client(gateway, token).models.list()) list.push(model.id);
      return list.sort();
    };
    assert.deepEqual(await names(await tokenOf("demo")), ["fast", "smart"]);
    assert.deepEqual(await names(await tokenOf("trial")), ["fast"]);
    const card = await demo.models.retrieve("smart");
    assert.deepEqual([card.id, card.object, card.owned_by], ["smart", "model", "team-ai"]);
  });
});

describe("npm openai: refusals", () => {
  let gateway;
  before(async () => { gateway = await startSample(); });
  after(() => gateway?.stop());

  // The SDK's class, with what its user reads from it.
  async function refused(call, Class, status, code, type) {
    const error = await call().then(() => assert.fail("the call was not refused"), (error) => error);
    assert.equal(error.constructor, Class, `${error.constructor.name}: ${error.message}`);
    assert.deepEqual([error.status, error.code, error.type], [status, code, type]);
    assert.match(error.requestID, /^[0-9a-f]{32}$/);
    assert.equal(error.error.request_id, error.requestID, "the body names the same request");
    return error;
  }

  test("401: no, a wrong and a damaged credential", async () => {
    const token = await tokenOf("demo");
    const [head, claims, signature] = token.split(".");
    const flipped = (signature[0] === "A" ? "B" : "A") + signature.slice(1);
    for (const wrong of ["garbage", "tpk_nobody_knows", "a.b.c", `${head}.${claims}.${flipped}`]) {
      const call = () => client(gateway, wrong).chat.completions.create(ask("Hello"));
      const error = await refused(call, OpenAI.AuthenticationError, 401, "credential_invalid", "authentication_error");
      assert.match(error.headers.get("www-authenticate"), /^Bearer error="invalid_token"/);
      assert.ok(!error.message.includes(wrong), "a credential is never repeated");
    }
    const anonymous = client(gateway, "unused", { defaultHeaders: { authorization: null } });
    const call = () => anonymous.chat.completions.create(ask("Hello"));
    const error = await refused(call, OpenAI.AuthenticationError, 401, "credential_missing", "authentication_error");
    assert.match(error.headers.get("www-authenticate"), /^Bearer( resource_metadata="[^"]+")?$/);
  });

  test("401: the same in a streamed call, before anything is streamed", async () => {
    const call = () => client(gateway, "garbage").chat.completions.create(ask("Hello", { stream: true }));
    await refused(call, OpenAI.AuthenticationError, 401, "credential_invalid", "authentication_error");
  });

  test("403: a model that the plan lacks", async () => {
    const trial = client(gateway, await tokenOf("trial"));
    for (const stream of [false, true]) {
      const call = () => trial.chat.completions.create(ask("Hello", { model: "smart", stream }));
      const error = await refused(call, OpenAI.PermissionDeniedError, 403, "model_not_allowed", "permission_error");
      assert.equal(error.param, "model");
      assert.match(error.error.policy, /^policies\/consumers\/trial\.yaml:\d+$/, "dev names the policy line");
    }
    await refused(() => trial.models.retrieve("smart"), OpenAI.PermissionDeniedError, 403, "model_not_allowed", "permission_error");
  });

  test("404: a model that does not exist, and a path that does not", async () => {
    const demo = client(gateway, await tokenOf("demo"));
    const call = () => demo.chat.completions.create(ask("Hello", { model: "no-such-model" }));
    const error = await refused(call, OpenAI.NotFoundError, 404, "model_not_found", "not_found_error");
    assert.equal(error.param, "model");
    await refused(() => demo.models.retrieve("no-such-model"), OpenAI.NotFoundError, 404, "model_not_found", "not_found_error");
    await refused(() => demo.embeddings.create({ model: "fast", input: "x" }), OpenAI.NotFoundError, 404, "not_found", "not_found_error");
  });

  test("400: a body that is no chat request", async () => {
    const demo = client(gateway, await tokenOf("demo"));
    const call = () => demo.chat.completions.create({ messages: [{ role: "user", content: "x" }] });
    const error = await refused(call, OpenAI.BadRequestError, 400, "invalid_request", "invalid_request_error");
    assert.equal(error.param, "model");
  });
});

describe("npm openai: time", () => {
  let gateway;
  before(async () => { gateway = await startSample({ clock: true }); });
  after(() => gateway?.stop());

  test("401: a token that has expired", async () => {
    const demo = client(gateway, await tokenOf("demo"));
    await gateway.clock(Date.now());
    await demo.models.list();
    await gateway.clock(Date.now() + 2 * 60 * 60 * 1000);
    await assert.rejects(() => demo.models.list(), (error) => {
      assert.equal(error.constructor, OpenAI.AuthenticationError);
      assert.equal(error.code, "credential_expired");
      return true;
    });
    await gateway.clock();
  });

  test("429: the sixth call of one second", async () => {
    const trial = client(gateway, await tokenOf("trial"));
    const now = Date.now();
    await gateway.clock(now);
    for (let i = 0; i < 5; i++) await trial.chat.completions.create(ask("Hello"));
    const error = await trial.chat.completions.create(ask("Hello")).then(() => assert.fail("not refused"), (e) => e);
    assert.equal(error.constructor, OpenAI.RateLimitError);
    assert.deepEqual([error.status, error.code, error.type], [429, "rate_limited", "rate_limit_error"]);
    assert.equal(error.headers.get("retry-after"), "1");
    assert.equal(error.headers.get("retry-after-ms"), "200", "one of five a second");
    assert.equal(error.headers.get("x-should-retry"), "true");
    const stated = parseList(error.headers.get("ratelimit-policy"));
    assert.deepEqual(stated.map(({ q, w }) => [q, w]).sort((a, b) => a[0] - b[0]), [[5, 1], [100, 60]]);
    const left = parseList(error.headers.get("ratelimit"));
    assert.deepEqual(left.map(({ name }) => name), stated.map(({ name }) => name));
    const byQ = Object.fromEntries(stated.map(({ name, q }) => [q, left.find((item) => item.name === name)]));
    assert.equal(byQ[5].r, 0);
    assert.equal(byQ[100].r, 95, "a refused request is charged nowhere");
    // Another consumer is not affected.
    await client(gateway, await tokenOf("demo")).chat.completions.create(ask("Hello"));
    // As many milliseconds later as it was told, one more passes, and only one.
    await gateway.clock(now + 200);
    await trial.chat.completions.create(ask("Hello"));
    await assert.rejects(() => trial.chat.completions.create(ask("Hello")), OpenAI.RateLimitError);
    await gateway.clock();
  });

  test("the SDK tries again by itself, and succeeds", async () => {
    const now = Date.now() + 60_000;
    await gateway.clock(now);
    const statuses = [];
    const patient = client(gateway, await tokenOf("trial"), {
      maxRetries: 3,
      async fetch(url, init) {
        const response = await fetch(url, init);
        statuses.push(response.status);
        // It is told to wait 200 ms; by the time it comes back, they have passed.
        if (response.status === 429) await gateway.clock(now + 200);
        return response;
      },
    });
    for (let i = 0; i < 5; i++) await patient.chat.completions.create(ask("Hello"));
    const { choices } = await patient.chat.completions.create(ask("Hello"));
    assert.equal(choices[0].message.content, "Hello from fast! You said: Hello");
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 200]);
    await gateway.clock();
  });
});
