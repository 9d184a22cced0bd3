// Client certificates, and what the platform says of a connection with one (`cf.tlsClientAuth`).
//
//   import { BILLING, NONE, REPORTS, shown, spkiOf } from "./harness/certificates.mjs";
//
//   await gateway.fetchAs(shown(REPORTS), path, init)                       // verified, as it is
//   await gateway.fetchAs(shown(REPORTS, { certRevoked: "1" }), path, init)  // with members replaced
//   await gateway.fetchAs(NONE, path, init)                                 // a connection without one
//   spkiOf(REPORTS)                                                         // `spki_sha256` of a policy

import { X509Certificate, createHash } from "node:crypto";

// Made by openssl, good until 2036 and 2126: an EC key of `reports`, an Ed25519 key of `billing`.
export const REPORTS = "MIIBQjCB6gIUWEJH3LkJvEZ5dnAHJ2TyGAsgoqcwCgYIKoZIzj0EAwIwKDENMAsGA1UECgwEQWNtZTEXMBUGA1UEAwwOQWNtZSBDbGllbnQgQ0EwHhcNMjYxMTMwMDYzNDM2WhcNMzYxMTI3MDYzNDM2WjAhMQ0wCwYDVQQKDARBY21lMRAwDgYDVQQDDAdyZXBvcnRzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE46YrMHMCEzVyqE+tLXOQ9CEbriNDog8VGx34EifU3b9mvYzJAamXpiGA1SAthrnVEdOqpgCPreUaWblwzdVFVzAKBggqhkjOPQQDAgNHADBEAiApmLjamu7qWK9d/oKOD0tjZDMz8JpTVyosZcze/C018wIgOuz1rOTSBq/gx1kE3PoXdT7T1wY9fDIk404DgoyBiSc=";
export const BILLING = "MIIBKjCB0AIUWEJH3LkJvEZ5dnAHJ2TyGAsgoqgwCgYIKoZIzj0EAwIwKDENMAsGA1UECgwEQWNtZTEXMBUGA1UEAwwOQWNtZSBDbGllbnQgQ0EwIBcNMjYxMTMwMDYzNDM3WhgPMjEyNjExMDYwNjM0MzdaMDQxCzAJBgNVBAYTAkRFMRMwEQYDVQQKDApBY21lLCBJbmMuMRAwDgYDVQQDDAdiaWxsaW5nMCowBQYDK2VwAyEAOh8R57kfHyxf7nWsoKT+QhP1w1vAIoMsgS7D0JvLxjQwCgYIKoZIzj0EAwIDSQAwRgIhAO7xfmtpX0JXvEi8lRCGO/1P4FPd5Y19VURIdPfmaiqkAiEA53BS67lWOfCNXSfYjZwxdPI9qsFiEC2haSzfTkAEvRs=";
export const NAMES = { [REPORTS]: "CN=reports,O=Acme", [BILLING]: "CN=billing,O=Acme\\, Inc.,C=DE" };

// As the platform tells of a connection with this certificate.
export const shown = (certificate, more = {}) => ({
  tlsClientAuth: {
    certPresented: "1", certVerified: "SUCCESS", certRevoked: "0",
    certRFC9440: `:${certificate}:`, certRFC9440TooLarge: false,
    certSubjectDNRFC2253: NAMES[certificate], certIssuerDNRFC2253: "CN=Acme Client CA,O=Acme",
    certFingerprintSHA256: createHash("sha256").update(Buffer.from(certificate, "base64")).digest("hex"),
    ...more,
  },
});
// As it tells of one without.
export const NONE = { tlsClientAuth: { certPresented: "0", certVerified: "NONE", certRevoked: "0", certRFC9440: "", certSubjectDNRFC2253: "" } };

/** The SHA-256 of a certificate's public key, in hexadecimal. */
export function spkiOf(certificate) {
  const key = new X509Certificate(Buffer.from(certificate, "base64")).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("hex");
}
