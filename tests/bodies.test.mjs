// Bodies that are read whole: what is held of them is what is counted, whatever pieces they come in. The streams are
// Node's, with pieces as the runtime makes them: each in a buffer of its own, much longer than itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createHold, readWhole } from "../src/bodies.js";
import { createWatch } from "../src/watch.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

const BUFFER = 4096;
const MAX = 10 * 1024 * 1024;

// A body in pieces of so many bytes; `last` is called when all but one of them have been taken.
function body(length, piece, last = async () => {}) {
  let sent = 0;
  return {
    body: new ReadableStream({
      type: "bytes",
      async pull(controller) {
        if (sent >= length) {
          controller.close();
          controller.byobRequest?.respond(0);
          return;
        }
        if (sent + piece >= length) await last();
        const bytes = new Uint8Array(Math.max(BUFFER, piece)).subarray(0, Math.min(piece, length - sent));
        for (let i = 0; i < bytes.length; i++) bytes[i] = (sent + i) % 251;
        sent += bytes.length;
        controller.enqueue(bytes);
      },
    }, { highWaterMark: 0 }),
  };
}

// Reads it; what came of it, and what was counted.
async function read(source, { max = MAX, room = MAX, within = 60_000 } = {}) {
  const counted = { bytes: 0 };
  const hold = {
    why: "busy",
    reserve(bytes) {
      if (counted.bytes + bytes > room) return false;
      counted.bytes += bytes;
      return true;
    },
  };
  const watch = createWatch(() => false);
  const whole = await readWhole(source, null, max, within, hold, watch);
  watch.stop();
  return { whole, counted: counted.bytes };
}

const right = (length) => Uint8Array.from({ length }, (_, at) => at % 251);

test("of any length, in pieces of any length, nothing is lost and hardly more is counted", async () => {
  for (const length of [0, 1, 4095, 4096, 4097, 70_000, 300_001]) {
    for (const piece of [97, 4096, 65_536, 200_000]) {
      const { whole, counted } = await read(body(length, piece));
      assert.deepEqual(whole, right(length), `${length} in pieces of ${piece}`);
      assert.ok(counted >= length && counted <= Math.max(2 * length, 2 * BUFFER), `${counted} counted of ${length}`);
    }
  }
});

test("one that comes in crumbs takes as much room as is counted", async () => {
  const length = 20_000;
  let before;
  let grown;
  collect();
  before = process.memoryUsage().arrayBuffers;
  const { whole, counted } = await read(body(length, 1, async () => {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    grown = process.memoryUsage().arrayBuffers - before;
  }));
  assert.deepEqual(whole, right(length));
  assert.ok(counted <= 2 * length, `${counted} counted`);
  // Each crumb in its own buffer would be 82 MB.
  assert.ok(grown < 4 * length + (1 << 20), `${grown} bytes are held`);
});

test("one caller has half of the room, or that of one body, and gives all of it back", () => {
  const MiB = 1024 * 1024;
  const [first, second, other, nobody] = [createHold(1, 10 * MiB), createHold(1, 10 * MiB), createHold(2, 10 * MiB), createHold()];
  assert.ok(first.reserve(10 * MiB) && second.promise(4 * MiB));
  assert.deepEqual([second.reserve(7 * MiB), second.why], [false, "share"]);
  assert.ok(second.reserve(6 * MiB) && other.reserve(20 * MiB), "the other half is the others'");
  assert.deepEqual([nobody.reserve(1), nobody.why], [false, "busy"]);
  other.release();
  assert.deepEqual([first.reserve(1), first.why], [false, "share"]);
  second.release();
  second.release();
  assert.ok(first.reserve(10 * MiB) && nobody.reserve(20 * MiB));
  for (const hold of [first, nobody]) hold.release();
  const long = createHold(1, 30 * MiB);
  assert.deepEqual([long.reserve(30 * MiB), long.reserve(MiB), long.why], [true, false, "share"]);
  long.release();
});

test("what is too much, for the policy or for the isolate, or too late, is given up", async () => {
  assert.equal((await read(body(5_000, 100), { max: 4_999 })).whole, "large");
  assert.equal((await read(body(5_000, 100), { max: 5_000 })).whole.length, 5_000);
  assert.equal((await read(body(70_000, 100), { room: 30_000 })).whole, "busy");
  const never = { body: new ReadableStream({ type: "bytes", pull: () => new Promise(() => {}) }) };
  assert.equal((await read(never, { within: 100 })).whole, "late");
  const broken = { body: new ReadableStream({ type: "bytes", pull: (controller) => controller.error(new Error("cut")) }) };
  assert.equal((await read(broken)).whole, "lost");
});

test("who is known has a share for itself, who is not one with all that nobody knows", () => {
  const half = 20 * 1024 * 1024;
  const holds = [];
  const hold = (...of) => {
    const made = createHold(...of);
    holds.push(made);
    return made;
  };
  const address = (number) => 2 ** 52 + number;
  const mine = hold(1);
  assert.equal(mine.reserve(0), true);
  assert.equal(mine.reserve(half), true);
  assert.deepEqual([mine.reserve(1), mine.why], [false, "share"]);
  // Others have theirs, up to what there is.
  const first = hold(address(1));
  const second = hold(address(2));
  assert.equal(first.reserve(half / 2), true);
  assert.equal(second.reserve(half / 2), true);
  assert.deepEqual([hold(2).reserve(1), holds.at(-1).why], [false, "busy"]);
  mine.release();
  // However many addresses: one more of them gets nothing, a consumer does.
  assert.deepEqual([hold(address(3)).reserve(1), holds.at(-1).why], [false, "busy"]);
  assert.equal(hold(2).reserve(half), true);
  for (const one of holds) one.release();
  assert.equal(hold(address(3)).reserve(half), true);
  for (const one of holds) one.release();
});
