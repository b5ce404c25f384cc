// 「別の電子証明書を選ぶ」 without restarting the browser.
//
// Chromium forgets which certificate was chosen for a site when a handshake
// with it is refused, and by nothing else. So the form has the server refuse
// the next handshake with this certificate, a request in the background meets
// that, and only then the page goes on: the browser asks for a certificate anew.

const TRIES = 3;

async function forget(form) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const told = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      redirect: "error",
    });
    if (!told.ok) return;
    try {
      await fetch("/", { method: "HEAD", redirect: "manual", cache: "no-store" });
    } catch {
      return;
    }
    // Answered: a connection from before was used once more, or another request met the refusal.
  }
}

for (const form of document.querySelectorAll("form[data-choose-another]")) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await forget(form);
    } catch {
      // Not heard by the server: the page that follows says what is the matter.
    }
    location.assign("/");
  });
  addEventListener("pageshow", () => {
    button.disabled = false;
  });
}
