// A stream tells the truth: events are passed on as they come; a cut, stalled or malformed upstream is never
// shown as a clean end. Everything is asked twice: with usage wanted by the client (the gateway passes the
// bytes on untouched, and reads a copy of them) and without (it reads each event and takes the usage out).
// What becomes of a stream whose client leaves, or does not read: faults-client.test.mjs.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { chat, key, startE2e } from "./harness/e2e.mjs";
import { PORTS, chunks, event, startStreams } from "./harness/upstream.mjs";

const USAGE = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 };
const COUNTED = { input_tokens: 9, output_tokens: 4, settled: "counted" };
const TEXTS = ["one", " two", " three", " four"];
const DONE = event("[DONE]");

let gateway;
let upstream;
let client;
before(async () => {
  upstream = await startStreams(PORTS.chat);
  gateway = await startE2e({ deployed: true });
  client = new OpenAI({ apiKey: key("wide"), baseURL: `${gateway.url}/v1`, maxRetries: 0, logLevel: "off" });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
beforeEach(() => { upstream.streams = []; });

const events = (texts = TEXTS, usage = USAGE) => chunks("upstream-model", texts, { usage }).map(event);
// The role, and so many texts.
const begin = (count) => events().slice(0, 1 + count).join("");

// Asks, and hears all of the answer: its texts, how it ended, and its log line.
async function hear(script, { usage, model = "plain" }) {
  const { data, response } = await client.chat.completions.create({
    model,
    messages: [{ role: "user", content: upstream.play(script) }],
    stream: true,
    ...(usage ? { stream_options: { include_usage: true } } : {}),
  }).withResponse();
  const heard = { text: "", chunks: [], error: null };
  const began = performance.now();
  try {
    for await (const chunk of data) {
      heard.chunks.push(chunk);
      heard.text += chunk.choices[0]?.delta.content ?? "";
    }
  } catch (error) {
    heard.error = error;
  }
  heard.took = performance.now() - began;
  heard.line = await lineOf(response);
  return heard;
}

// The same without a client library: the bytes.
async function wire(script, { usage, model = "plain" }) {
  const response = await chat(gateway, {
    model,
    messages: [{ role: "user", content: upstream.play(script) }],
    stream: true,
    ...(usage ? { stream_options: { include_usage: true } } : {}),
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/event-stream\b/);
  return response;
}
const lineOf = (response) => gateway.line(response.headers.get("x-request-id"));
const closed = ({ gone }) => Promise.race([gone, sleep(2000).then(() => assert.fail("the upstream's connection is still open"))]);

// The last event of a stream that did not end well: an error in the format of OpenAI, and no terminator.
function errorEvent(text) {
  const last = text.trimEnd().split("\n\n").at(-1);
  assert.match(last, /^data: \{/);
  return JSON.parse(last.slice("data: ".length)).error;
}

for (const usage of [true, false]) {
  describe(usage ? "usage wanted: passed on untouched" : "usage not wanted: filtered", () => {
    test("the first event reaches the client before the upstream sends its last", async () => {
      for (const model of ["plain", "careful"]) {
        let release;
        let sentFirst;
        const response = await wire(async (stream) => {
          sentFirst = performance.now();
          await stream.write(begin(1));
          // Nothing more is sent before the client has had this.
          await new Promise((resolve) => { release = resolve; });
          stream.end(events().slice(2).join("") + DONE);
        }, { usage, model });
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        const limit = setTimeout(() => reader.cancel(), 400);
        while (!text.includes('"one"')) {
          const { done, value } = await reader.read();
          assert.ok(!done, `${model}: the first event did not come while the upstream waited`);
          text += value;
        }
        clearTimeout(limit);
        assert.ok(performance.now() - sentFirst < 400);
        release();
        for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value;
        assert.ok(text.endsWith(DONE), text);
        assert.deepEqual((await lineOf(response)).usage, COUNTED);
      }
    });

    test("events come one by one, not at the end", async () => {
      const response = await wire(async (stream) => {
        for (const one of events()) {
          await stream.write(one);
          await sleep(80);
        }
        stream.end(DONE);
      }, { usage });
      const times = [];
      for await (const _ of response.body) times.push(performance.now());
      assert.ok(times.length >= 4, `${times.length} pieces`);
      assert.ok(times.at(-1) - times[0] > 240, `all within ${times.at(-1) - times[0]} ms`);
    });

    test("however the upstream cuts its bytes, the client gets the same", async () => {
      const texts = ["naïve ", "日本", "😀", " \\\"data: [DONE]\\n", "\u2028end"];
      const list = chunks("upstream-model", texts, { usage: USAGE });
      for (const [name, separator] of [["LF", "\n"], ["CR LF", "\r\n"]]) {
        const lines = (data) => data.map((one) => `data: ${one}${separator}${separator}`).join("");
        const sent = Buffer.from(lines([...list, "[DONE]"]));
        const expected = usage ? sent : Buffer.from(lines([...list.slice(0, -1), "[DONE]"]));
        for (const size of [1, 2, 3, 7, 64]) {
          const response = await wire(async (stream) => {
            for (let at = 0; at < sent.length; at += size) {
              await stream.write(sent.subarray(at, at + size));
              if (at % 61 === 0) await sleep(1);
            }
            stream.end();
          }, { usage });
          const bytes = Buffer.from(await response.arrayBuffer());
          assert.equal(bytes.toString(), expected.toString(), `${name} in pieces of ${size}`);
          assert.deepEqual((await lineOf(response)).usage, COUNTED);
        }
        // At places that hurt: inside a character, inside `data:`, inside a line end, inside [DONE].
        const places = ["é", "日", "😀"].map((sign) => sent.indexOf(sign) + 1)
          .concat([sent.indexOf("data:", 20) + 2, sent.indexOf(separator) + 1, sent.lastIndexOf("[DONE]") + 3]);
        const heard = await hear(async (stream) => {
          let from = 0;
          for (const at of places.filter((place) => place > 0).sort((a, b) => a - b)) {
            await stream.write(sent.subarray(from, at));
            await sleep(30);
            from = at;
          }
          stream.end(sent.subarray(from));
        }, { usage });
        assert.equal(heard.error, null);
        assert.equal(heard.text, texts.join(""), name);
        assert.equal(heard.chunks.some((chunk) => chunk.usage), usage);
      }
    });

    // What the upstream does; the code; whether the SDK raises the gateway's error or the upstream's own;
    // what of the text arrives.
    const broken = {
      "is cut between events": [async (stream) => {
        await stream.write(begin(2));
        await sleep(100);
        stream.cut();
      }, "stream_cut", "one two"],
      "is cut inside an event": [async (stream) => {
        await stream.write(begin(2) + events()[3].slice(0, 30));
        await sleep(100);
        stream.cut();
      }, "stream_cut", "one two"],
      "ends without [DONE]": [(stream) => stream.end(events().join("")), "stream_cut", TEXTS.join("")],
      "ends with its head": [(stream) => stream.end(), "stream_cut", ""],
      "ends inside an event": [(stream) => stream.end(begin(2) + events()[3].slice(0, 30)), "stream_cut", "one two"],
      "is cut inside a character": [async (stream) => {
        const last = Buffer.from(event(JSON.stringify({ choices: [{ index: 0, delta: { content: "日" } }] })));
        await stream.write(Buffer.concat([Buffer.from(begin(2)), last.subarray(0, last.indexOf("日") + 2)]));
        await sleep(100);
        stream.cut();
      }, "stream_cut", "one two"],
      "falls silent inside an event": [(stream) => stream.write(begin(2) + events()[3].slice(0, -12)), "stream_stalled", "one two", "brief"],
      "falls silent": [(stream) => stream.write(begin(2)), "stream_stalled", "one two", "brief"],
      "never begins": [(stream) => stream.write(events()[0]), "stream_stalled", "", "brief"],
      "never ends": [async (stream) => {
        await stream.write(begin(1));
        while (!stream.left) await Promise.all([stream.write(events()[2]), sleep(100)]);
      }, "stream_stalled", null, "brief"],
      "reports an error inside a 200": [async (stream) => {
        const error = { message: "The engine is overloaded.", type: "server_error", param: null, code: "engine_overloaded" };
        await stream.write(begin(2) + event(JSON.stringify({ error })));
        stream.end(DONE);
      }, "stream_failed", "one two"],
      "reports an error by the event's name": [(stream) => stream.end(
        `${begin(2)}event: error\n${event('{"error":{"message":"No.","type":"server_error","code":null}}')}`,
      ), "stream_failed", "one two"],
      "sends an event that is no JSON": [(stream) => stream.end(begin(2) + event('{"choices":[') + DONE), "stream_failed", "one two"],
      "sends an event that is no chunk": [(stream) => stream.end(begin(2) + event("<html>") + DONE), "stream_failed", "one two"],
      "sends bytes that are no text": [(stream) => stream.end(Buffer.concat([
        Buffer.from(begin(2)), Buffer.from("data: "), Buffer.from([0xff, 0xfe, 0x00]), Buffer.from(`\n\n${DONE}`),
      ])), "stream_failed", "one two"],
    };
    for (const [name, [script, code, text, model = "plain"]] of Object.entries(broken)) {
      test(`an upstream that ${name} is not shown as a clean end`, async () => {
        // By the SDK, and as it is on the wire.
        const [heard, all] = await Promise.all([
          hear(script, { usage, model }),
          wire(script, { usage, model }).then((response) => response.text()),
        ]);
        assert.notEqual(heard.error, null, "the SDK took it for whole");
        // What the upstream itself spoilt, the SDK may trip over before it comes to the error event.
        const spoilt = usage && /no JSON|no chunk|no text/.test(name);
        if (!spoilt) {
          assert.ok(heard.error instanceof OpenAI.APIError, `${heard.error.constructor.name}: ${heard.error.message}`);
          const reported = /reports/.test(name);
          if (!reported) assert.deepEqual([heard.error.code, heard.error.error.request_id], [code, heard.line.request_id]);
        }
        if (text !== null) assert.equal(heard.text, text, "what came before");
        assert.deepEqual([heard.line.status, heard.line.code, heard.line.decision], [200, code, "failed"]);
        assert.equal(heard.line.client_gone, undefined, "the client was there all the time");
        assert.equal(heard.line.attempts.length, 1);
        assert.notEqual(heard.line.attempts[0].failed, undefined);
        assert.ok(heard.took < 3500, `${heard.took} ms`);
        // The upstream's connection is not kept by an answer that nobody wants any more.
        await Promise.all(upstream.streams.map(closed));
        assert.equal(errorEvent(all).code, code, all);
        if (!usage) assert.ok(!all.includes("[DONE]"), "no terminator after a failure");
      });
    }

    test("an upstream that keeps its connection after [DONE] is done", async () => {
      const heard = await hear((stream) => stream.write(events().join("") + DONE), { usage, model: "brief" });
      assert.equal(heard.error, null);
      assert.equal(heard.text, TEXTS.join(""));
      assert.deepEqual([heard.line.decision, heard.line.usage], ["passed", COUNTED]);
      await closed(upstream.streams[0]);
    });

    test("without a first token, another target answers, and the client sees nothing of it", async () => {
      const heard = await hear(async (stream, asked) => {
        if (asked.model === "primary-model") return stream.write(events()[0]);
        return stream.end(events().join("") + DONE);
      }, { usage, model: "careful" });
      assert.equal(heard.error, null);
      assert.equal(heard.text, TEXTS.join(""));
      assert.equal(heard.chunks.filter((chunk) => chunk.choices[0]?.delta.role).length, 1, "one beginning");
      assert.deepEqual(heard.line.attempts.map(({ to, failed }) => [to, failed]), [
        ["chat/primary-model", "no_first_token"],
        ["chat/primary-model", "no_first_token"],
        ["backup/secondary-model", undefined],
      ]);
      assert.deepEqual([heard.line.decision, heard.line.usage], ["passed", COUNTED]);
      await Promise.all(upstream.streams.slice(0, 2).map(closed));
    });

    test("an answer that is held back until it is whole can be given by another target", async () => {
      const heard = await hear(async (stream, asked) => {
        if (asked.model === "primary-model") {
          await stream.write(begin(3));
          return stream.cut();
        }
        return stream.end(events(["other", " words"]).join("") + DONE);
      }, { usage, model: "whole" });
      assert.equal(heard.error, null);
      assert.equal(heard.text, "other words", "nothing of the broken one");
      assert.deepEqual(heard.line.attempts.map(({ to, failed }) => [to, failed]),
        [["chat/primary-model", "unreachable"], ["backup/secondary-model", undefined]]);
    });

    test("one that is too large to be held back is given up", async () => {
      const response = await chat(gateway, {
        model: "whole", stream: true, stream_options: { include_usage: usage },
        messages: [{ role: "user", content: upstream.play(async (stream) => {
          await stream.write(begin(1));
          const piece = event(JSON.stringify({ choices: [{ index: 0, delta: { content: "x".repeat(64 * 1024) } }] }));
          for (let i = 0; i < 256 && !stream.left; i++) await stream.write(piece);
          stream.end(events().slice(2).join("") + DONE);
        }) }],
      });
      assert.deepEqual([response.status, (await response.json()).error.code], [502, "upstream_invalid"]);
      assert.equal((await lineOf(response)).attempts[0].failed, "invalid_answer");
      await closed(upstream.streams[0]);
    });
  });
}
