// The object that keeps a subject's limits: it stores bytes and does what the core decides. Each
// call is one synchronous turn, so no other call comes between reading and writing; the platform
// holds the answer back until what was written is durable.

import { DurableObject } from "cloudflare:workers";
import { createGrant } from "./grant.js";

const KEY = "state";
// Where the object of a grant, which is never that of a subject, keeps its token.
const TOKEN = "token";

export function createMeter(core, log) {
  return class Meter extends DurableObject {
    #state = null;
    #grant = null;

    // A token of a grant: see `createGrant`.
    token(grant, refused) {
      const { kv } = this.ctx.storage;
      const store = {
        get: () => kv.get(TOKEN) ?? null,
        put: (token) => {
          kv.put(TOKEN, token);
          // What has ended is forgotten.
          if (token !== null) this.ctx.storage.setAlarm(token.good);
        },
      };
      this.#grant ??= createGrant(store, this.env, core.now, log);
      return this.#grant.token(grant, refused);
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
      const { good } = this.ctx.storage.kv.get(TOKEN) ?? { good: 0 };
      if (good > core.now()) {
        await this.ctx.storage.setAlarm(good);
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
