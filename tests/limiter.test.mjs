// What limits are worth when their objects fail, when there are several isolates, and when a subject has several
// objects. The entry is the Worker eight times, with objects that fail when they are told to.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { key, startE2e } from "./harness/e2e.mjs";
import { parseList } from "./harness/fields.mjs";
import { PORTS, completion, json, startUpstream } from "./harness/upstream.mjs";

const DAY = 24 * 60 * 60 * 1000;
const ISOLATES = 8;
// What a call of 200 bytes reserves: its bytes, what a provider may put around them, and its answer.
const RESERVED = 200 + 512 + 100;
const TOKENS = 30_100;
let day = Date.UTC(2042, 4, 6, 9);

let gateway;
let upstream;
before(async () => {
  upstream = await startUpstream(PORTS.chat, null);
  gateway = await startE2e({ entry: "tests/harness/entry-limiter.js" });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
// Each test has a day, and so a window, of its own.
beforeEach(async () => {
  day += DAY;
  await gateway.clock(day);
  await calls();
});
afterEach(() => fails("throw", 0));

const fails = (fault, count) => gateway.fetch(`/__meter?fault=${fault}&count=${count}`);
const seen = async () => (await gateway.fetch("/__meter")).json();
const calls = async () => (await seen()).calls;
const restart = (name) => gateway.fetch(`/__meter?restart=${encodeURIComponent(name)}`);

let addresses = 0;
async function pets(as, isolate = 0) {
  const response = await gateway.fetch("/petstore/v2/pets", {
    headers: {
      "x-api-key": key(as),
      "x-test-isolate": String(isolate),
      "cf-connecting-ip": `203.0.113.${1 + (addresses++ % 250)}`,
    },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) };
}
// So many at once, spread over the isolates; how many passed.
async function flood(as, count, isolates = ISOLATES) {
  const answers = await Promise.all(Array.from({ length: count }, (_, i) => pets(as, i % isolates)));
  for (const { status, body } of answers) if (status !== 200) assert.equal(status, 429, JSON.stringify(body));
  return answers.filter(({ status }) => status === 200).length;
}

async function ask(as = "tokens", { model = "priced", isolate = 0 } = {}) {
  const build = (content) => JSON.stringify({ model, messages: [{ role: "user", content }] });
  const response = await gateway.fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": key(as), "x-test-isolate": String(isolate) },
    body: build("x".repeat(200 - build("").length)),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) };
}
const used = (tokens) => (request, response) => {
  json(response, completion("priced-model", "ok", { prompt_tokens: tokens, completion_tokens: 0, total_tokens: tokens }));
};
// What is left of the tokens of the day when all is settled; the call that finds out is not charged.
async function left(as, reserved = RESERVED) {
  const before = upstream.answer;
  upstream.answer = (request, response) => json(response, { error: { message: "no", type: "invalid_request_error" } }, 400);
  await sleep(100);
  const answer = await ask(as);
  assert.equal(answer.status, 400, JSON.stringify(answer.body));
  upstream.answer = before;
  await sleep(100);
  return parseList(answer.headers.get("ratelimit"))[0].r + reserved;
}

describe("an object that fails", () => {
  for (const [fault, asks] of [["throw", 2], ["lose", 2], ["overload", 1]]) {
    test(`on_error, when it does ${fault}: closed refuses and says when to come again, open passes and says so in the log`, async () => {
      await fails(fault, 2 * asks);
      const closed = await pets("closed");
      assert.deepEqual([closed.status, closed.body.code, closed.headers.get("retry-after")], [503, "limiter_unavailable", "1"]);
      const open = await pets("open");
      assert.equal(open.status, 200);
      assert.equal((await gateway.line(open.headers.get("x-request-id"))).unlimited, true);
      // Once more, and no more than that; and never who has too much to do.
      assert.deepEqual(await calls(), { "consumer:closed": asks, "consumer:open": asks });
      assert.equal((await pets("closed")).status, 200, "the next one is asked anew");
    });
  }

  for (const fault of ["throw", "lose"]) {
    test(`fails once, when it does ${fault}: it is asked once more, and charges once`, async () => {
      upstream.answer = used(10);
      const before = await left();
      await fails(fault, 1);
      assert.equal((await ask()).status, 200);
      await sleep(100);
      assert.equal(await left(), before - 10);
      await fails(fault, 1);
      const [first] = parseList((await pets("closed")).headers.get("ratelimit"));
      const [second] = parseList((await pets("closed")).headers.get("ratelimit"));
      assert.equal(second.r, first.r - 1);
    });
  }

  test("hangs: it is waited for as long as a decision may take, and no longer", async () => {
    await fails("hang", 2);
    const began = Date.now();
    const [closed, open] = await Promise.all([pets("closed"), pets("open")]);
    const took = Date.now() - began;
    assert.deepEqual([closed.status, open.status], [503, 200]);
    assert.ok(took >= 4_900 && took < 6_800, `${took} ms`);
    assert.equal((await pets("closed")).status, 200);
  });

  for (const fault of ["hang", "late"]) {
    test(`does not decide a reservation in time (${fault}): closed calls nothing, and nothing of it stays reserved`, async () => {
      upstream.answer = used(10);
      const before = upstream.requests.length;
      await fails(fault, 1);
      const began = Date.now();
      const answer = await ask();
      const took = Date.now() - began;
      assert.deepEqual([answer.status, answer.body.error.code, answer.headers.get("retry-after")], [503, "limiter_unavailable", "1"]);
      assert.ok(took >= 4_900 && took < 6_800, `${took} ms`);
      assert.equal(upstream.requests.length, before);
      assert.equal(await left(), TOKENS, "it was taken back at once");
      // What comes when it was taken back is not charged.
      await sleep(3_000);
      assert.equal(await left(), TOKENS);
    });
  }

  test("does not decide a reservation in time: open calls, says so in the log, and is charged what it used", async () => {
    upstream.answer = used(10);
    assert.equal(await left("lenient"), TOKENS);
    await fails("hang", 1);
    const answer = await ask("lenient");
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const line = await gateway.line(answer.headers.get("x-request-id"));
    assert.deepEqual([line.unlimited, line.usage.input_tokens], [true, 10]);
    assert.equal(await left("lenient"), TOKENS - 10);
  });

  test("hangs when it is told what was used: nobody waits, and the books balance", async () => {
    const before = await left();
    upstream.answer = async (request, response) => {
      await fails("hang", 1);
      used(10)(request, response);
    };
    const began = Date.now();
    assert.equal((await ask()).status, 200);
    assert.ok(Date.now() - began < 2_000, "its client has the answer");
    assert.equal(await left(), before - 10);
  });

  test("is told what was used when the time for it is over: the reservation is charged in full, and stays so", async () => {
    const before = await left();
    upstream.answer = async (request, response) => {
      await fails("late", 1);
      used(10)(request, response);
    };
    assert.equal((await ask()).status, 200);
    // Longer than a call of this model may take to settle.
    await gateway.clock(day + 15 * 60 * 1000);
    await sleep(7_500);
    assert.equal(await left(), before - RESERVED);
  });

  test("loses the answer of a reservation: nothing is called, and what was reserved is given back", async () => {
    upstream.answer = used(10);
    const before = upstream.requests.length;
    await fails("lose", 2);
    const answer = await ask();
    assert.deepEqual([answer.status, answer.body.error.code], [503, "limiter_unavailable"]);
    assert.equal(upstream.requests.length, before);
    assert.equal(await left(), TOKENS);
  });

  test("fails once when it is told what was used: it is told again, and the books balance", async () => {
    for (const fault of ["throw", "lose"]) {
      const before = await left();
      upstream.answer = async (request, response) => {
        await fails(fault, 1);
        used(10)(request, response);
      };
      assert.equal((await ask()).status, 200);
      assert.equal(await left(), before - 10, fault);
    }
  });

  test("has too much to do when it is told what was used: it is not told again, and the reservation stays charged", async () => {
    const before = await left();
    upstream.answer = async (request, response) => {
      await calls();
      await fails("overload", 1);
      used(10)(request, response);
    };
    assert.equal((await ask()).status, 200);
    await sleep(300);
    assert.deepEqual(await calls(), { "consumer:tokens": 1 });
    assert.equal(await left(), before - RESERVED);
  });

  test("fails for good when it is told what was used: the reservation is charged in full, and stays so", async () => {
    upstream.answer = async (request, response) => {
      await fails("throw", 2);
      used(10)(request, response);
    };
    assert.equal((await ask()).status, 200);
    assert.equal(await left(), TOKENS - RESERVED);
    await gateway.clock(day + 3 * 60 * 60 * 1000);
    assert.equal(await left(), TOKENS - RESERVED);
    assert.ok(gateway.logs.some(({ event }) => event === "settlement_lost"));
  });

  test("restarts between a reservation and its settlement: the reservation is kept, and settled", async () => {
    let held = 0;
    upstream.answer = async (request, response) => {
      held += 1;
      // What begins from here on, begins after a reservation. Restarts at the same time may be one.
      if (held === 1) await calls();
      // What is reserved is known after the restart too: nobody else gets it.
      await restart("consumer:tokens");
      used(10)(request, response);
    };
    const answers = await Promise.all(Array.from({ length: 5 }, ask));
    assert.deepEqual(answers.map(({ status }) => status).filter((status) => ![200, 503].includes(status)), []);
    const passed = answers.filter(({ status }) => status === 200).length;
    assert.ok(passed >= 1 && held >= passed, `${passed}`);
    const rest = await left();
    assert.equal(rest, TOKENS - 10 * held, "each is charged what it used");
    assert.ok((await seen()).begun["consumer:tokens"] >= 1, "it was restarted");
  });

  test("restarts between calls: a budget of tokens or money outlives its memory, to the last unit, and ends with its day", async () => {
    const budgets = [
      ["tokens", TOKENS, RESERVED, 40],
      // At 2 USD for a million of input, and 10 of output.
      ["spender", 90_000_000, 712 * 2_000 + 100 * 10_000, 40 * 2_000],
    ];
    upstream.answer = used(40);
    for (const [as, limit, reserved, each] of budgets) {
      const name = `consumer:${as}`;
      const kept = async () => {
        await seen();
        await restart(name);
        const rest = await left(as, reserved);
        assert.ok((await seen()).begun[name] >= 1, "it was restarted");
        return rest;
      };
      assert.equal(await left(as, reserved), limit);
      for (let made = 1; made <= 3; made++) {
        assert.equal((await ask(as)).status, 200);
        await sleep(100);
        assert.equal(await kept(), limit - made * each, `${as}: ${made}`);
      }
      // All that is left may be used, and no more: three restarts opened nothing.
      const fits = Math.floor((limit - 3 * each) / reserved);
      let made = 0;
      let refused = 0;
      let release;
      const decided = new Promise((resolve) => { release = resolve; });
      const count = () => { if (made + refused === fits + 20) release(); };
      upstream.answer = async (request, response) => {
        made += 1;
        count();
        await decided;
        used(40)(request, response);
      };
      await restart(name);
      const answers = await Promise.all(Array.from({ length: fits + 20 }, async () => {
        const { status } = await ask(as);
        if (status === 429) refused += 1;
        count();
        return status;
      }));
      upstream.answer = used(40);
      assert.deepEqual([made, refused, answers.filter((status) => status === 200).length], [fits, 20, fits]);
      await sleep(200);
      assert.equal(await kept(), limit - (3 + fits) * each, `${as}: all`);
    }
    await gateway.clock(day + DAY);
    for (const [as, limit, reserved] of budgets) {
      await restart(`consumer:${as}`);
      assert.equal(await left(as, reserved), limit);
    }
    day += DAY;
  });

  test("restarts all the time under a rate: never more than the limit passes, and hardly less", async () => {
    let passed = 0;
    for (let i = 0; i < 15; i++) {
      const [one] = await Promise.all([flood("minute-a", 10), sleep(5)]);
      passed += one;
      await restart("consumer:minute-a");
    }
    // Each restart may lose what was stored ahead: what the rate emits in a second.
    assert.ok(passed <= 100 && passed >= 60, `${passed}`);
    assert.ok((await seen()).begun["consumer:minute-a"] >= 10, "it was restarted");
  });
});

test("an object of which nothing is owed any more leaves nothing behind", async () => {
  const name = "consumer:minute-b";
  const kept = async () => (await gateway.fetch(`/__meter?kept=${encodeURIComponent(name)}`)).json();
  // Alarms go by the platform's clock: so it is ten minutes ago, less what this test waits.
  const now = Date.now();
  await gateway.clock(now - 599_000);
  for (let i = 0; i < 3; i++) assert.equal((await pets("minute-b")).status, 200);
  assert.equal(await kept(), 2, "what is owed, and the alarm");
  await gateway.clock(now + 60_000);
  const until = Date.now() + 20_000;
  while ((await kept()) > 0 && Date.now() < until) await sleep(200);
  assert.equal(await kept(), 0);
  assert.equal(parseList((await pets("minute-b")).headers.get("ratelimit"))[0].r, 99, "as if it had never been");
});

describe("eight isolates that take portions in advance", () => {
  test("of a rate, 1,022 requests at once: never more than the limit, in any interval", async () => {
    let passed = await flood("leased", 1022);
    assert.ok(passed <= 600 && passed >= 450, `${passed}`);
    for (const seconds of [1, 2, 5, 20]) {
      await gateway.clock(day + seconds * 1000);
      passed += await flood("leased", 300);
      assert.ok(passed <= 600 + 10 * seconds, `${passed} after ${seconds} s`);
    }
  });

  test("of 100 a minute in real time, 1,022 requests at once: never more than 100 and what flows back meanwhile", async (t) => {
    await gateway.clock();
    const began = Date.now();
    const passed = await flood("leased-minute", 1022);
    const elapsed = (Date.now() - began) / 1000;
    t.diagnostic(`${passed} passed in ${elapsed} s`);
    // What isolates have taken in advance and not spent is nobody else's.
    assert.ok(passed <= 100 + Math.ceil((elapsed * 100) / 60) && passed >= 50, `${passed} in ${elapsed} s`);
  });

  test("of 100 a minute, 1,022 requests at once: never more than 100, and no more later than what flows back", async () => {
    let passed = await flood("leased-minute", 1022);
    assert.ok(passed <= 100 && passed >= 50, `${passed}`);
    for (const seconds of [1, 3, 6, 20, 45]) {
      await gateway.clock(day + seconds * 1000);
      passed += await flood("leased-minute", 160);
      assert.ok(passed <= 100 + Math.floor((seconds * 100) / 60), `${passed} after ${seconds} s`);
    }
    await gateway.clock(day + 120_000);
    const later = await flood("leased-minute", 1022);
    assert.ok(later <= 100 && later >= 50, `${later} when all is paid`);
  });

  test("of a quota of 37, 200 calls at once whose upstream is held: never more, and each of the 37 is found", async () => {
    let made = 0;
    let refused = 0;
    let release;
    const decided = new Promise((resolve) => { release = resolve; });
    const count = () => { if (made + refused === 200) release(); };
    upstream.answer = async (request, response) => {
      made += 1;
      count();
      // Nobody is answered before all are decided.
      await decided;
      used(10)(request, response);
    };
    const callFrom = async (isolate) => {
      const { status, body } = await ask("leased-few", { model: "plain", isolate });
      if (status === 200) return true;
      assert.deepEqual([status, body.error.code], [429, "quota_exceeded"]);
      refused += 1;
      count();
      return false;
    };
    const several = async (number) => {
      const all = await Promise.all(Array.from({ length: number }, (_, i) => callFrom(i % ISOLATES)));
      return all.filter(Boolean).length;
    };
    let passed = await several(200);
    assert.equal(passed, made, "who is not refused is called for, once");
    // Two each of eight isolates may be taken and not spent.
    assert.ok(passed <= 37 && passed >= 21, `${passed}`);
    upstream.answer = used(10);
    for (let round = 1; round <= 4; round++) {
      await gateway.clock(day + round * 3000);
      passed += await several(40);
      assert.ok(passed <= 37, `${passed}`);
    }
    assert.equal(passed, 37);
    const page = await gateway.fetch("/_turnpike/limits", { headers: { "x-api-key": key("leased-few") } });
    const { limits } = await page.json();
    assert.deepEqual(limits.map(({ limit, remaining }) => [limit, remaining]), [[37, 0]]);
  });

  test("of a quota: what one does not use the others get, to the last request and no further", async () => {
    let passed = 0;
    for (let second = 0; second < 24; second++) {
      await gateway.clock(day + second * 1500);
      // The load moves from isolate to isolate.
      const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => pets("portions", (second + (i % 3)) % ISOLATES)));
      passed += answers.filter(({ status }) => status === 200).length;
      assert.ok(passed <= 1000, `${passed}`);
    }
    for (let round = 0; round < 3; round++) {
      await gateway.clock(day + 60_000 + round * 3000);
      passed += await flood("portions", 80);
    }
    assert.equal(passed, 1000);
  });

  test("one after another: most ask nobody", async () => {
    await calls();
    for (let i = 0; i < 200; i++) assert.equal((await pets("leased", i % 2)).status, 200);
    const asked = (await calls())["consumer:leased"];
    assert.ok(asked < 40, `${asked} of 200`);
  });
});

describe("a subject with several objects", () => {
  const own = (asked) => Object.entries(asked).filter(([name]) => name.startsWith("consumer:hot|shard:"));

  test("1,022 requests at once against 800 a minute over eight: never more, and all of them are found", async () => {
    const passed = await flood("hot", 1022);
    const asked = own(await calls());
    assert.equal(asked.length, 8);
    assert.ok(asked.every(([, count]) => count < 300), JSON.stringify(asked));
    assert.ok(passed <= 800 && passed >= 780, `${passed}`);
    const rest = await flood("hot", 400);
    assert.ok(passed + rest <= 800, `${passed} and ${rest}`);
    await gateway.clock(day + 60_000 + 600);
    const later = await flood("hot", 1022);
    assert.ok(later <= 800 && later >= 780, `${later}`);
  });

  test("one that fails is not followed by another, and the others go on", async () => {
    await fails("throw", 2);
    const failed = await pets("hot");
    assert.deepEqual([failed.status, failed.body.code], [503, "limiter_unavailable"]);
    assert.equal(own(await calls()).length, 1, "the same one twice");
    const passed = await flood("hot", 400);
    assert.equal(passed, 400);
  });
});
