//! An answer that is not what was asked for: a status, a stable word, a sentence.

use super::http::Reply;
use crate::model::{Problem, Word};

/// Why a request is not carried out. Becomes a page, or JSON below `api/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The `error` of the JSON API.
    pub word: &'static str,
    /// What happened and what to do, in whole sentences.
    pub message: String,
    /// For 405: the methods that the path has.
    pub allow: Option<String>,
    /// When to try again, in seconds.
    pub retry_after: Option<u64>,
    /// What to type, for a page.
    pub snippets: Vec<Snippet>,
}

/// Lines to copy, and what they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// What they are for.
    pub purpose: String,
    /// The lines.
    pub text: String,
}

impl Refusal {
    /// A refusal that stands for no [`Problem`].
    pub fn new(status: u16, word: &'static str, message: impl Into<String>) -> Self {
        Self { status, word, message: message.into(), allow: None, retry_after: None, snippets: Vec::new() }
    }

    /// A malformed request.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Problem::bad_request(message).into()
    }

    /// No page of this address.
    pub fn not_found() -> Self {
        Self::new(404, "not_found", "There is nothing at this address.")
    }

    /// The path exists, but not for this method.
    pub fn method_not_allowed(allow: String) -> Self {
        let message = format!("This address takes {allow} only.");
        Self { allow: Some(allow), ..Self::new(405, "method_not_allowed", message) }
    }

    /// Nobody is signed in.
    pub fn not_signed_in() -> Self {
        Self::new(401, "not_signed_in", "This needs a signed-in person: open the first page and sign in there.")
    }

    /// The same, for a script.
    pub fn not_signed_in_script() -> Self {
        Self::new(
            401,
            "not_signed_in",
            "Nobody is signed in: send the cookie that POST /qemu-web-desktop/api/v1/sign-in sets; while no sign-in \
             method is configured, \"owner\": \"NAME\" starts a session without one.",
        )
    }

    /// All places for what takes long are taken.
    pub fn busy() -> Self {
        Self::new(503, "unavailable", "Many are signing in at this moment. Try again in a few seconds.").after(5)
    }

    /// The same, to be tried again after so many seconds.
    #[must_use]
    pub fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The answer that tells of it, with the headers that belong to it.
    pub fn on(&self, reply: Reply) -> Reply {
        let reply = self.allow.iter().fold(reply, |reply, allow| reply.with("Allow", allow.clone()));
        self.retry_after.iter().fold(reply, |reply, seconds| reply.with("Retry-After", seconds.to_string()))
    }

    /// Signed in, but no administrator.
    pub fn not_for_others() -> Self {
        let sentence = "This is for administrators of the service: those whom [sign_in] of \
                        /etc/qemu-web-desktop/config.toml names, once people sign in there. Root on the server has \
                        'qwdctl monitor'.";
        Self::new(403, "not_allowed", sentence)
    }

    /// The body is larger than any form of ours.
    pub fn too_large() -> Self {
        Self::new(413, "too_large", "The request is larger than 64 kB, which is more than any form here needs.")
    }

    /// The request did not arrive in time.
    pub fn slow() -> Self {
        Self::new(408, "timeout", "The request took too long to arrive. Check the connection and try again.")
    }

    /// One client sends too many bodies side by side.
    pub fn many_bodies() -> Self {
        let message = "This network address sends too many requests at once. Try again in a few seconds.";
        Self::new(429, "too_many_requests", message).after(5)
    }

    /// The address is longer than any of ours.
    pub fn long_target() -> Self {
        Self::new(414, "too_large", "The address is longer than any address here. Open the first page instead.")
    }

    /// The headers are more or larger than a browser's.
    pub fn long_head() -> Self {
        let message =
            "The headers of the request are too large or too many. Remove the cookies of this site and try again.";
        Self::new(431, "too_large", message)
    }

    /// The header `Expect` asks for something unknown.
    pub fn other_expectation() -> Self {
        Self::new(417, "bad_request", "The header 'Expect' may only be 100-continue.")
    }

    /// A version of HTTP that is not spoken here.
    pub fn other_version() -> Self {
        Self::new(505, "bad_request", "This server speaks HTTP/1.0 and HTTP/1.1.")
    }

    /// The configuration was never good.
    pub fn no_configuration() -> Self {
        let message = "The configuration of this service is broken. The administrator finds the file and line with 'qwdctl check'.";
        Self::new(503, "unavailable", message)
    }

    /// The heading of the page that tells of it.
    pub fn title(&self) -> &'static str {
        match self.status {
            400 | 417 | 505 => "This request was not understood",
            401 => "Please sign in",
            403 => "This is not allowed",
            404 => "Not found",
            405 => "This is not how to use this address",
            408 => "Too slow",
            409 => "Not possible now",
            413 | 414 | 431 => "Too large",
            415 => "This kind of data is not taken",
            421 => "Wrong address",
            429 => "Too many attempts",
            503 => "Not available at the moment",
            507 => "No room left",
            _ => "Something went wrong",
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        // The status goes with the word; the word's text is part of the contract.
        let Problem { word, message } = problem;
        let message = if message.is_empty() { default_sentence(word).to_owned() } else { message };
        Self::new(word.http_status(), word.as_str(), message)
    }
}

fn default_sentence(word: Word) -> &'static str {
    match word {
        Word::NoSuchSession => "There is no such session.",
        Word::NotAllowed => "This is not allowed.",
        _ => "This could not be done.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_word_status_and_sentence() {
        let refusal = Refusal::from(Problem::new(Word::LimitReached, "All 10 places are taken."));
        assert_eq!((refusal.status, refusal.word), (409, "limit_reached"));
        assert_eq!(refusal.message, "All 10 places are taken.");
    }
}
