//! The monitor as a page for browsers in a file: complete in itself, so that any web server can serve it,
//! and renewed by the browser as often as it is written.

use super::super::out;
use crate::host;
use crate::model::Problem;
use crate::overview::{Line, Overview, Server, Used};
use crate::show;
use crate::whole;
use askama::Template;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The look of the portal's pages, as they are served.
const STYLE: &str = include_str!("../../../html/static/qwd.css");

/// A session as the page shows it.
struct Row {
    used: Used,
    line: Line,
    state: &'static str,
    remaining: String,
    /// The moment of its end.
    ends_at: String,
}

impl Row {
    fn new(used: &Used, now: u64) -> Self {
        let session = &used.usage.session;
        Self {
            line: Line::new(used, now),
            state: show::state(session.state),
            remaining: show::remaining(session.expires_at, now),
            ends_at: show::moment(session.expires_at),
            used: used.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    style: &'a str,
    host: &'a str,
    /// After so many seconds the browser looks again; `None`: never.
    interval: Option<u64>,
    now: String,
    moment: String,
    overview: &'a Overview,
    server: Server,
    rows: Vec<Row>,
}

/// The file that the page is written to.
pub(super) struct Page {
    file: PathBuf,
    interval: Option<u64>,
    host: String,
}

impl Page {
    /// Into this file; a link's target stands for the link. What is there and no file is left alone.
    pub(super) fn new(file: &Path, interval: Option<u64>) -> Result<Self, Problem> {
        let name = file.display();
        let real = match fs::canonicalize(file) {
            Ok(real) if real.is_file() => real,
            Ok(_) => {
                return Err(Problem::failed(format!(
                    "{name} is no file that the page could be written to; name another."
                )));
            }
            Err(_) => file.to_owned(),
        };
        Ok(Self { file: real, interval, host: host::name() })
    }

    /// Writes the page anew; whoever reads it meanwhile gets the old one or the new one, whole.
    pub(super) fn write(&self, overview: &Overview, now: u64) -> Result<(), Problem> {
        let failed = |e: io::Error| {
            Problem::failed(format!(
                "The page cannot be written to {}: {e}.",
                out::plain(&self.file.display().to_string())
            ))
        };
        let html =
            self.html(overview, now).map_err(|e| Problem::failed(format!("The page could not be made: {e}.")))?;
        whole::write(&self.file, html.as_bytes(), whole::PUBLIC.as_before()).map_err(failed)
    }

    fn html(&self, overview: &Overview, now: u64) -> Result<String, askama::Error> {
        let page = OverviewPage {
            style: STYLE,
            host: &self.host,
            interval: self.interval,
            now: show::utc(now),
            moment: show::second(now),
            server: Server::from(&overview.status),
            rows: overview.sessions.iter().map(|used| Row::new(used, now)).collect(),
            overview,
        };
        page.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Status;
    use crate::overview::a_usage;
    use crate::policy::Readings;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn overview(owner: &str) -> Overview {
        let status = Status { warnings: vec!["KVM <b>does not work</b>.".into()], ..Status::default() };
        Overview::new(&mut Readings::default(), (status, vec![a_usage("abcdefghjk", owner, 1, 1)]))
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("qwd-page-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn names_are_text_and_nothing_comes_from_elsewhere() {
        let page = Page::new(Path::new("/nonexistent/x"), Some(7)).unwrap();
        let html = page.html(&overview("<script>alert(1)</script>\"'"), 1_060).unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>") && html.contains("alert(1)"), "{html}");
        assert!(html.contains("http-equiv=\"refresh\" content=\"7\"") && html.contains("content=\"default-src 'none'"));
        for elsewhere in ["src=", "href=", "url(", "@import"] {
            assert!(!html.contains(elsewhere), "{elsewhere}");
        }
        let once = Page::new(Path::new("/nonexistent/x"), None).unwrap();
        assert!(!once.html(&overview("bob"), 1_060).unwrap().contains("\"refresh\""));
    }

    #[test]
    fn the_page_takes_the_old_one_s_place_and_rights() {
        let folder = folder("place");
        let (file, link) = (folder.join("x.html"), folder.join("link.html"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o4750)).unwrap();
        symlink("x.html", &link).unwrap();
        Page::new(&link, None).unwrap().write(&overview("bob"), 1_060).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("bob"));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(link.is_symlink() && fs::read_dir(&folder).unwrap().count() == 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let folder = folder("odd");
        for odd in [Path::new("/dev/null"), &folder] {
            let problem = Page::new(odd, None).err().unwrap();
            assert!(problem.message.contains("is no file"), "{}", problem.message);
        }
        let nowhere = Page::new(&folder.join("no/x.html"), None).unwrap();
        assert!(nowhere.write(&overview("bob"), 1_060).unwrap_err().message.contains("cannot be written"));
        fs::remove_dir_all(folder).unwrap();
    }
}
