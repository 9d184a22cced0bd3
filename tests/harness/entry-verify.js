// verify() of src/crypto.js in the runtime of the Worker, and nothing around it. Nothing of this is part of a build
// that is deployed.
//
//   POST /  a list of steps as the core tells them, { algorithm, key, input, signature } with the signature in
//           base64: what verify() says of each, in a list

import { verify } from "../../src/crypto.js";

const encoder = new TextEncoder();
const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

export default {
  async fetch(request) {
    const said = [];
    for (const { input, signature, ...step } of await request.json()) {
      said.push(await verify({ ...step, input: encoder.encode(input), signature: bytes(signature) }));
    }
    return Response.json({ runtime: navigator.userAgent, said });
  },
};

// The harness names it to the platform; nobody calls it.
export class Meter {}
