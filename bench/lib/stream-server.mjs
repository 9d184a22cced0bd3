// An upstream that streams chat completions: 200 chunks, each written by itself, with a pause
// between them. (A web server that sends a file writes it at once: no gateway would see a stream.)
// It speaks just enough HTTP/1.1 and keeps everything rendered, so that it costs next to nothing.
//
//   node stream-server.mjs PORT MILLISECONDS_BETWEEN_CHUNKS

import { createServer } from "node:net";
import { streamEvents } from "./payloads.mjs";

const [port, pause] = process.argv.slice(2).map(Number);

const HEAD = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n" +
  "transfer-encoding: chunked\r\n\r\n");
const WELL = Buffer.from("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
const LAST = Buffer.from("0\r\n\r\n");

const framed = (text) => Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
const plain = streamEvents(false).map(framed);
const counted = streamEvents(true).map(framed);

function serve(socket) {
  let pending = "";
  let timer = null;
  socket.setNoDelay(true);
  socket.on("data", (data) => {
    pending += data.toString("latin1");
    if (timer === null) next();
  });
  socket.on("error", () => {});
  socket.on("close", () => clearInterval(timer));

  // Takes one whole request off what has come, and answers it.
  function next() {
    const end = pending.indexOf("\r\n\r\n") + 4;
    if (end === 3) return;
    const head = pending.slice(0, end).toLowerCase();
    let length;
    if (head.includes("\r\ntransfer-encoding: chunked")) {
      const last = pending.indexOf("\r\n0\r\n\r\n", end - 2);
      if (last === -1) return;
      length = last + 7 - end;
    } else {
      length = Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1] ?? 0);
      if (pending.length < end + length) return;
    }
    const body = pending.slice(end, end + length);
    pending = pending.slice(end + length);
    if (!head.startsWith("post ")) {
      socket.write(WELL);
      next();
      return;
    }
    stream(/"include_usage"\s*:\s*true/.test(body) ? counted : plain);
  }

  function stream(events) {
    let at = 0;
    socket.write(HEAD);
    timer = setInterval(() => {
      socket.write(events[at++]);
      if (at < 200) return;
      clearInterval(timer);
      timer = null;
      // The usage and the terminator follow the last chunk at once.
      while (at < events.length) socket.write(events[at++]);
      socket.write(LAST);
      next();
    }, pause);
  }
}

createServer(serve).listen(port, "127.0.0.1");
