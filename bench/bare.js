// The platform's floor: a Worker that passes everything on and looks at nothing. Whatever a gateway
// on Workers does, it does on top of this. Where `fetch` leads is the configuration's affair.
export default {
  fetch(request) {
    return fetch(request);
  },
};
