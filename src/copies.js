// Copies of what issuers publish, key sets and metadata, that the isolates of one point of presence share through the
// platform's cache. The core says how old a copy may be, and which answer is worth sharing; its age counts from when
// the issuer was asked. A cache that fails, or is not there (on workers.dev it keeps nothing), is as if it were empty.

// A cache of its own: what `fetch` keeps of a zone lies elsewhere.
const CACHE = "turnpike-issuers";
// How long the cache may take, in milliseconds, and how long it keeps a copy, in seconds (`STALE` in
// crates/engine/src/identify/key_store.rs).
const WITHIN = 500;
const KEPT = 60 * 60;
const FETCHED = "x-turnpike-fetched";

// A key is a URL that nobody serves; the URL that was fetched is all of what it says.
const keyOf = (url) => `https://issuers.turnpike.invalid/1/${encodeURIComponent(url)}`;

async function inTime(work) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(() => resolve(null), WITHIN); });
  try {
    return await Promise.race([work(), late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

// A copy of at most so many bytes with its age in milliseconds, at least 1; or null.
export function copyOf(url, max, now) {
  return inTime(async () => {
    const kept = await (await caches.open(CACHE)).match(keyOf(url));
    if (kept === undefined) return null;
    const fetched = Number.parseInt(kept.headers.get(FETCHED), 10);
    const bytes = new Uint8Array(await kept.arrayBuffer());
    const age = now() - fetched;
    // One from the future tells nothing of its age.
    return age >= 0 && bytes.length <= max ? { bytes, age: Math.max(1, Math.round(age)) } : null;
  });
}

// Shares an answer that was asked for at a time.
export function share(url, bytes, fetched) {
  return inTime(async () => {
    const headers = { "cache-control": `max-age=${KEPT}`, "content-type": "application/json", [FETCHED]: String(fetched) };
    await (await caches.open(CACHE)).put(keyOf(url), new Response(bytes, { headers }));
  });
}
