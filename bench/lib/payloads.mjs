// What is asked and what is answered. No apostrophe and no dollar sign: nginx is given these texts
// inside its configuration.

export const MODEL = "fast";
export const CHUNKS = 200;
export const API_PATH = "/petstore/v1/pets";
export const CHAT_PATH = "/v1/chat/completions";

export const PETS = JSON.stringify([
  { id: 1, name: "Rex", tag: "dog", status: "available", born: "2024-03-11", keeper: "north" },
  { id: 2, name: "Tom", tag: "cat", status: "available", born: "2023-07-02", keeper: "north" },
  { id: 3, name: "Kit", tag: "fox", status: "reserved", born: "2025-01-19", keeper: "south" },
  { id: 4, name: "Ada", tag: "owl", status: "available", born: "2022-11-30", keeper: "south" },
]);

const USAGE = {
  prompt_tokens: 61,
  completion_tokens: 198,
  total_tokens: 259,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
};
const ID = "chatcmpl-Bench00000000000000000001";
const CREATED = 1_790_000_000;
const SERVED = "fast-2026-08-01";

export const COMPLETION = JSON.stringify({
  id: ID,
  object: "chat.completion",
  created: CREATED,
  model: SERVED,
  choices: [{
    index: 0,
    message: { role: "assistant", content: "The gate opens at nine and closes at dusk. ".repeat(4).trim(), refusal: null },
    logprobs: null,
    finish_reason: "stop",
  }],
  usage: USAGE,
  service_tier: "default",
  system_fingerprint: "fp_bench",
});

// The tokens of a stream: the first of its 200 chunks has the role, the last the reason of the end.
export const TOKENS = Array.from({ length: CHUNKS - 2 }, (_, i) => ` word${i}`);
export const FIRST_TOKEN = TOKENS[0];

// The events of a stream, as texts: 200 chunks, the usage when it was asked for, the terminator.
export function streamEvents(withUsage) {
  const event = (choices, usage) => {
    const chunk = { id: ID, object: "chat.completion.chunk", created: CREATED, model: SERVED,
      service_tier: "default", system_fingerprint: "fp_bench", choices };
    if (withUsage) chunk.usage = usage;
    return `data: ${JSON.stringify(chunk)}\n\n`;
  };
  const delta = (content, finish = null) => event([{ index: 0, delta: content, logprobs: null, finish_reason: finish }], null);
  return [
    delta({ role: "assistant", content: "", refusal: null }),
    ...TOKENS.map((content) => delta({ content })),
    delta({}, "stop"),
    ...(withUsage ? [event([], USAGE)] : []),
    "data: [DONE]\n\n",
  ];
}

const QUESTION = "When does the gate open, when does it close, and who may pass it after dusk? Answer in two sentences, please.";

export function chatBody(model, extra = {}) {
  return JSON.stringify({
    model,
    messages: [
      { role: "system", content: "You answer questions about the gate, briefly and to the point." },
      { role: "user", content: QUESTION },
    ],
    temperature: 0.2,
    max_tokens: 256,
    ...extra,
  });
}

// A conversation of some length: 19 KB.
export function longChatBody(model) {
  const turns = [];
  for (let i = 0; i < 32; i++) {
    turns.push({
      role: i % 2 === 0 ? "user" : "assistant",
      content: `Turn ${i}: ${"it was said \"at nine\", then again at ten;\nthe keeper wrote it down, twice. ".repeat(7)}`,
    });
  }
  return JSON.stringify({
    model,
    messages: [{ role: "system", content: "You answer questions about the gate." }, ...turns, { role: "user", content: QUESTION }],
    temperature: 0.2,
    max_tokens: 256,
  });
}
