// DER (X.690), as much of it as PKCS#10 and PKCS#12 need. Octets in, octets out:
// every value is a Uint8Array, or an array of numbers below 256 where it is short.

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// One character for each octet: strings are what JavaScript can compare, search and turn into base64.
export const latin1 = (octets) => Array.from(octets, (octet) => String.fromCharCode(octet)).join("");

export const toBase64 = (octets) => btoa(latin1(octets));
export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// Tag, length, value. X.690 8.1.3: a length below 128 is one octet; a longer one is
// preceded by the number of its octets.
export function tlv(tag, ...contents) {
  const value = concat(...contents);
  if (value.length < 0x80) return concat([tag, value.length], value);
  const length = [];
  for (let rest = value.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff);
  return concat([tag, 0x80 | length.length, ...length], value);
}

export const sequence = (...items) => tlv(0x30, ...items);
export const octetString = (octets) => tlv(0x04, octets);
export const bitString = (octets) => tlv(0x03, [0], octets);
export const utf8String = (text) => tlv(0x0c, new TextEncoder().encode(text));
export const explicit = (number, ...contents) => tlv(0xa0 | number, ...contents);
export const NULL = tlv(0x05);

// X.690 11.6: DER wants the members of a SET OF in the order of their octets.
export const setOf = (...items) =>
  tlv(0x31, ...items.sort((one, other) => (latin1(one) < latin1(other) ? -1 : 1)));

// A number that is not negative, given as octets, high ones first. X.690 8.3: as few octets
// as will do, and a zero in front where the first bit would say "negative".
export function unsigned(octets) {
  const start = octets.findIndex((octet) => octet !== 0);
  const digits = start < 0 ? [0] : octets.subarray(start);
  return tlv(0x02, digits[0] & 0x80 ? [0] : [], digits);
}

// A number below 2^32.
export const integer = (number) =>
  unsigned(Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number));

// X.690 8.19: the first two arcs share an octet; then seven bits an octet, high ones first,
// and the top bit says that more follow.
export function oid(dotted) {
  const [first, second, ...rest] = dotted.split(".").map(Number);
  const octets = [40 * first + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let more = arc >>> 7; more > 0; more >>>= 7) digits.unshift(0x80 | (more & 0x7f));
    octets.push(...digits);
  }
  return tlv(0x06, octets);
}

// UTF-16, high octet first: what BMPString holds, and what PKCS#12 makes of a password.
export const utf16 = (text) =>
  Uint8Array.from({ length: 2 * text.length }, (_, at) =>
    at % 2 ? text.charCodeAt(at >> 1) & 0xff : text.charCodeAt(at >> 1) >> 8);

export const bmpString = (text) => tlv(0x1e, utf16(text));
