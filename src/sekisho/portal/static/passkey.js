// Asks the browser for a passkey, and sends what it answers with the form.
//
// What is asked stands in the form as JSON (WebAuthn Level 3, section 5.1.8 and 5.1.9);
// whether the answer holds is for the server to say.

async function answerOf(form) {
  const asked = JSON.parse(form.dataset.asked);
  const publicKey =
    form.dataset.passkey === "create"
      ? PublicKeyCredential.parseCreationOptionsFromJSON(asked)
      : PublicKeyCredential.parseRequestOptionsFromJSON(asked);
  const credential = await navigator.credentials[form.dataset.passkey]({ publicKey });
  return JSON.stringify(credential.toJSON());
}

function tell(form, trouble) {
  for (const one of form.querySelectorAll("[data-trouble]")) one.hidden = one.dataset.trouble !== trouble;
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(form, null);
    if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) {
      tell(form, "unsupported");
      return;
    }
    // What is missing is told by the server, beside its field, before anything is asked of a device.
    if (form.checkValidity()) {
      button.disabled = true;
      try {
        form.elements.answer.value = await answerOf(form);
      } catch {
        tell(form, "failed");
        return;
      } finally {
        button.disabled = false;
      }
    }
    form.submit();
  });
}
