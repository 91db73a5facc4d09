// Makes the choices of CPUs and memory follow the machine, and finds machines among many. Everything works
// without this, too: "usual" is what suits the machine, and the server says what it cannot have.

let radios = [];

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

/** Shows the machines that match, and has one of them chosen: what cannot be seen must not start. */
function search(field) {
  const words = field.value.toLowerCase().split(/\s+/);
  const matches = (radio) => {
    const text = radio.closest(".machine").textContent.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  for (const radio of radios) radio.closest(".machine").hidden = !matches(radio);
  const shown = radios.filter(matches);
  const usable = shown.filter((radio) => !radio.disabled);
  const chosen = usable.find((radio) => radio === picked) ?? usable.find((radio) => radio.checked) ?? usable[0];
  for (const radio of radios) radio.checked = radio === chosen;
  if (chosen) follow(chosen);
  // An Enter in the search that finds nothing starts nothing, either.
  for (const button of document.querySelectorAll("#start button.primary")) button.disabled = !chosen;
  document.getElementById("none-found").textContent = shown.length === 0 ? "No matches." : "";
}

/** The machine that was last picked by hand, or by the server. */
let picked = null;

function setUp() {
  radios = [...document.querySelectorAll("input[type=radio][name=machine]")];
  picked = radios.find((radio) => radio.checked) ?? null;
  for (const radio of radios) {
    radio.addEventListener("change", () => {
      picked = radio;
      follow(radio);
    });
    if (radio.checked) follow(radio);
  }
  const field = document.querySelector(".search");
  if (!field) return;
  field.hidden = false;
  field.addEventListener("input", () => search(field));
  field.addEventListener("keydown", (event) => {
    // Enter searches; it does not start a session.
    if (event.key === "Enter") event.preventDefault();
  });
  // A browser that comes back to the page may have kept what was typed.
  if (field.value) search(field);
}

setUp();
// The list of sessions has replaced a form that was closed.
document.addEventListener("form-opened", setUp);
