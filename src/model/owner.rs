//! Who owns a session: a name, and how it was proven.

use super::{Problem, UserName, text_newtype};
use std::{fmt, str::FromStr};

/// A way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// A mailbox.
    Imap,
    /// A mail server's submission port.
    Smtp,
    /// A directory.
    Ldap,
    /// A link by mail.
    Email,
    /// This host's accounts.
    Pam,
    /// An administrator's program.
    Command,
    /// Apache.
    RemoteUser,
}

/// The methods and their names in the configuration.
pub const METHODS: [(&str, Method); 7] = [
    ("imap", Method::Imap),
    ("smtp", Method::Smtp),
    ("ldap", Method::Ldap),
    ("email", Method::Email),
    ("pam", Method::Pam),
    ("command", Method::Command),
    ("remote_user", Method::RemoteUser),
];

impl Method {
    /// Its name in the configuration, in sign-ins and in the journal.
    pub fn as_str(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("", |(word, _)| word)
    }
}

/// How a name was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Proof {
    /// Not at all: the secret of a browser, while no sign-in method is configured.
    Open,
    /// By the system bus: an account of this host, at its terminal.
    Local,
    /// By a sign-in method.
    Method(Method),
    /// Nobody knows: a record of the version that wrote names alone.
    Unknown,
}

impl Proof {
    /// Return the stable word of the text form and of the JSON API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Local => "local",
            Self::Method(method) => method.as_str(),
            Self::Unknown => "unknown",
        }
    }

    /// Return true if a stranger may have typed the name.
    pub fn is_unverified(self) -> bool {
        matches!(self, Self::Open | Self::Unknown)
    }

    /// Return a name as other people should read it: one that a stranger may have typed says so, and
    /// never looks like an account's.
    pub fn describe(self, name: &str) -> String {
        if self.is_unverified() { format!("{name} (not verified)") } else { name.to_owned() }
    }
}

impl FromStr for Proof {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let fixed = [Self::Open, Self::Local, Self::Unknown].into_iter();
        let mut all = fixed.chain(METHODS.iter().map(|(_, method)| Self::Method(*method)));
        all.find(|proof| proof.as_str() == text)
            .ok_or_else(|| Problem::bad_request("An owner is written like pam:alice or local:alice."))
    }
}

/// The owner of a session: equal only if name and proof are. Its text form is `PROOF:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    proof: Proof,
    name: UserName,
}

const ROOT: &str = "root";
/// Characters of a browser's digest.
const DIGEST: usize = 64;

impl Owner {
    /// Return the account of this host with this name.
    pub fn local(name: UserName) -> Self {
        Self { proof: Proof::Local, name }
    }

    /// Return root at the terminal.
    pub fn root() -> Self {
        Self::local(UserName::known(ROOT))
    }

    /// Return the person whom this method has signed in under this name.
    pub fn signed_in(method: Method, name: UserName) -> Self {
        Self { proof: Proof::Method(method), name }
    }

    /// Return the browser with a secret of this digest, in hexadecimal.
    pub fn browser(digest: &str) -> Result<Self, Problem> {
        if digest.len() == DIGEST && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Ok(Self { proof: Proof::Open, name: digest.parse()? });
        }
        Err(Problem::bad_request("A browser is known by the SHA-256 of its secret."))
    }

    /// Return the owner that a record names. `plain` is the name that it shows, and all that the first
    /// version wrote: of that, only `local:NAME` says how it was proven.
    pub fn recorded(text: &str, plain: &str) -> Self {
        let local = || plain.strip_prefix("local:")?.parse().ok().map(Self::local);
        let unknown = || Self { proof: Proof::Unknown, name: plain.parse().unwrap_or(UserName::known("_")) };
        match text {
            "" => local().unwrap_or_else(unknown),
            text => text.parse().unwrap_or_else(|_| unknown()),
        }
    }

    /// Return how the name was proven.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Return the name; a browser's is its digest.
    pub fn name(&self) -> &UserName {
        &self.name
    }

    /// Return the method and the name of a person who has signed in.
    pub fn account(&self) -> Option<(Method, &UserName)> {
        match self.proof {
            Proof::Method(method) => Some((method, &self.name)),
            Proof::Open | Proof::Local | Proof::Unknown => None,
        }
    }

    /// Return the name as people read it. A browser has none: people read the label that was typed.
    pub fn plain(&self) -> String {
        match self.proof {
            Proof::Local if self.name.as_str() != ROOT => self.to_string(),
            _ => self.name.to_string(),
        }
    }

    /// Return the name under which `[limits.user.NAME]` has an entry, where one can.
    pub fn limits_name(&self) -> Option<UserName> {
        match self.proof {
            Proof::Method(_) => Some(self.name.clone()),
            Proof::Local => self.to_string().parse().ok(),
            Proof::Open | Proof::Unknown => None,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.proof.as_str(), self.name)
    }
}

impl FromStr for Owner {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let (proof, name) = text.split_once(':').unwrap_or(("", text));
        match proof.parse()? {
            Proof::Open => Self::browser(name),
            proof => Ok(Self { proof, name: name.parse()? }),
        }
    }
}
text_newtype!(Owner);

/// A name that somebody types while no sign-in method is configured: for show, and never compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// Characters of the longest.
    pub const LONGEST: usize = 64;

    /// Return the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Label {
    fn default() -> Self {
        Self("Guest".to_owned())
    }
}

/// Characters that are invisible, or change the order in which others are shown.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

impl FromStr for Label {
    type Err = Problem;

    /// Take any text without control characters; an empty one is the default.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.chars().count() > Self::LONGEST || text.chars().any(|c| c.is_control() || is_hidden(c)) {
            return Err(Problem::bad_request(
                "A name has at most 64 characters, and none that is invisible. It may have blanks and letters of any script.",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(text: &str) -> Owner {
        text.parse().unwrap()
    }

    #[test]
    fn an_owner_is_a_name_and_its_proof() {
        let digest = "0a".repeat(32);
        let all =
            ["local:root", "pam:root", "imap:root", "remote_user:root", "unknown:root", &format!("open:{digest}")];
        for (at, text) in all.iter().enumerate() {
            assert_eq!(owner(text).to_string(), *text);
            assert!(all[..at].iter().all(|other| owner(other) != owner(text)), "{text}");
        }
        assert_eq!(owner("local:root"), Owner::root());
        assert_eq!(owner("imap:a:b").account().unwrap(), (Method::Imap, &"a:b".parse().unwrap()));
        for text in ["", "root", ":root", "pam:", "PAM:root", "root:pam", "open:ada", "open:", "pam:a b", "local:../x"]
        {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
        assert!(format!("open:{}", digest.to_uppercase()).parse::<Owner>().is_err());
    }

    #[test]
    fn records_without_a_proof_belong_to_no_account() {
        for plain in ["alice", "root", "pam:alice", "open:alice", "alice (not verified)", ""] {
            assert_eq!(Owner::recorded("", plain).proof(), Proof::Unknown, "{plain}");
        }
        assert_eq!(Owner::recorded("", "local:carol"), owner("local:carol"));
        assert_eq!(Owner::recorded("pam:alice", "alice"), owner("pam:alice"));
        assert_eq!(Owner::recorded("noise", "alice").proof(), Proof::Unknown);
    }

    #[test]
    fn people_read_the_name_alone_unless_nobody_has_verified_it() {
        for (text, plain) in [("local:root", "root"), ("local:carol", "local:carol"), ("pam:root", "root")] {
            assert_eq!(owner(text).plain(), plain);
            assert_eq!(owner(text).proof().describe(plain), plain);
        }
        for proof in [Proof::Open, Proof::Unknown] {
            assert_eq!(proof.describe("root"), "root (not verified)");
        }
    }

    #[test]
    fn a_label_is_any_text_that_can_be_seen() {
        for text in ["Ada Lovelace", "Jürgen", "root", "local:carol", "李雷", "a/b", "<b>", "…"] {
            assert_eq!(text.parse::<Label>().unwrap().as_str(), text);
        }
        assert_eq!(" Ada ".parse::<Label>().unwrap().as_str(), "Ada");
        assert_eq!(["", "  "].map(|text| text.parse::<Label>().unwrap()), [Label::default(), Label::default()]);
        let long = "ü".repeat(Label::LONGEST + 1);
        for text in ["a\nb", "a\0b", "a\u{1b}[2Jb", "a\u{85}b", "a\u{202e}b", "a\u{2028}b", "\u{200b}", &long] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
    }
}
