//! A request and an answer as plain values, so that everything behind the server can be tested
//! without one. Knows the syntax of HTTP's parts, not what the pages mean.

use super::refusal::Refusal;
use zeroize::Zeroizing;

/// Below this lies all that the portal serves.
pub const BASE: &str = "/qemu-web-desktop";

/// The methods that the portal knows; anything else is answered 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Also stands for HEAD, whose body the server leaves out.
    Get,
    /// A change.
    Post,
    /// An end.
    Delete,
    /// What no route has.
    Other,
}

impl Method {
    /// As it stands in an `Allow` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Other => "",
        }
    }
}

/// What came in. Header names are in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// The target before `?`, not decoded: none of our paths needs that.
    pub path: String,
    /// The target after `?`.
    pub query: String,
    /// In the order they came.
    pub headers: Vec<(String, String)>,
    /// All of it. It may be a password, and is wiped.
    pub body: Zeroizing<Vec<u8>>,
}

impl Request {
    /// Takes the target of the request line apart.
    pub fn new(method: Method, target: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path: path.to_owned(), query: query.to_owned(), headers, body: Zeroizing::new(body) }
    }

    /// The one header of this name; twice the same name is refused.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() {
            return Err(Refusal::bad_request(format!("The header '{name}' came twice; send it once.")));
        }
        Ok(first)
    }

    /// The media type of the body, without parameters, in lower case.
    pub fn media_type(&self) -> Result<String, Refusal> {
        let value = self.header("content-type")?.unwrap_or_default();
        Ok(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// True below `api/`, where errors are JSON.
    pub fn is_api(&self) -> bool {
        self.path.strip_prefix(BASE).is_some_and(|rest| rest == "/api" || rest.starts_with("/api/"))
    }
}

/// What goes out. The headers that every answer has are added by the server.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Beside those that every answer has.
    pub headers: Vec<(&'static str, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Reply {
    /// A page.
    pub fn html(status: u16, page: String) -> Self {
        Self { status, headers: vec![("Content-Type", "text/html; charset=utf-8".into())], body: page.into_bytes() }
    }

    /// A JSON value.
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let mut body = value.to_string().into_bytes();
        body.push(b'\n');
        Self { status, headers: vec![("Content-Type", "application/json".into())], body }
    }

    /// "See other": the browser gets the page at `path`, which lies below [`BASE`].
    pub fn see_other(path: &str) -> Self {
        Self { status: 303, headers: vec![("Location", format!("{BASE}{path}"))], body: Vec::new() }
    }

    /// The same answer with one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_comes_twice_is_refused() {
        let twice = vec![("host".into(), "a".into()), ("host".into(), "b".into())];
        let request = Request::new(Method::Get, "/x?y=1", twice, Vec::new());
        assert_eq!(request.header("host").unwrap_err().status, 400);
        assert_eq!(request.header("origin").unwrap(), None);
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/x", "y=1"));
    }
}
