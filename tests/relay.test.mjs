// How often the shell shows a stream to the core, whatever pieces it comes in. The core here is one that counts;
// the streams are Node's.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { relay } from "../src/relay.js";
import { TELL } from "../src/wire.js";

globalThis.IdentityTransformStream ??= class extends TransformStream {
  constructor() {
    super({}, { highWaterMark: 1 }, { highWaterMark: 1 });
  }
};

const text = (length) => Uint8Array.from({ length }, (_, at) => 97 + (at % 26));

// Relays what `write(send)` sends; returns what the client got, how often the core looked, and what it saw. `within`
// is how long the first piece may take, and `says` what the core says of each after it.
async function relayed({ filter, commit = 0, carries = 100, within = 10_000, says = () => ({}) }, write) {
  const core = {
    looks: 0, seen: [], now: Date.now, ready() {},
    follow(_, chunk) {
      core.looks += 1;
      core.seen.push(chunk.slice());
      return {
        started: true, over: false, failed: false, within: 10_000, tracking: new Uint8Array(carries), passed: chunk.slice(),
        ...says(),
      };
    },
    streamed: (_, __, end) => ({ kind: TELL.END, tail: new Uint8Array([end]), log: null, settle: null }),
  };
  let gone = false;
  const source = new ReadableStream({
    type: "bytes",
    cancel() { gone = true; },
    async start(controller) {
      // Anything else would be cut by Node's own queue.
      const send = (bytes) => gone || controller.enqueue(bytes.slice());
      const close = () => {
        if (gone) return;
        controller.close();
        // A read that waits is told so by this alone.
        controller.byobRequest?.respond(0);
      };
      write(send, () => core.seen).then(close, (error) => controller.error(error));
    },
  });
  const step = { filter, commit, hold: 1 << 20, within, tracking: new Uint8Array(carries), status: 200, set: [], flight: null };
  const call = { request: { signal: new AbortController().signal }, response: { body: source }, env: {}, ctx: { waitUntil() {} }, answers: null };
  const response = await relay(core, step, call, () => {});
  const got = new Uint8Array(await response.arrayBuffer());
  return { core, got: got.subarray(0, -1), end: got.at(-1) };
}

const WAYS = [
  ["filtered", { filter: true }],
  ["held back until it is whole, filtered", { filter: true, commit: 2 }],
  ["held back until it is whole, untouched", { filter: false, commit: 2 }],
];

describe("an upstream that sends one byte at a time", () => {
  for (const [name, how] of WAYS) {
    test(`${name}: nothing is lost, and it is looked at seldom`, async () => {
      const sent = text(12_000);
      const { core, got, end } = await relayed(how, async (send) => {
        for (let i = 0; i < sent.length; i++) {
          send(sent.subarray(i, i + 1));
          if (i % 4 === 0) await turn();
        }
      });
      assert.deepEqual(got, sent);
      assert.deepEqual(Buffer.concat(core.seen), Buffer.from(sent), "the core saw all of it, in its order");
      assert.equal(end, 0, "a clean end");
      // What is saved up pays for some 1,750 looks; then come some twenty a second.
      assert.ok(core.looks < 2_500, `${core.looks} looks`);
    });
  }

  test("what it has sent does not wait for what it has not", async () => {
    const sent = text(3_000);
    let seen = 0;
    const { core } = await relayed({ filter: true }, async (send, looked) => {
      for (let i = 0; i < sent.length; i++) {
        send(sent.subarray(i, i + 1));
        await turn();
      }
      await sleep(1_000);
      seen = looked().reduce((sum, { length }) => sum + length, 0);
    });
    assert.ok(core.looks < 2_500, `${core.looks} looks`);
    assert.equal(seen, sent.length, "all of it was looked at before more came");
  });

  test("its end as a broken one is still a broken one", async () => {
    const sent = text(4_000);
    const { got, end } = await relayed({ filter: true }, async (send) => {
      for (let i = 0; i < sent.length; i++) {
        send(sent.subarray(i, i + 1));
        if (i % 4 === 0) await turn();
      }
      await sleep(200);
      throw new Error("cut");
    });
    assert.deepEqual(got, sent);
    assert.equal(end, 1, "lost");
  });
});

test("an event that comes in small pieces, all of which must be carried along, is put together before it is looked at", async () => {
  const sent = text(200_000);
  const { core, got } = await relayed({ filter: true, carries: 100_000 }, async (send) => {
    for (let i = 0; i < sent.length; i += 100) {
      send(sent.subarray(i, i + 100));
      await turn();
    }
  });
  assert.deepEqual(got, sent);
  assert.ok(core.looks < 200, `${core.looks} looks at 2,000 pieces`);
});

test("a stream as models send it is looked at piece by piece, without a pause", async () => {
  const piece = text(220);
  const began = Date.now();
  const { core } = await relayed({ filter: true }, async (send) => {
    for (let i = 0; i < 1_000; i++) {
      send(piece);
      await turn();
      await turn();
    }
  });
  const took = Date.now() - began;
  assert.ok(core.looks > 300, `${core.looks} looks`);
  assert.ok(took < 2_000, `${took} ms`);
});

for (const filter of [true, false]) {
  describe(filter ? "deadlines, filtered" : "deadlines, untouched", () => {
    const LATE = 2;
    const took = async (how, write) => {
      const began = Date.now();
      const { end } = await relayed({ filter, ...how }, write);
      assert.equal(end, LATE);
      return Date.now() - began;
    };

    test("a silence after the first token is bounded by itself, not by what the first token may take", async () => {
      const ms = await took({ within: 20_000, says: () => ({ within: 300 }) }, async (send) => {
        send(text(10));
        await sleep(5_000);
      });
      assert.ok(ms >= 300 && ms < 2_000, `${ms} ms`);
    });

    test("who is over is not waited for any longer because something comes after its end", async () => {
      const ms = await took({ within: 20_000, says: () => ({ over: true, within: 500 }) }, async (send) => {
        for (let i = 0; i < 100; i++) {
          send(text(10));
          await sleep(50);
        }
      });
      assert.ok(ms >= 500 && ms < 2_000, `${ms} ms`);
    });
  });
}
