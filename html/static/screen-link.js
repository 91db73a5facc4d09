// The secret of a share link. It stands in the fragment, which never travels; this is the one place
// that reads it. A link for one browser is used up by the first who comes: the secret that takes its
// place is kept for this tab, so that reconnecting and reloading go on.

const PLACE = 'qwd-link';
const link = location.hash.slice(1);
let now = link;

try {
  const kept = JSON.parse(sessionStorage.getItem(PLACE));
  if (link && kept?.link === link) {
    now = kept.secret;
  }
} catch {
  // Nothing can be kept in this browser: a reload is then somebody new.
}

/** What to come with; empty where the link has none. */
export const secret = () => now;

/** Comes with this from now on. */
export function replace(secret) {
  if (!secret || secret === now) {
    return;
  }
  now = secret;
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ link, secret }));
  } catch {
    // It holds as long as the page, then.
  }
}

// Another link in the same tab: browsers do not load the page anew for a new fragment alone.
addEventListener('hashchange', () => location.reload());
