// What the person sees: steps, messages, fields. The page has the words and this script has none:
// steps are shown and hidden, messages come from <template> elements and data attributes of the page,
// refusals from the server.

const alertBox = document.querySelector("[role=alert][data-code]");

export const part = (name) => document.querySelector(`[data-part="${name}"]`);

export function show(...names) {
  for (const step of document.querySelectorAll("[data-step]")) {
    step.hidden = !names.includes(step.dataset.step);
  }
}

// The heading takes the focus, so that the next step is read out and the Tab key goes on from there.
export function enter(name) {
  show(name);
  document.querySelector(`[data-step="${name}"] [tabindex="-1"]`).focus();
}

// Fills the elements that name a member of the certificate's answer.
export function tell(answer) {
  for (const place of document.querySelectorAll("[data-show]")) {
    const value = answer[place.dataset.show];
    const isTime = place instanceof HTMLTimeElement;
    if (isTime) place.dateTime = value;
    place.textContent = isTime ? day(value) : value;
  }
}

// The bank's days are Japan's, wherever the computer is.
function day(instant) {
  const style = { dateStyle: "long", timeZone: "Asia/Tokyo" };
  return new Date(instant).toLocaleDateString(document.documentElement.lang, style);
}

// Says no: `code` is the published one; `fields` maps names of the form's fields to what is wrong with them.
export function refuse(form, { code, title = "", detail = "", fields = {} }) {
  alertBox.dataset.code = code;
  alertBox.querySelector('[data-alert="title"]').textContent = title;
  alertBox.querySelector('[data-alert="detail"]').textContent = detail;
  alertBox.hidden = false;
  for (const [name, message] of Object.entries(fields)) mark(form.elements[name], message);
  alertBox.focus();
}

// Says no in the page's own words: <template data-message="code"> with a title and a detail.
export function refuseWith(form, code) {
  const { content } = document.querySelector(`template[data-message="${code}"]`);
  const words = (name) => content.querySelector(`[data-alert="${name}"]`)?.textContent;
  refuse(form, { code, title: words("title"), detail: words("detail") });
}

// What is wrong with a field stands next to it, and belongs to it for a screen reader as well.
function mark(field, message) {
  const note = field?.form.querySelector(`[data-error-for="${field.name}"]`);
  if (!note) return;
  note.textContent = message;
  note.hidden = false;
  field.setAttribute("aria-invalid", "true");
  const described = new Set((field.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
  field.setAttribute("aria-describedby", [...described.add(note.id)].join(" "));
}

export function unmark(form) {
  alertBox.hidden = true;
  alertBox.dataset.code = "";
  for (const note of form.querySelectorAll("[data-error-for]")) {
    note.textContent = "";
    note.hidden = true;
  }
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}

// Whether all fields are right. `wrong` names, for a field that is not, its data attribute with the message;
// the focus goes to the first of them.
export function check(form, wrong) {
  unmark(form);
  for (const field of form.querySelectorAll("input")) {
    const message = wrong(field);
    if (message) mark(field, field.dataset[message]);
  }
  const first = form.querySelector("[aria-invalid]");
  first?.focus();
  return !first;
}

export function emptySecrets(form) {
  for (const field of form.querySelectorAll("input[type=password]")) field.value = "";
}
