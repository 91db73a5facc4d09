// Makes the choices of CPUs and memory follow the machine, and finds machines among many. Everything works
// without this, too: "usual" is what suits the machine, and the server says what it cannot have.

const radios = [...document.querySelectorAll("input[type=radio][name=machine]")];

/** The machine's least, most and usual amount; zero: no bound. */
function bounds(radio, name) {
  return (radio.dataset[name] ?? "0 0 0").split(" ").map(Number);
}

function fits(select, option, [least, most, usual]) {
  if (option.value === "") return !select.dataset.most || usual <= Number(select.dataset.most);
  const amount = Number(option.dataset.amount);
  return amount >= least && (most === 0 || amount <= most);
}

/** Whether this is what the first choice says already. */
function again(option, usual) {
  return option.value !== "" && option.textContent === usual;
}

function follow(radio) {
  const usual = radio.dataset.usual.split("|");
  for (const [at, name] of ["cpus", "memory", "lifetime"].entries()) {
    const select = document.getElementById(name);
    if (!select) return;
    for (const option of select.options) {
      if (option.value === "") option.textContent = `${usual[at]} (usual)`;
      option.hidden = option.disabled = !fits(select, option, bounds(radio, name)) || again(option, usual[at]);
    }
    if (select.selectedOptions[0]?.disabled !== false) {
      select.value = [...select.options].find((option) => !option.disabled)?.value ?? "";
    }
  }
}

function search(field) {
  const words = field.value.toLowerCase().split(/\s+/);
  let found = 0;
  for (const radio of radios) {
    const card = radio.closest(".machine");
    const text = card.textContent.toLowerCase();
    const matches = words.every((word) => text.includes(word));
    // What is chosen stays to be seen.
    card.hidden = !radio.checked && !matches;
    if (matches) found += 1;
  }
  document.getElementById("none-found").textContent = found === 0 ? "No machine is called that." : "";
}

for (const radio of radios) {
  radio.addEventListener("change", () => follow(radio));
  if (radio.checked) follow(radio);
}

const field = document.querySelector(".search");
if (field) {
  field.hidden = false;
  field.addEventListener("input", () => search(field));
  field.addEventListener("keydown", (event) => {
    // Enter searches; it does not start a session.
    if (event.key === "Enter") event.preventDefault();
  });
}
