// What is left of a gateway when nothing is decided: the same duties towards the platform as Turnpike has
// (named headers forwarded, a timeout, headers of the answer filtered and some set, a log line, carried on
// when the client leaves; of a model's call the body and the answer are read), and fixed texts where a
// decision would be. What Turnpike costs above this, it decides for; the rest is the platform's price for
// being more than a pass-through.

const FORWARDED = ["accept", "content-type", "idempotency-key"];
const PASSED = new Set(["cache-control", "content-type", "etag", "last-modified", "location", "retry-after", "vary"]);
const LINE = JSON.stringify({ event: "request", padding: "x".repeat(420) });
const WITHIN = 30_000;

function forwarded(request) {
  const headers = {
    "x-request-id": "0af7651916cd43dd8448eb211c80319c",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
  };
  for (const name of FORWARDED) {
    const value = request.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}

function answer(response, body) {
  const headers = {
    "x-request-id": "0af7651916cd43dd8448eb211c80319c",
    "ratelimit-policy": '"local:rate-1s";q=1000000;w=1',
    ratelimit: '"local:rate-1s";r=999999;t=1',
  };
  response.headers.forEach((value, name) => {
    if (PASSED.has(name)) headers[name] = value;
  });
  return new Response(body, { status: response.status, headers });
}

export default {
  async fetch(request, env, ctx) {
    const model = request.url.endsWith("/completions");
    let done = null;
    if (model) ctx.waitUntil(new Promise((resolve) => { done = resolve; }));
    const init = {
      method: request.method,
      headers: forwarded(request),
      body: model ? new Uint8Array(await request.arrayBuffer()) : null,
      redirect: "manual",
      cache: "no-store",
    };
    const response = await new Promise((resolve, reject) => {
      const timer = setTimeout(reject, WITHIN, new Error("late"));
      const answered = fetch(request.url, init).then((response) => {
        clearTimeout(timer);
        resolve(response);
      });
      if (!model) ctx.waitUntil(answered);
    });
    const body = model ? new Uint8Array(await response.arrayBuffer()) : response.body;
    console.log(LINE);
    const answered = answer(response, body);
    if (done !== null) done();
    return answered;
  },
};
