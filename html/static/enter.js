// Takes the code out of the link in the mail. Without this it is pasted into its field by hand.

const code = document.getElementById("code");
const secret = location.hash.slice(1);

if (code && /^[A-Za-z0-9_-]{43}$/.test(secret)) {
  code.value = secret;
  document.getElementById("code-field").hidden = true;
}
