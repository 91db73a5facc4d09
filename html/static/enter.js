// Takes the code out of the link in the mail, or of a session's page. Without this it is pasted into its
// field by hand.

const code = document.getElementById("code");

function take() {
  const secret = location.hash.slice(1);
  if (code && /^[A-Za-z0-9_-]{43}(\.[0-9a-f]{64})?$/.test(secret)) {
    code.value = secret;
    document.getElementById("code-field").hidden = true;
  }
}

take();
// Browsers do not load the page again for another fragment alone.
addEventListener("hashchange", take);
