// 「別の電子証明書を選ぶ」 without restarting the browser.
//
// Chromium forgets which certificate was chosen for a site when a handshake
// with it is refused, and by nothing else. So the form tells the server to
// refuse the next handshake, a request in the background meets it, and only
// then the page goes on: the browser asks for a certificate anew.

const TRIES = 3;

async function forget(form) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const told = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      redirect: "error",
      cache: "no-store",
    });
    if (!told.ok) return;
    try {
      await fetch("/", { method: "HEAD", redirect: "manual", cache: "no-store" });
      // Answered: a connection from before was used again. Tell the server once more.
    } catch {
      return;
    }
  }
}

for (const form of document.querySelectorAll("form[data-choose-another]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await forget(form);
    } finally {
      location.assign("/");
    }
  });
}
