// The file that the person saves: PKCS#12 (RFC 7292) under a password, with PBES2, AES-256-CBC,
// PBKDF2-HMAC-SHA256 (RFC 8018) and a MAC of HMAC-SHA256.
//
// The programs that have to open it set the bounds. Windows knows these algorithms from Windows 10 1809 and
// Server 2019 on, and refuses an iteration count above 600,000; .NET's X509CertificateLoader refuses one
// above 300,000. NSS, GnuTLS, OpenSSL and Java take more. PBMAC1 (RFC 9579) would be the better MAC,
// but many programs in use cannot check it yet, OpenSSL before 3.4 among them.

import {
  NULL, bmpString, concat, explicit, integer, octetString, oid, sequence, setOf, tlv, utf16,
} from "./der.js";

const ENCRYPTION_ITERATIONS = 300_000;

// The MAC's key comes from PKCS#12's own loop of digests, which WebCrypto does not offer: here each
// round is one call, 4 µs in Chromium, 50 µs in Firefox. So this count, not the one above, is what
// a guesser of the password pays for: 100,000 digests a guess, and the page asks for 12 characters or more.
const MAC_ITERATIONS = 100_000;

const DATA = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA = oid("1.2.840.113549.1.7.6");
const PBES2 = oid("1.2.840.113549.1.5.13");
const PBKDF2 = oid("1.2.840.113549.1.5.12");
const HMAC_WITH_SHA256 = sequence(oid("1.2.840.113549.2.9"), NULL);
const AES_256_CBC = oid("2.16.840.1.101.3.4.1.42");
const SHA256 = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL);
const SHROUDED_KEY_BAG = oid("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG = oid("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE = oid("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME = oid("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID = oid("1.2.840.113549.1.9.21");

const random = (length) => crypto.getRandomValues(new Uint8Array(length));
const sha256 = async (octets) => new Uint8Array(await crypto.subtle.digest("SHA-256", octets));

// RFC 8018 section 6.2: a salt and an IV of its own for each thing that is encrypted.
// Gives the AlgorithmIdentifier and the ciphertext.
async function encrypt(plain, password) {
  const salt = random(16);
  const iv = random(16);
  const secret = await crypto.subtle.importKey("raw", new TextEncoder().encode(password), "PBKDF2", false, [
    "deriveKey",
  ]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt, iterations: ENCRYPTION_ITERATIONS },
    secret,
    { name: "AES-CBC", length: 256 },
    false,
    ["encrypt"],
  );
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, plain));
  const derivation = sequence(
    PBKDF2,
    sequence(octetString(salt), integer(ENCRYPTION_ITERATIONS), HMAC_WITH_SHA256),
  );
  const algorithm = sequence(PBES2, sequence(derivation, sequence(AES_256_CBC, octetString(iv))));
  return { algorithm, ciphertext };
}

// RFC 7292 section 4.2: what is in a bag, and how it is called. The same key ID on the key
// and on its certificate is what joins the two in the eyes of the program that imports them.
function bag(type, content, attributes = []) {
  return sequence(type, explicit(0, content), attributes.length ? setOf(...attributes) : []);
}

const certificateBag = (certificate, attributes) =>
  bag(CERTIFICATE_BAG, sequence(X509_CERTIFICATE, explicit(0, octetString(certificate))), attributes);

const data = (octets) => sequence(DATA, explicit(0, octetString(octets)));

// RFC 5652 section 8 EncryptedData; the [0] is an OCTET STRING in disguise.
async function encryptedData(octets, password) {
  const { algorithm, ciphertext } = await encrypt(octets, password);
  return sequence(
    ENCRYPTED_DATA,
    explicit(0, sequence(integer(0), sequence(DATA, algorithm, tlv(0x80, ciphertext)))),
  );
}

// RFC 7292 appendix B.2 for a MAC key (ID 3) of as many octets as SHA-256 gives, so that one block
// is all there is and the steps that mix blocks fall away.
async function macKey(password, salt) {
  const block = 64;
  const filled = (octets) => {
    const length = block * Math.ceil(octets.length / block);
    return Uint8Array.from({ length }, (_, at) => octets[at % octets.length]);
  };
  let key = concat(new Uint8Array(block).fill(3), filled(salt), filled(utf16(`${password}\0`)));
  for (let round = 0; round < MAC_ITERATIONS; round += 1) key = await sha256(key);
  return key;
}

async function macData(octets, password) {
  const salt = random(16);
  const raw = await macKey(password, salt);
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, octets));
  return sequence(sequence(SHA256, octetString(mac)), octetString(salt), integer(MAC_ITERATIONS));
}

// The file's octets. `certificate` and each member of `chain` are DER. The password has to be ASCII:
// PBES2 takes its UTF-8 octets and the MAC its UTF-16 octets, and only there do all programs agree on both.
export async function pkcs12({ privateKey, certificate, chain, friendlyName, password }) {
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const { algorithm, ciphertext } = await encrypt(pkcs8, password);
  const attributes = [
    sequence(FRIENDLY_NAME, setOf(bmpString(friendlyName))),
    sequence(LOCAL_KEY_ID, setOf(octetString(await sha256(certificate)))),
  ];
  const certificates = sequence(
    certificateBag(certificate, attributes),
    ...chain.map((issuer) => certificateBag(issuer)),
  );
  const key = sequence(bag(SHROUDED_KEY_BAG, sequence(algorithm, octetString(ciphertext)), attributes));
  const safe = sequence(await encryptedData(certificates, password), data(key));
  return sequence(integer(3), data(safe), await macData(safe, password));
}
