// The packages `openai`, of npm and PyPI, through the gateway to a real HTTP upstream that is not ours: aimock, which plays
// a provider. The model `alias` of the tree `e2e` runs there as `gpt-4o-mini`.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import OpenAI from "openai";
import { SECRETS, key, startE2e } from "./harness/e2e.mjs";
import { checkPython } from "./harness/python.mjs";
import { PORTS } from "./harness/upstream.mjs";

const TOOLS = [{
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
}];
const ask = (content, more = {}) => ({ model: "alias", messages: [{ role: "user", content }], ...more });

let gateway;
let mock;
let client;

before(async () => {
  mock = new LLMock({ port: PORTS.aimock, host: "127.0.0.1", chunkSize: 8 });
  mock.onToolResult("call_weather", { content: "It is sunny in Paris." });
  mock.onMessage("weather", { toolCalls: [{ id: "call_weather", name: "get_weather", arguments: '{"city":"Paris"}' }] });
  mock.onMessage("cut", { content: "This answer will not be heard to its end, however long it is." }, { latency: 20, truncateAfterChunks: 3 });
  mock.onMessage("hello", { content: "Hi there! This is aimock, which plays a provider." });
  await mock.start();
  gateway = await startE2e({ deployed: true });
  client = new OpenAI({ apiKey: key("wide"), baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
after(async () => {
  await gateway?.stop();
  await mock?.stop();
});
beforeEach(() => mock.clearRequests());

// What aimock was asked, in order.
const bodies = () => mock.getRequests().map(({ body }) => body);

test("a chat call: the model is renamed on its way, and answers under its alias's call", async () => {
  const { data, response } = await client.chat.completions.create(ask("hello")).withResponse();
  assert.equal(data.choices[0].message.content, "Hi there! This is aimock, which plays a provider.");
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.ok(data.usage.total_tokens > 0);
  const [sent] = mock.getRequests();
  assert.equal(sent.path, "/v1/chat/completions");
  assert.equal(sent.body.model, "gpt-4o-mini", "the upstream sees the target's name");
  assert.deepEqual(sent.body.messages, [{ role: "user", content: "hello" }]);
  assert.ok(!JSON.stringify(sent.headers).includes(key("wide")), "the client's key stays at the gateway");
  const line = await gateway.line(response.headers.get("x-request-id"));
  assert.deepEqual([line.model, line.consumer, line.attempts.length], ["alias", "wide", 1]);
  assert.deepEqual([line.attempts[0].to, line.attempts[0].status], ["aimock/gpt-4o-mini", 200]);
  assert.deepEqual(
    [line.usage.input_tokens, line.usage.output_tokens, line.usage.settled],
    [data.usage.prompt_tokens, data.usage.completion_tokens, "counted"],
  );
});

test("a streamed call: usage is always asked of the upstream, and shown only to who asked", async () => {
  for (const wanted of [false, true]) {
    mock.clearRequests();
    const { data: stream, response } = await client.chat.completions.create(
      ask("hello", { stream: true, ...(wanted ? { stream_options: { include_usage: true } } : {}) }),
    ).withResponse();
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(text, "Hi there! This is aimock, which plays a provider.");
    assert.equal(bodies()[0].stream_options?.include_usage, true);
    assert.equal(chunks.some((chunk) => chunk.usage), wanted, "usage in the stream");
    assert.equal(chunks.some((chunk) => chunk.choices.length === 0), wanted, "the chunk that carries it");
    const { usage } = await gateway.line(response.headers.get("x-request-id"));
    assert.equal(usage.settled, "counted");
    assert.ok(usage.output_tokens > 0, "the gateway knows the usage either way");
  }
});

test("a tool call, and the answer after its result", async () => {
  const { choices: [{ message, finish_reason }] } = await client.chat.completions.create(ask("weather", { tools: TOOLS }));
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Paris" });
  assert.deepEqual(bodies()[0].tools, TOOLS, "tools reach the upstream as they were sent");
  const answer = await client.chat.completions.create(ask("weather", {
    messages: [
      { role: "user", content: "weather" },
      message,
      { role: "tool", tool_call_id: message.tool_calls[0].id, content: "sunny" },
    ],
  }));
  assert.equal(answer.choices[0].message.content, "It is sunny in Paris.");
});

test("a streamed tool call, its arguments put together by the SDK", async () => {
  const completion = await client.chat.completions.stream(ask("weather", { tools: TOOLS })).finalChatCompletion();
  const [call] = completion.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
});

test("a 401, a 403 and a 404 are the gateway's, and reach no upstream", async () => {
  const as = (apiKey) => new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
  await assert.rejects(() => as("tpk_unknown_key").chat.completions.create(ask("hello")), OpenAI.AuthenticationError);
  await assert.rejects(() => as(key("narrow")).chat.completions.create(ask("hello")), OpenAI.PermissionDeniedError);
  await assert.rejects(() => client.chat.completions.create(ask("hello", { model: "gpt-4o-mini" })), OpenAI.NotFoundError);
  assert.deepEqual(mock.getRequests(), []);
});

test("a 429 of the plan, as the SDK's own class", async () => {
  const burst = new OpenAI({ apiKey: key("burst"), baseURL: `${gateway.url}/v1`, maxRetries: 0 });
  const calls = Array.from({ length: 40 }, () => burst.chat.completions.create(ask("hello")).then(() => null, (error) => error));
  const errors = (await Promise.all(calls)).filter((error) => error !== null);
  assert.ok(errors.length > 0, "40 calls at once are more than 5 a second");
  for (const error of errors) {
    assert.equal(error.constructor, OpenAI.RateLimitError);
    assert.equal(error.code, "rate_limited");
  }
  assert.equal(mock.getRequests().length, 40 - errors.length, "what is refused reaches no upstream");
});

test("an upstream that fails is the gateway's failure, in the SDK's own class", async () => {
  for (const [status, Class, code] of [
    [500, OpenAI.InternalServerError, "upstream_error"],
    [429, OpenAI.RateLimitError, "upstream_rate_limited"],
    [401, OpenAI.InternalServerError, "upstream_refused"],
  ]) {
    mock.nextRequestError(status, { message: "the provider's own words", type: "some_error", code: "some_code" });
    const error = await client.chat.completions.create(ask("hello")).then(() => assert.fail("no error"), (e) => e);
    assert.equal(error.constructor, Class, `${status}: ${error}`);
    assert.equal(error.code, code);
    assert.ok(!error.message.includes("the provider's own words"), "an upstream's failure is not repeated");
  }
});

test("what a provider says about a wrong request reaches the client", async () => {
  mock.nextRequestError(400, { message: "max_tokens is too large", type: "invalid_request_error", code: "too_large" });
  const error = await client.chat.completions.create(ask("hello")).then(() => assert.fail("no error"), (e) => e);
  assert.equal(error.constructor, OpenAI.BadRequestError);
  assert.match(error.message, /max_tokens is too large/);
});

test("a stream that the provider breaks off never looks whole", async () => {
  const stream = await client.chat.completions.create(ask("cut", { stream: true }));
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  }, (error) => {
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.equal(error.code, "stream_cut");
    return true;
  });
  assert.ok(text.length > 0 && "This answer will not be heard to its end".startsWith(text.slice(0, 39)), text);
});

test("chaos: whatever the provider does, the client gets an answer or an error of the SDK", async () => {
  for (const chaos of [{ dropRate: 1 }, { malformedRate: 1 }, { rateLimitRate: 1 }, { disconnectRate: 1 }]) {
    mock.setChaos(chaos);
    for (const stream of [false, true]) {
      const error = await client.chat.completions.create(ask("hello", { stream })).then(() => assert.fail("no error"), (e) => e);
      assert.ok(error instanceof OpenAI.APIError, `${JSON.stringify(chaos)}: ${error}`);
      assert.match(error.code, /^upstream_/, `${JSON.stringify(chaos)} stream=${stream}`);
    }
  }
  mock.clearChaos();
  assert.equal((await client.chat.completions.create(ask("hello"))).object, "chat.completion");
});

test("PyPI openai: the same calls", async (t) => {
  await checkPython(t, "aimock.py", {
    GATEWAY_URL: gateway.url, WIDE_KEY: key("wide"), NARROW_KEY: key("narrow"), BURST_KEY: key("burst"),
  }, 9);
});

test("no secret of the gateway's and no credential is in its log", () => {
  const text = JSON.stringify(gateway.logs);
  for (const secret of [...Object.values(SECRETS), key("wide"), key("burst"), "Hi there!"]) {
    assert.ok(!text.includes(secret), `the log holds ${secret}`);
  }
});
