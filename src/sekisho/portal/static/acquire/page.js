// The page on which a person acquires a certificate with the browser alone: form, working, save, done.
// The secrets go from the fields into the request and are not kept, but for the minutes in which a code is mailed.

import { certificationRequest, certifies, generateKeys } from "./csr.js";
import { fromBase64, toBase64 } from "./der.js";
import * as keystore from "./keystore.js";
import { pkcs12 } from "./pkcs12.js";
import { check, emptySecrets, enter, part, refuse, refuseWith, show, tell, unmark } from "./screen.js";

// Milliseconds. A request that hangs would leave the person waiting for ever; the same key can ask again.
const PATIENCE = 120_000;

const form = document.querySelector("form[data-acquire]");
const fileForm = document.querySelector("form[data-save]");
const codeForm = document.querySelector("form[data-code-form]"); // users alone have provisional PINs

let record = null; // the acquisition whose file is to be saved
let waiting = null; // what was typed, while the code that it needs besides is on its way
let busy = false;

// The form: ask the server for the certificate ------------------------------------------------------

const underWay = () => keystore.underWay(form.dataset.bank, "user_id" in form.elements);

// A Japanese keyboard easily gives full-width digits; they mean the same person.
function personOf(fields) {
  const typed = (name) => (fields.get(name) ?? "").normalize("NFKC").trim();
  return { bank: form.dataset.bank, contract_id: typed("contract_id"), user_id: typed("user_id") };
}

async function showForm() {
  const lost = (await underWay()).find(({ answer }) => !answer);
  show("form", lost && "resume");
  for (const name of lost ? ["contract_id", "user_id"] : []) {
    const field = form.elements[name];
    if (field?.value === "") field.value = lost[name];
  }
}

async function acquire() {
  if (!check(form, (field) => field.required && field.value.trim() === "" && "required")) return;
  const fields = new URLSearchParams(new FormData(form));
  emptySecrets(form);
  await send(fields);
}

async function send(fields) {
  waiting = null;
  enter("working");
  let reply = await ask(fields);
  // The key lay here until its certificate was ended: a new key, and the permit that is open now.
  if (reply.answer?.code === "key-reused") reply = await ask(fields);
  if (reply.certified) {
    showFile();
    return;
  }
  if (reply.answer?.code.startsWith("mailed-code-") && codeForm) {
    askCode(fields, reply.answer);
    return;
  }
  await showForm();
  if (reply.answer) refuse(form, reply.answer);
  else refuseWith(form, "no-answer");
}

// Provisional PINs: whoever handed them over knows them, the mailed code shows that the person is there.
function askCode(fields, answer) {
  waiting = fields;
  waiting.delete("mailed_code");
  codeForm.elements.mailed_code.value = "";
  const mailed = answer.code === "mailed-code-needed";
  part("code-mailed").hidden = !mailed;
  enter("code");
  if (!mailed) refuse(codeForm, answer);
}

async function sendCode() {
  if (!check(codeForm, (field) => field.required && field.value.trim() === "" && "required")) return;
  const fields = waiting;
  fields.set("mailed_code", codeForm.elements.mailed_code.value);
  codeForm.elements.mailed_code.value = "";
  unmark(codeForm);
  await send(fields);
}

async function again() {
  unmark(codeForm);
  await send(waiting);
}

// One request, and what its outcome means for the key. {} where no answer came through.
async function ask(fields) {
  const person = personOf(fields);
  const asking = await keystore.begin(person, () => generateKeys(form.dataset.key));
  const commonName = person.contract_id + person.user_id + person.bank;
  fields.set("csr", toBase64(await certificationRequest(asking.keys, commonName)));
  let reply;
  try {
    reply = await post(fields);
  } catch (error) {
    console.info("no answer:", error.message);
    return {};
  }
  if (reply.certified) {
    const ours = await certifies(fromBase64(reply.answer.certificate), asking.keys);
    if (!ours) throw new Error("a certificate of another key");
    record = await keystore.answered(asking, reply.answer);
  } else if (["key-reused", "signing-refused"].includes(reply.answer.code)) {
    await keystore.forget(asking.id);
  } else if (reply.status < 500 && reply.status !== 429) {
    await keystore.refused(asking.id); // after a 5xx or a 429 nobody knows whether there is a certificate
  }
  return reply;
}

// Rejects where what came back, if anything, is not the server's answer: a proxy's page, say.
async function post(fields) {
  const response = await fetch(form.dataset.endpoint, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: fields, // fetch gives URLSearchParams the type application/x-www-form-urlencoded
    redirect: "error",
    signal: AbortSignal.timeout(PATIENCE),
  });
  const answer = await response.json();
  const told = response.ok ? answer.certificate : answer.code;
  if (typeof told !== "string") throw new Error(`status ${response.status}`);
  return { status: response.status, certified: response.ok, answer };
}

// The file: key and certificate under a password ----------------------------------------------------

function showFile() {
  tell(record.answer);
  enter("save");
}

// Only printable ASCII: programs disagree about the octets of any other password.
function wrongPassword(field) {
  const first = fileForm.elements.file_password;
  if (field !== first) return field.value !== first.value && "differs";
  if (field.value.length < field.minLength) return "short";
  return !/^[!-~]+$/.test(field.value) && "characters";
}

async function makeFile() {
  if (!check(fileForm, wrongPassword)) return;
  part("making").hidden = false;
  const { keys, answer } = record;
  const file = await pkcs12({
    privateKey: keys.privateKey,
    certificate: fromBase64(answer.certificate),
    chain: answer.chain.map(fromBase64),
    friendlyName: answer.common_name,
    password: fileForm.elements.file_password.value,
  }).finally(() => {
    part("making").hidden = true;
  });
  offer(new Blob([file], { type: "application/x-pkcs12" }), answer.file_name);
}

function offer(blob, name) {
  const link = part("link");
  withdraw();
  link.href = URL.createObjectURL(blob);
  link.download = name;
  part("file").hidden = false;
  link.focus();
}

// Whoever has not followed the link cannot have saved the file (the context menu saves, too).
function pressed() {
  part("saved").hidden = false;
}

function withdraw() {
  const link = part("link");
  URL.revokeObjectURL(link.href);
  link.removeAttribute("href");
  part("file").hidden = true;
  part("saved").hidden = true;
}

// 20 characters out of 32, none of which looks like another: 100 bits.
function generate() {
  const characters = "abcdefghijkmnpqrstuvwxyz23456789";
  const drawn = Array.from(crypto.getRandomValues(new Uint8Array(20)), (octet) => characters[octet & 31]);
  const password = drawn.join("").match(/.{5}/g).join("-");
  unmark(fileForm);
  for (const name of ["file_password", "file_password_again"]) fileForm.elements[name].value = password;
  part("generated").textContent = password;
}

function hideProposal() {
  part("generated").textContent = "";
}

function leaveFile() {
  record = null;
  withdraw();
  emptySecrets(fileForm);
  hideProposal();
}

async function saved() {
  await keystore.forget(record.id);
  leaveFile();
  enter("done");
}

// Somebody else at the same computer: what waits to be saved goes on waiting.
function another() {
  leaveFile();
  enter("form");
}

function close() {
  window.close();
  part("close-by-hand").hidden = window.closed; // a window that a person opened stays open
}

// Wiring --------------------------------------------------------------------------------------------

// One thing at a time; and what nobody foresaw is told, so that the page never just stands still.
const guarded = (action) => async (event) => {
  event.preventDefault();
  if (busy) return;
  busy = true;
  try {
    await action();
  } catch (error) {
    console.error(error);
    if (!record) show("form");
    refuseWith(form, "page-failed");
  } finally {
    busy = false;
  }
};

async function start() {
  form.noValidate = fileForm.noValidate = true; // the page's own words instead of the browser's
  form.addEventListener("submit", guarded(acquire));
  fileForm.addEventListener("submit", guarded(makeFile));
  fileForm.addEventListener("input", hideProposal); // whoever types has another password in mind
  if (codeForm) {
    codeForm.noValidate = true;
    codeForm.addEventListener("submit", guarded(sendCode));
  }
  for (const action of [generate, saved, another, close, again]) {
    document.querySelector(`[data-action="${action.name}"]`)?.addEventListener("click", guarded(action));
  }
  for (const event of ["click", "contextmenu"]) part("link").addEventListener(event, pressed);
  try {
    await keystore.open();
  } catch {
    refuseWith(form, "no-key-store");
    return;
  }
  record = (await underWay()).find(({ answer }) => answer) ?? null;
  if (record) showFile();
  else await showForm();
}

start();
