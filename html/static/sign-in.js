// Says when Caps Lock is on while a password is typed. Everything on the page works without this, too.

const password = document.getElementById("password");
const hint = document.getElementById("caps");

function look(event) {
  if (!event.getModifierState) return;
  const text = event.getModifierState("CapsLock") ? "Caps Lock is on." : "";
  if (hint.textContent !== text) hint.textContent = text;
}

if (password) {
  for (const kind of ["keydown", "keyup", "mousedown"]) password.addEventListener(kind, look);
}
