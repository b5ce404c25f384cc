// A form is sent once: what is pressed again while the page waits for the answer sends nothing.
//
// Of two the browser shows the second answer alone. The first may be the one page with provisional PINs, and the
// second says only that the form has moved. Without this script forms are sent as they always are.

// An answer that never comes leaves the page as it was: after this it can be used again.
const WAITS_MS = 20_000;

let sent = null;

function waits(form) {
  if (sent === null || performance.now() - sent.at >= WAITS_MS) return false;
  // What answers with a file (data-stays) leaves its page standing, and the other forms on it are free.
  return sent.form === form || !sent.form.hasAttribute("data-stays");
}

// At the document, after the page's own scripts: a form that one of them sends is theirs.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (waits(form)) event.preventDefault();
  else sent = { form, at: performance.now() };
});

// A page that comes back with 「戻る」 from the browser's memory was sent long ago.
addEventListener("pageshow", () => {
  sent = null;
});
