// ソフトウェアキーボード: PINs typed with the pointer, or by any other means that presses buttons.
//
// A form with PIN fields has one place for it, <div data-keyboard>, which carries the words. The keys type into
// that field of the form which had the focus last. Without this script the fields work as they always do.

const ROWS = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];

function button(words, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "key";
  made.textContent = words;
  made.addEventListener("click", press);
  return made;
}

function build(place) {
  const { keyboard: name, into, count, capitals, erase, close } = place.dataset;
  const form = place.closest("form");
  const fields = [...form.querySelectorAll("input[type=password]")];
  let target = fields.find((field) => field === document.activeElement) ?? fields[0];
  let upper = false;

  const aimedAt = document.createElement("p");
  const told = document.createElement("p"); // how much was typed, never what
  told.setAttribute("role", "status");
  const keys = document.createElement("div");
  keys.className = "keys";
  keys.setAttribute("role", "group");
  keys.setAttribute("aria-label", name);
  keys.hidden = true;

  const aim = () => {
    aimedAt.textContent = into.replace("{label}", target.labels[0].textContent.trim());
  };
  const typed = () => {
    told.textContent = count.replace("{n}", [...target.value].length);
    target.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const letters = [];
  const rows = ROWS.map((row) => {
    const line = document.createElement("div");
    line.className = "key-row";
    for (const letter of row) {
      const key = button(letter, () => {
        target.value += key.textContent;
        typed();
      });
      if (/[a-z]/.test(letter)) letters.push(key);
      line.append(key);
    }
    return line;
  });
  const shift = button(capitals, () => {
    upper = !upper;
    shift.setAttribute("aria-pressed", upper);
    for (const key of letters) key.textContent = upper ? key.textContent.toUpperCase() : key.textContent.toLowerCase();
  });
  shift.setAttribute("aria-pressed", "false");
  const back = button(erase, () => {
    target.value = [...target.value].slice(0, -1).join("");
    typed();
  });
  const toggle = button(name, () => show(keys.hidden));
  toggle.className = "button";
  toggle.setAttribute("aria-expanded", "false");
  const show = (open) => {
    keys.hidden = !open;
    toggle.setAttribute("aria-expanded", open);
    told.textContent = "";
    if (open) aim();
    (open ? rows[0].firstChild : toggle).focus();
  };
  const last = document.createElement("div");
  last.className = "key-row key-words";
  last.append(shift, back, button(close, () => show(false)));
  keys.append(aimedAt, ...rows, last, told);

  // One stop for the Tab key; the arrows go from key to key, as in a toolbar.
  const lines = [...rows, last];
  const enter = (key) => {
    for (const one of keys.querySelectorAll("button")) one.tabIndex = one === key ? 0 : -1;
  };
  enter(rows[0].firstChild);
  keys.addEventListener("focusin", (event) => enter(event.target));
  keys.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(false);
    const line = lines.findIndex((one) => one.contains(event.target));
    const at = [...lines[line].children].indexOf(event.target);
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = lines[(line + step[0] + lines.length) % lines.length].children;
    next[step[0] ? Math.min(at, next.length - 1) : (at + step[1] + next.length) % next.length].focus();
  });
  form.addEventListener("focusin", (event) => {
    if (!fields.includes(event.target)) return;
    target = event.target;
    told.textContent = "";
    aim();
  });
  place.append(toggle, keys);
  place.hidden = false;
}

for (const place of document.querySelectorAll("[data-keyboard]")) build(place);
