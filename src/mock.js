// Scripted answers, played as if they came from an upstream: the rest of the road cannot tell.

const CLOSE = 0;
const LOSE = 1;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Plays a scripted answer; null when its head would come too late.
export async function play({ status, set, pieces, end, within }) {
  const headers = {};
  for (let i = 0; i < set.length; i += 2) headers[set[i]] = set[i + 1];
  const streams = headers["content-type"].startsWith("text/event-stream");
  // What does not stream sends its head when it is whole.
  const wait = streams || pieces.length === 0 ? 0 : pieces[0].wait;
  if (wait > within) {
    await sleep(within);
    return null;
  }
  if (wait > 0) {
    await sleep(wait);
    pieces[0].wait = 0;
  }
  if (!streams && end === CLOSE && pieces.length === 1) {
    return new Response(pieces[0].bytes, { status, headers });
  }
  let next = 0;
  const body = new ReadableStream({
    async pull(controller) {
      if (next < pieces.length) {
        const piece = pieces[next++];
        if (piece.wait > 0) await sleep(piece.wait);
        if (piece.bytes.length > 0) controller.enqueue(piece.bytes);
        return;
      }
      if (end === CLOSE) controller.close();
      else if (end === LOSE) controller.error(new Error("the script loses the connection here"));
      else await new Promise(() => {});
    },
  });
  return new Response(body, { status, headers });
}
