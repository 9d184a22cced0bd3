// HTTP as it is written, where fetch would not send it or would not show it.
//
//   const answer = await raw(gateway.url, { method, path, headers, body });
//   answer.status, answer.headers, answer.rawHeaders, answer.body (Buffer), answer.json()
//   answer.headTime, answer.bodyTime   // when they came, by performance.now()
//
//   const call = open(gateway.url, { method, path, headers });   // to send and read step by step
//   call.request   // node:http's ClientRequest: write, end, destroy
//   call.response  // a promise of node:http's IncomingMessage

import { request as http } from "node:http";

export function open(base, { method = "GET", path = "/", headers = {} } = {}) {
  const { hostname, port } = new URL(base);
  // The path goes out as it is: no dot segment is resolved, nothing is encoded.
  const request = http({ hostname, port, method, path, headers, agent: false });
  const response = new Promise((resolve, reject) => {
    request.on("response", resolve);
    request.on("error", reject);
  });
  // Whoever does not look at it shall not be ended by it.
  response.catch(() => {});
  return { request, response };
}

export async function raw(base, { body, ...options } = {}) {
  const { request, response } = open(base, options);
  request.end(body);
  const answer = await response;
  const headTime = performance.now();
  const chunks = [];
  for await (const chunk of answer) chunks.push(chunk);
  const whole = Buffer.concat(chunks);
  return {
    status: answer.statusCode,
    headers: answer.headers,
    rawHeaders: answer.rawHeaders,
    body: whole,
    headTime,
    bodyTime: performance.now(),
    json: () => JSON.parse(whole.toString("utf8")),
  };
}
