// One timer for all that a request waits for, one thing after another: setting and clearing a timer for
// each costs more than most decisions do. It is set once, to a moment that is soon over, and looks then
// whether what is waited for is late; a request that is answered sooner pays for one timer.

// When it looks for the first time, in milliseconds; each later look is twice as far away.
const SOON = 1000;

export function createWatch() {
  let timer = null;
  let fires = 0;
  let pause = SOON;
  let due = 0;
  let expire = null;

  function arm(now) {
    fires = Math.min(due, now + pause);
    timer = setTimeout(look, Math.max(1, fires - now));
  }

  function look() {
    timer = null;
    if (expire === null) return;
    const now = Date.now();
    // A clock and a timer may differ by a moment.
    if (due - now > 1) {
      pause *= 2;
      arm(now);
      return;
    }
    const late = expire;
    expire = null;
    late();
  }

  return {
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
