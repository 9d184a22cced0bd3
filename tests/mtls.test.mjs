// Client certificates, through the built Worker: what the platform says of them (`cf.tlsClientAuth`), and what clients
// say in headers. The tree is tests/trees/bound.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { promisify } from "node:util";
import { buildTree } from "./harness/build.mjs";
import { BILLING, NAMES, NONE, REPORTS, shown, spkiOf } from "./harness/certificates.mjs";
import { bearer, key } from "./harness/e2e.mjs";
import { startGateway } from "./harness/gateway.mjs";
import { command } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const run = promisify(execFile);

let gateway;
let upstream;
before(async () => {
  const build = await buildTree("tests/trees/bound");
  upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  gateway = await startGateway({ build });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
beforeEach(() => { upstream.requests.length = 0; });

async function outcome(cf, { headers = {}, ...init } = {}) {
  const answer = await gateway.fetchAs(cf, "/pets/v1/7", { headers: { "content-type": "application/json", ...headers }, ...init });
  const body = await answer.json();
  return { status: answer.status, code: body.code, body, answer, line: await gateway.line(answer.headers.get("x-request-id")) };
}

test("the certificates of these tests are what they are said to be", () => {
  for (const certificate of [REPORTS, BILLING]) {
    const read = new X509Certificate(Buffer.from(certificate, "base64"));
    assert.ok(NAMES[certificate].includes(read.subject.match(/^CN=(.*)$/m)[1]));
  }
});

test("a verified certificate is a credential: by its key, with what its consumer may", async () => {
  const { status, line } = await outcome(shown(REPORTS));
  assert.deepEqual([status, line.consumer], [200, "reports"]);
  assert.equal(line.subject, spkiOf(REPORTS));
  const put = await outcome(shown(REPORTS), { method: "PUT", body: "{}" });
  assert.deepEqual([put.status, put.code], [403, "operation_not_allowed"]);
});

test("or by its issuer and subject", async () => {
  const { status, line } = await outcome(shown(BILLING), { method: "PUT", body: "{}" });
  assert.deepEqual([status, line.consumer, line.subject], [200, "billing", NAMES[BILLING]]);
  const other = await outcome(shown(BILLING, { certIssuerDNRFC2253: "CN=Acme Client CA,O=Evil" }), { method: "PUT", body: "{}" });
  assert.deepEqual([other.status, other.code], [401, "credential_invalid"]);
});

test("what the platform has not verified, has revoked or does not hand over is nobody", async () => {
  for (const [cf, code, reason] of [
    [shown(REPORTS, { certVerified: "FAILED:self signed certificate" }), "credential_invalid", /has not verified/],
    [shown(REPORTS, { certVerified: "NONE" }), "credential_invalid", /has not verified/],
    [shown(REPORTS, { certVerified: true }), "credential_invalid", /has not verified/],
    [shown(REPORTS, { certVerified: undefined }), "credential_invalid", /has not verified/],
    [shown(REPORTS, { certRevoked: "1" }), "credential_invalid", /revoked/],
    [shown(REPORTS, { certRevoked: undefined }), "credential_invalid", /revoked/],
    [shown(REPORTS, { certRFC9440: "", certRFC9440TooLarge: true }), "credential_invalid", /hand the client certificate over/],
    [shown(REPORTS, { certRFC9440: REPORTS }), "credential_invalid", /cannot be read/],
    [shown(REPORTS, { certRFC9440: `:${REPORTS.slice(4)}:` }), "credential_invalid", /cannot be read/],
    [shown(REPORTS, { certPresented: "0" }), "credential_missing", /no credential/],
    [NONE, "credential_missing", /no credential/],
    [{ tlsClientAuth: null }, "credential_missing", /no credential/],
    [{}, "credential_missing", /no credential/],
  ]) {
    const { status, code: said, line } = await outcome(cf);
    assert.deepEqual([status, said], [401, code], JSON.stringify(cf));
    assert.match(line.reason, reason);
  }
  assert.equal(upstream.requests.length, 0);
});

test("nothing that a client sends is a certificate, nor reaches an upstream as one", async () => {
  const headers = {
    "client-cert": `:${REPORTS}:`, "client-cert-chain": `:${REPORTS}:`,
    "x-ssl-client-verify": "SUCCESS", "x-ssl-client-s-dn": NAMES[REPORTS], "ssl-client-cert": REPORTS,
    "x-client-cert": REPORTS, "x-forwarded-client-cert": `By=spiffe://a;Subject="${NAMES[REPORTS]}"`,
    "cf-client-cert-der-base64": REPORTS, "cf-client-cert-sha256": "00", "x-forwarded-tls-client-cert": REPORTS,
    "cf-cert-presented": "true", "cf-cert-verified": "true", "tls-client-auth": "SUCCESS",
  };
  const { status, code } = await outcome(NONE, { headers });
  assert.deepEqual([status, code], [401, "credential_missing"]);
  const passed = await outcome(NONE, { headers: { ...headers, authorization: await bearer("wide", { scope: "pets:read" }) } });
  assert.equal(passed.status, 200);
  const sent = upstream.requests[0].headers;
  for (const name of Object.keys(headers)) assert.equal(sent[name], undefined, name);
});

test("a certificate and a credential of another consumer are refused, one of nobody says nothing", async () => {
  const authorization = await bearer("wide", { scope: "pets:read" });
  for (const headers of [{ authorization }, { "x-api-key": key("wide") }]) {
    const { status, code } = await outcome(shown(REPORTS), { headers });
    assert.deepEqual([status, code], [400, "credential_ambiguous"]);
  }
  for (const cf of [NONE, shown(REPORTS, { certVerified: "FAILED:x" })]) {
    const { status, line } = await outcome(cf, { headers: { authorization } });
    assert.deepEqual([status, line.consumer], [200, "wide"]);
  }
});

test("a token that is bound to a certificate comes with it and with no other (RFC 8705)", async () => {
  const thumbprint = (certificate) => createHash("sha256").update(Buffer.from(certificate, "base64")).digest("base64url");
  // A certificate of which the policy knows nothing: `reports` and `billing` are others than `wide`.
  const unknown = (more = {}) => shown(BILLING, { certSubjectDNRFC2253: "CN=wide", ...more });
  const authorization = await bearer("wide", { scope: "pets:read", cnf: { "x5t#S256": thumbprint(BILLING) } });
  for (let times = 0; times < 2; times++) {
    const { status, line } = await outcome(unknown(), { headers: { authorization } });
    assert.deepEqual([status, line.consumer], [200, "wide"]);
    for (const cf of [NONE, unknown({ certVerified: "FAILED:x" }), unknown({ certRevoked: "1" }), unknown({ certRFC9440: `:${REPORTS}:`, certSubjectDNRFC2253: "CN=wide" })]) {
      const refused = await outcome(cf, { headers: { authorization } });
      assert.ok([400, 401].includes(refused.status), JSON.stringify(refused.body));
    }
  }
  const wrong = await bearer("wide", { scope: "pets:read", cnf: { "x5t#S256": thumbprint(REPORTS) } });
  const { status, code, line } = await outcome(unknown(), { headers: { authorization: wrong } });
  assert.deepEqual([status, code], [401, "credential_invalid"]);
  assert.match(line.reason, /another certificate/);
});

test("a certificate that is denied opens nothing, by either of its names, until it is lifted", async () => {
  const turnpike = (...args) => run(command(), ["deny", ...args, "--url", gateway.url], { env: { ...process.env, TURNPIKE_TOKEN: key("denier"), NO_COLOR: "1" } });
  const spki = spkiOf(REPORTS);
  for (const [name, denied, other, id] of [[spki, REPORTS, BILLING, "lost-1"], [NAMES[BILLING], BILLING, REPORTS, "lost-2"]]) {
    assert.equal((await outcome(shown(denied))).status, 200);
    const made = await turnpike("certificate", name, "--reason", "its key was lost", "--until", "1h", "--id", id);
    assert.match(made.stdout, /^certificate .* is denied until /);
    const refused = await outcome(shown(denied));
    assert.deepEqual([refused.status, refused.code, refused.line.denied], [403, "denied", id]);
    assert.doesNotMatch(JSON.stringify(refused.body), /lost|certificate/);
    assert.equal((await outcome(shown(other))).status, 200, "the other one goes on");
    const without = await outcome(NONE, { headers: { "x-api-key": key("wide") } });
    assert.equal(without.status, 200, "and so does who shows none");
    await turnpike("lift", id, "--reason", "it was found");
    assert.equal((await outcome(shown(denied))).status, 200);
  }
  await assert.rejects(turnpike("certificate", "CN=nobody", "--reason", "x", "--until", "1h"), /There is no certificate `CN=nobody`/);
});

test("the metadata say that tokens may be bound so", async () => {
  const metadata = await (await gateway.fetch("/.well-known/oauth-protected-resource/pets/v1")).json();
  assert.equal(metadata.tls_client_certificate_bound_access_tokens, true);
});
