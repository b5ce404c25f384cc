// The person's key, and the request for its certificate (PKCS#10, RFC 2986).

import {
  NULL, bitString, explicit, integer, latin1, oid, sequence, setOf, unsigned, utf8String,
} from "./der.js";

const rsa = (bits) => ({
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: bits,
  publicExponent: Uint8Array.of(1, 0, 1),
  hash: "SHA-256",
});

const KEYS = {
  "P-256": { name: "ECDSA", namedCurve: "P-256" },
  "P-384": { name: "ECDSA", namedCurve: "P-384" },
  "RSA-2048": rsa(2048),
  "RSA-3072": rsa(3072),
  "RSA-4096": rsa(4096),
};

// Each curve with the digest of its own strength (RFC 5758 section 3.2).
const ECDSA = {
  "P-256": { hash: "SHA-256", algorithm: sequence(oid("1.2.840.10045.4.3.2")) },
  "P-384": { hash: "SHA-384", algorithm: sequence(oid("1.2.840.10045.4.3.3")) },
};

// sha256WithRSAEncryption; its parameters are NULL, not absent (RFC 4055 section 5).
const RSA_WITH_SHA256 = sequence(oid("1.2.840.113549.1.1.11"), NULL);

// X.520's upper bound of a common name; some parsers reject a request that goes beyond.
const COMMON_NAME_LENGTH = 64;

// `kind` is one of KEYS. Extractable, because the PKCS#12 file has to carry the private key.
export const generateKeys = (kind) => crypto.subtle.generateKey(KEYS[kind], true, ["sign", "verify"]);

async function spki(keys) {
  return new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
}

// WebCrypto gives r and s side by side; X.509 wants a SEQUENCE of two INTEGERs (RFC 3279 section 2.2.3).
function ecdsaSignature(raw) {
  const half = raw.length / 2;
  return sequence(unsigned(raw.subarray(0, half)), unsigned(raw.subarray(half)));
}

async function sign(keys, octets) {
  const { name, namedCurve } = keys.privateKey.algorithm;
  const { hash, algorithm } = ECDSA[namedCurve] ?? { algorithm: RSA_WITH_SHA256 };
  const raw = new Uint8Array(await crypto.subtle.sign({ name, hash }, keys.privateKey, octets));
  return { algorithm, signature: namedCurve ? ecdsaSignature(raw) : raw };
}

// The request as DER. The server names the certificate itself; the subject only tells people
// who look at the request whose it is. The empty [0] stands for "no attributes" (RFC 2986 section 4.1).
export async function certificationRequest(keys, commonName) {
  const subject = sequence(
    setOf(sequence(oid("2.5.4.3"), utf8String(commonName.slice(0, COMMON_NAME_LENGTH)))),
  );
  const info = sequence(integer(0), subject, await spki(keys), explicit(0));
  const { algorithm, signature } = await sign(keys, info);
  return sequence(info, algorithm, bitString(signature));
}

// Whether this certificate was made for this key: a CA copies the public key octet by octet.
export async function certifies(certificate, keys) {
  return latin1(certificate).includes(latin1(await spki(keys)));
}
