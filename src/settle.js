// Settling: objects are told what a request really used of what was reserved for it.
//
// One is told once more when it could not be reached. If it is not told at all, what was reserved is charged
// in full: nothing is lost but the difference.

export function settle(settled, { env, ctx }, log) {
  for (const { object, ask } of settled) {
    const tell = () => env.METER.getByName(object).decide(ask);
    const told = tell()
      .catch((error) => {
        // Who has too much to do gets no more of it.
        if (error?.overloaded === true) throw error;
        return tell();
      })
      .catch((error) => log(JSON.stringify({ event: "settlement_lost", message: String(error) })));
    ctx.waitUntil(told);
  }
}

// Tells those at once of whom no place was taken. The others are told when the answer has its last byte: they are
// what is returned.
export function settleNow(settled, call, log) {
  settle(settled.filter(({ place }) => !place), call, log);
  return settled.filter(({ place }) => place);
}
