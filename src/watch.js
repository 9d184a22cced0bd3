// One timer for all that a request waits for, one thing after another: setting and clearing a timer for
// each costs more than most decisions do. It is set once, to a moment that is soon over, and looks then
// whether what is waited for is late; a request that is answered sooner pays for one timer.

// When it looks for the first time, in milliseconds; each later look is twice as far away, up to the second.
const SOON = 1000;
const SELDOM = 4000;
// How long is waited for a client that has left, in milliseconds, from when that was seen; the platform allows
// 30 s from when it left.
const LAST = 20_000;

// `left` says whether the client has left: whatever is waited for then is waited for no longer than `LAST`.
export function createWatch(left) {
  let timer = null;
  let gone = false;
  let last = Infinity;
  let fires = 0;
  let pause = SOON;
  let due = 0;
  let expire = null;

  function arm(now) {
    fires = Math.min(due, last, now + pause);
    timer = setTimeout(look, Math.max(1, fires - now));
  }

  function look() {
    timer = null;
    if (expire === null) return;
    const now = Date.now();
    if (last === Infinity && left()) last = now + LAST;
    gone = last - now <= 1;
    // A clock and a timer may differ by a moment.
    if (due - now > 1 && !gone) {
      pause = Math.min(pause * 2, SELDOM);
      arm(now);
      return;
    }
    const late = expire;
    expire = null;
    late();
  }

  return {
    // Whether nobody waits any more for what is waited for.
    gone: () => gone,
    // Calls `late`, once, when so many milliseconds are over before `over` is called.
    within(ms, late) {
      const now = Date.now();
      due = now + ms;
      expire = late;
      if (timer !== null && fires > due) {
        clearTimeout(timer);
        timer = null;
      }
      if (timer === null) arm(now);
    },
    // What was waited for has come.
    over() {
      expire = null;
    },
    // Nothing will be waited for any more.
    stop() {
      expire = null;
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
