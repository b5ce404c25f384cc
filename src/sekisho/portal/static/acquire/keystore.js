// Where the key waits, from before the request until the person has saved the file (IndexedDB).
//
// One record for each person of the bank:
//   id, bank, contract_id, user_id ("" for the administrator)
//   keys      CryptoKeyPair
//   made_at   Date
//   asks      requests that went out with this key and were not refused
//   answer    what the server sent for it, certificate and all, once it came
//
// `asks` is what makes it safe to drop a key. A request whose answer was lost may have made a certificate,
// so that key must ask again; a key whose every request was refused certainly has none, and is not kept:
// a mistyped user ID leaves nothing behind.

const STORE = "acquisitions";
const DAY = 24 * 60 * 60 * 1000;

// The longest time for which a bank may leave a permit open.
const KEEP_DAYS = 80;

let opened;

// Rejects where the browser keeps no data for the site.
export function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("sekisho-acquisition", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

// One transaction, done when it is on the disk and not only in the system's memory:
// the power may fail right after the request.
async function transact(mode, work) {
  const transaction = (await open()).transaction(STORE, mode, { durability: "strict" });
  const committed = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  const [result] = await Promise.all([work(transaction.objectStore(STORE)), committed]);
  return result;
}

const fetched = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

// User IDs are unique ignoring case, so a second try in other letters means the same person.
const idOf = (person) => JSON.stringify([person.bank, person.contract_id, person.user_id.toLowerCase()]);

// The person's record, counted as asking once more. The key is made beforehand, since a transaction does not
// wait for it; where another window was faster, its key counts, so that two windows never ask with two keys.
export async function begin(person, makeKeys) {
  const id = idOf(person);
  const known = await transact("readonly", (store) => fetched(store.get(id)));
  const keys = known ? null : await makeKeys();
  const begun = await transact("readwrite", async (store) => {
    const record = (await fetched(store.get(id))) ?? { ...person, id, keys, made_at: new Date(), asks: 0 };
    if (!record.keys) return null; // dropped by another window since it was seen
    record.asks += 1;
    await fetched(store.put(record));
    return record;
  });
  return begun ?? begin(person, makeKeys);
}

// The record with the server's answer in it.
export async function answered(record, answer) {
  const complete = { ...record, answer };
  await transact("readwrite", (store) => fetched(store.put(complete)));
  return complete;
}

export const forget = (id) => transact("readwrite", (store) => fetched(store.delete(id)));

// The last request with this key was refused.
export const refused = (id) =>
  transact("readwrite", async (store) => {
    const record = await fetched(store.get(id));
    if (!record) return;
    record.asks -= 1;
    await fetched(record.asks > 0 || record.answer ? store.put(record) : store.delete(id));
  });

// What is under way at this bank for an administrator or for users, newest first. What nobody can want
// any more is deleted on the way: certificates that have ended, and keys older than any permit.
export const underWay = (bank, isUser) =>
  transact("readwrite", async (store) => {
    const records = await fetched(store.getAll());
    const now = Date.now();
    const over = ({ answer, made_at }) =>
      (answer ? Date.parse(answer.not_after) : made_at.getTime() + KEEP_DAYS * DAY) < now;
    await Promise.all(records.filter(over).map((record) => fetched(store.delete(record.id))));
    return records
      .filter((record) => !over(record) && record.bank === bank && (record.user_id !== "") === isUser)
      .sort((one, other) => other.made_at - one.made_at);
  });
