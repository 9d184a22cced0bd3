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
