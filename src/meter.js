// The object that keeps a subject's limits: it stores bytes and does what the core decides. Each
// call is one synchronous turn, so no other call comes between reading and writing; the platform
// holds the answer back until what was written is durable.

import { DurableObject } from "cloudflare:workers";
import { createGrant } from "./grant.js";

const KEY = "state";
// Where the object of a grant, which is never that of a subject, keeps its token.
const TOKEN = "token";
// The least time until an alarm of a grant, in milliseconds.
const SELDOM = 10_000;

export function createMeter(core, log) {
  return class Meter extends DurableObject {
    #state = null;
    #grant = null;

    // A token of a grant: see `createGrant`. An older version's method has another name: its questions are others.
    granted(asked) {
      const { kv } = this.ctx.storage;
      const store = {
        get: () => kv.get(TOKEN) ?? null,
        put: (state) => {
          kv.put(TOKEN, state);
          this.#forget(state);
        },
      };
      this.#grant ??= createGrant(store, core.now, log);
      return this.#grant.token(asked);
    }

    // What is over of a grant is forgotten, and looked after no more often than once a while.
    #forget({ good, resting, doubted }) {
      return this.ctx.storage.setAlarm(Math.max(good, resting, doubted, Date.now() + SELDOM));
    }

    #load() {
      if (this.#state !== null) return { bytes: this.#state, stored: false };
      const stored = this.ctx.storage.kv.get(KEY) ?? null;
      return { bytes: stored, stored: stored !== null };
    }

    // Decides an ask (bytes) and answers it (bytes).
    decide(ask) {
      const { bytes, stored } = this.#load();
      const decided = core.meter(bytes, stored, ask);
      if (decided.persist !== null) {
        this.#state = null;
        this.ctx.storage.kv.put(KEY, decided.persist);
        if (decided.alarm > 0) this.ctx.storage.setAlarm(decided.alarm);
      }
      this.#state = decided.state;
      return decided.answer;
    }

    async alarm() {
      const granted = this.ctx.storage.kv.get(TOKEN);
      if (granted !== undefined && Math.max(granted.good, granted.resting, granted.doubted) > core.now()) {
        await this.#forget(granted);
        return;
      }
      const { bytes, stored } = this.#load();
      const again = bytes === null ? 0 : core.meterAlarm(bytes, stored);
      if (again > 0) {
        await this.ctx.storage.setAlarm(again);
        return;
      }
      this.#state = null;
      await this.ctx.storage.deleteAll();
    }
  };
}
