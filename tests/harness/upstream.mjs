// HTTP servers for upstreams, on loopback ports. Each keeps what it was asked.
//
//   import { startUpstream, PORTS } from "./harness/upstream.mjs";
//
//   const upstream = await startUpstream(PORTS.rest, (request, response, body) => { ... });
//   upstream.requests   // [{ method, url, headers, rawHeaders, body (Buffer) }], as they were answered
//   upstream.answer = (request, response, body) => { ... }    // from now on
//   await upstream.stop()   // also ends what is still open
//
// The handler is called with the whole body; with `{ whole: false }`, or `upstream.whole = false`, at once,
// and reads it itself.
// Ports are fixed, as the policies name them. So a test file that uses one must not run at the same
// time as another that does: `startUpstream` waits for a port that is in use. A file that needs several
// takes them in ascending order, so that no two files wait for each other.

import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** What the tree `e2e` calls: see its README. */
export const PORTS = { chat: 18181, rest: 18182, jwks: 18183, aimock: 18184, oidc: 18185 };

export async function startUpstream(port, answer, { whole = true, patience = 600_000 } = {}) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const { method, url, headers, rawHeaders } = request;
    const record = { method, url, headers, rawHeaders, body: null };
    if (!upstream.whole) {
      requests.push(record);
      return upstream.answer(request, response, null);
    }
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    record.body = Buffer.concat(chunks);
    requests.push(record);
    await upstream.answer(request, response, record.body);
  });
  server.keepAliveTimeout = 60_000;
  const upstream = {
    url: `http://127.0.0.1:${port}`,
    requests,
    answer,
    whole,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await listen(server, port, Date.now() + patience);
  upstream.url = `http://127.0.0.1:${server.address().port}`;
  return upstream;
}

async function listen(server, port, until) {
  for (;;) {
    try {
      await new Promise((resolve, reject) => {
        const settle = (error) => {
          server.off("error", settle).off("listening", settle);
          if (error) reject(error);
          else resolve();
        };
        server.on("error", settle).on("listening", settle);
        server.listen(port, "127.0.0.1");
      });
      return;
    } catch (error) {
      if (error.code !== "EADDRINUSE") throw error;
      if (Date.now() > until) throw new Error(`the port ${port} stays in use: does another test run have it?`, { cause: error });
      await sleep(100);
    }
  }
}

/** Answers JSON. */
export function json(response, value, status = 200, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

/** A chat completion, as an upstream of the format `openai` sends it. */
export function completion(model, text, usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }) {
  return {
    id: "chatcmpl-upstream",
    object: "chat.completion",
    created: 1_700_000_000,
    model,
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage,
  };
}

/** The events of a streamed chat completion: data of `data:` lines, without `[DONE]`. */
export function chunks(model, texts, { usage } = {}) {
  const chunk = (choices, more = {}) => ({
    id: "chatcmpl-upstream", object: "chat.completion.chunk", created: 1_700_000_000, model, choices, ...more,
  });
  const list = [chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }])];
  for (const content of texts) list.push(chunk([{ index: 0, delta: { content }, finish_reason: null }]));
  list.push(chunk([{ index: 0, delta: {}, finish_reason: "stop" }]));
  if (usage !== undefined) list.push(chunk([], { usage }));
  return list.map((value) => JSON.stringify(value));
}

/** One server-sent event. */
export const event = (data) => `data: ${data}\n\n`;

/**
 * A streamed answer that a test sends step by step. Its head leaves at once.
 *
 *   const stream = eventStream(response);
 *   await stream.write(bytes)   // resolved when the connection has taken them, or is gone
 *   stream.end(bytes)           // a clean end of the connection's answer
 *   stream.cut()                // the connection is lost, in the middle of the answer
 *   stream.gone                 // a promise: the other side is done with it, or has left; when (performance.now())
 *   stream.left                 // whether it has
 */
export function eventStream(response) {
  response.socket.setNoDelay(true);
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.flushHeaders();
  const stream = {
    left: false,
    gone: new Promise((resolve) => {
      response.on("close", () => {
        stream.left = true;
        resolve(performance.now());
      });
    }),
    write: (bytes) => Promise.race([new Promise((resolve) => response.write(bytes, () => resolve())), stream.gone]),
    end: (bytes) => response.end(bytes),
    cut: () => response.socket.destroy(),
  };
  return stream;
}

/**
 * An upstream of chat completions that does for each call what the test wants of it. What the client
 * says picks the script, so calls may run side by side.
 *
 *   const upstream = await startStreams(PORTS.chat);
 *   const content = upstream.play(async (stream, asked) => { ... });   // for { role: "user", content }
 *   upstream.streams   // those that were begun; empty it at the begin of a test
 */
export async function startStreams(port) {
  const scripts = [];
  const upstream = await startUpstream(port, (request, response, body) => {
    const asked = JSON.parse(body);
    const stream = eventStream(response);
    upstream.streams.push(stream);
    return scripts[Number(asked.messages[0].content.split(" ")[1])](stream, asked);
  });
  upstream.streams = [];
  upstream.play = (script) => `script ${scripts.push(script) - 1}`;
  return upstream;
}
