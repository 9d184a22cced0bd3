// What is measured, and of whom.

import { ALGORITHMS } from "./identity.mjs";
import { FIRST_TOKEN, MODEL, PETS, TOKENS, chatBody, longChatBody } from "./payloads.mjs";

const STREAM = { stream: true };
const STREAM_WITH_USAGE = { stream: true, stream_options: { include_usage: true } };

// How requests of one consumer come whose isolates take portions: so many a second, at once, over so many isolates.
const LOADS = [
  { pace: 10, burst: 1, isolates: 1 },
  { pace: 100, burst: 1, isolates: 1 },
  { pace: 1000, burst: 1, isolates: 1 },
  { pace: 100, burst: 16, isolates: 1 },
  { pace: 100, burst: 1, isolates: 8 },
  { pace: 1000, burst: 1, isolates: 8 },
  { pace: 100, burst: 16, isolates: 8 },
];
const leases = ({ pace, burst, isolates }) => ({
  name: `leases-${pace}-${burst}-${isolates}`, group: "leases", kind: "api", paced: { pace, burst, isolates }, counts: true,
  title: `(g) API call under a leased limit, ${pace} a second ${burst > 1 ? `in bursts of ${burst}` : "one by one"}, ` +
    (isolates > 1 ? `over ${isolates} isolates` : "in one isolate"),
  method: "GET", body: () => null, right: (text) => text === PETS,
});

export const CASES = [
  { name: "api", title: "(a) API call", kind: "api", method: "GET", body: () => null, right: (text) => text === PETS },
  { name: "chat", title: "(b) chat, 0.3 KB", kind: "chat", method: "POST", body: (model) => chatBody(model), right: isCompletion },
  { name: "chat-19k", title: "(b) chat, 19 KB", kind: "chat", method: "POST", body: longChatBody, right: isCompletion },
  { name: "stream-usage", title: "(c) stream of 200 chunks, usage asked for", kind: "stream", usage: true,
    method: "POST", body: (model) => chatBody(model, STREAM_WITH_USAGE) },
  { name: "stream", title: "(c) stream of 200 chunks, usage not asked for", kind: "stream", usage: false,
    method: "POST", body: (model) => chatBody(model, STREAM) },
  { name: "paced", title: "(f) API call, so many a second whatever is answered", kind: "api", paced: {}, method: "GET", body: () => null,
    right: (text) => text === PETS },
  ...LOADS.map(leases),
  // The floor of these rows answers what the upstream does, the object what it decided.
  { name: "object", title: "(d) one object of the limiter, asked directly", kind: "api", method: "GET", body: () => null,
    right: (text) => text === "admitted" || text === PETS },
  ...ALGORITHMS.map((alg) => ({ name: `identity-${alg}`, group: "identity", title: `(e) API call, token of ${alg}`, kind: "api",
    method: "GET", body: () => null, right: (text) => text === PETS })),
  { name: "identity-flood", group: "identity", title: "(e) 10,000 bad tokens, none like another", kind: "api", method: "GET",
    body: () => null, right: (text) => text === PETS, refused: true },
];

// One line of the table: a system, perhaps with the token of a certain consumer, and its cases.
export const CONTENDERS = [
  { label: "bare", system: "bare", cases: CASES.filter(({ counts }) => !counts).map(({ name }) => name) },
  // The same duties towards the platform as Turnpike's, and no decision.
  { label: "floor", system: "floor", cases: ["api", "paced", "chat", "chat-19k"] },
  { label: "turnpike, no limit", system: "turnpike", consumer: "bench-none", cases: ["api", "paced"] },
  { label: "turnpike, local limit", system: "turnpike", consumer: "bench-local", cases: ["api", "paced"] },
  { label: "turnpike, leased limit", system: "turnpike", consumer: "bench-leased", cases: ["api", "paced"] },
  { label: "turnpike, exact limit", system: "turnpike", consumer: "bench-exact", cases: ["api", "paced"] },
  { label: "turnpike, exact, written", system: "turnpike", consumer: "bench-written", cases: ["api", "paced"] },
  { label: "turnpike, exact, 8 objects", system: "turnpike", consumer: "bench-split", cases: ["api", "paced"] },
  { label: "turnpike, leased limit", system: "portions", consumer: "bench-leased",
    cases: CASES.filter(({ counts }) => counts).map(({ name }) => name) },
  { label: "object, in memory", system: "object", consumer: "bench-exact", cases: ["object"] },
  { label: "object, written", system: "object", consumer: "bench-written", cases: ["object"] },
  { label: "turnpike", system: "turnpike", consumer: "bench-local", cases: ["chat", "chat-19k", "stream-usage", "stream"] },
  // Sent again and again, or each once before it comes again when it is long forgotten.
  ...ALGORITHMS.flatMap((alg) => [
    { label: "turnpike, repeated token", system: "turnpike", repeated: alg, cases: [`identity-${alg}`] },
    { label: "turnpike, fresh tokens", system: "turnpike", ring: `fresh ${alg}`, cases: [`identity-${alg}`] },
  ]),
  ...["wrong signature", "wrong MAC", "unknown key", "no token"].map((ring) => (
    { label: `turnpike, ${ring}`, system: "turnpike", ring, cases: ["identity-flood"] })),
  { label: "portkey (Node)", system: "portkey", cases: ["chat", "chat-19k", "stream-usage", "stream"] },
  { label: "litellm", system: "litellm", cases: ["chat", "chat-19k", "stream-usage", "stream"] },
];

export { MODEL };

function isCompletion(text) {
  const { choices, usage } = JSON.parse(text);
  return choices[0].message.content.startsWith("The gate opens") && usage.total_tokens === 259;
}

// What is wrong with a stream that has ended; null when nothing is.
export function faultOfStream(text, usageAsked) {
  if (!text.trimEnd().endsWith("data: [DONE]")) return "no terminator";
  let content = "";
  let usage = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith("data: {")) continue;
    const chunk = JSON.parse(line.slice(6));
    content += chunk.choices?.[0]?.delta?.content ?? "";
    if (chunk.usage) usage++;
  }
  if (content !== TOKENS.join("")) return "not the content that was sent";
  if (usageAsked && usage === 0) return "no usage, though asked for";
  if (!usageAsked && usage > 0) return "usage, though not asked for";
  return null;
}

export const isFirstToken = (bytes) => bytes.includes(FIRST_TOKEN);
