//! Downloads against servers that behave, and servers that do not.

use super::bed::{Folder, Outcome};
use super::site::{Site, disk, sha256};
use super::web::{Web, orderly, proxy, send, send_raw};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn an_image_is_fetched_once() {
    let web = orderly(disk(1), "\"v1\"");
    let site = Site::one(&web.url("/d/small-1.0.img"));
    let outcome = site.run("download");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "m.img: downloaded (195 KiB)\n"), "{}", outcome.err);
    assert_eq!(site.image(), Some(disk(1)));
    assert_eq!(site.shelf(), ["small-1.0.img"]);
    let meta = fs::metadata(site.machines().join("m.img")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o644);
    let link = fs::read_link(site.machines().join("m.img")).unwrap();
    assert_eq!(link, PathBuf::from("downloads/m.img/small-1.0.img"));

    assert_eq!(site.run("download").out, "m.img: is up to date (195 KiB)\n");
    assert_eq!(fs::metadata(site.machines().join("m.img")).unwrap().ino(), meta.ino());
    assert_eq!(web.seen().len(), 2);
    assert_eq!(web.seen()[1].header("if-none-match"), Some("\"v1\""));
}

#[test]
fn a_removed_link_comes_back_without_a_download() {
    let web = orderly(disk(1), "\"v1\"");
    let site = Site::one(&web.url("/a.img"));
    site.run("download");
    fs::remove_file(site.machines().join("m.img")).unwrap();
    assert_eq!(site.result(), "current");
    assert_eq!(site.image(), Some(disk(1)));
}

#[test]
fn a_new_version_takes_the_old_ones_place() {
    let (old, new) = (orderly(disk(1), "\"v1\""), orderly(disk(2), "\"v2\""));
    let site = Site::one(&old.url("/a-1.img"));
    site.run("download");
    site.catalogue(&format!("[m.img]\nurl={}\n", new.url("/a-2.img")));
    assert_eq!(site.result(), "downloaded");
    assert_eq!(site.image(), Some(disk(2)));
    assert_eq!(site.shelf(), ["a-2.img"]);
}

#[test]
fn a_download_goes_on_after_breaks() {
    let tries = AtomicUsize::new(0);
    let web = Web::new(move |request, stream| {
        let content = disk(1);
        let from = request.header("range").map_or(0, |r| r["bytes=".len()..r.len() - 1].parse().unwrap());
        let to = (from + 70_000).min(content.len());
        let length = format!("Content-Length: {}", content.len() - from);
        let range = format!("Content-Range: bytes {from}-{}/{}", content.len() - 1, content.len());
        let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
        // Each time the connection breaks after 70000 bytes.
        send_raw(stream, status, &["ETag: \"v1\"", &length, &range], &content[from..to]);
        tries.fetch_add(1, Ordering::Relaxed);
    });
    let site = Site::one(&web.url("/a.img"));
    let outcome = site.run("download");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(site.image(), Some(disk(1)));
    let asked: Vec<_> = web.seen().iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(asked, [None, Some("bytes=70000-".to_owned()), Some("bytes=140000-".to_owned())]);
    assert_eq!(web.seen()[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn a_break_is_resumed_by_the_next_run() {
    let calls = AtomicUsize::new(0);
    let web = Web::new(move |request, stream| {
        let content = disk(1);
        match (calls.fetch_add(1, Ordering::Relaxed), request.header("range")) {
            (0, None) => send_raw(stream, "200 OK", &["ETag: \"v1\"", "Content-Length: 200000"], &content[..50_000]),
            (1, Some("bytes=50000-")) => send(stream, "503 Service Unavailable", &[], b""),
            (2, Some("bytes=50000-")) => {
                let headers = ["ETag: \"v1\"", "Content-Range: bytes 50000-199999/200000"];
                send(stream, "206 Partial Content", &headers, &content[50_000..]);
            }
            other => panic!("{other:?}"),
        }
    });
    let site = Site::one(&web.url("/a.img"));
    let broken = site.run("download");
    assert_eq!(broken.code, 1);
    assert!(broken.err.contains("HTTP status 503") && broken.err.contains("1 of 1 machines"), "{}", broken.err);
    assert_eq!(site.image(), None);
    assert_eq!(site.shelf(), ["a.img.part"]);
    assert_eq!(site.result(), "downloaded");
    assert_eq!(site.image(), Some(disk(1)));
}

#[test]
fn what_has_changed_meanwhile_is_fetched_anew() {
    let web = orderly(disk(2), "\"v2\"");
    let site = Site::one(&web.url("/a.img"));
    let shelf = site.machines().join("downloads/m.img");
    fs::create_dir_all(&shelf).unwrap();
    fs::write(shelf.join("a.img.part"), &disk(1)[..70_000]).unwrap();
    let state = format!(r#"{{"url":"{}","validators":{{"etag":"\"v1\""}}}}"#, web.url("/a.img"));
    fs::write(shelf.join(".part-state"), &state).unwrap();
    assert_eq!(site.result(), "downloaded");
    assert_eq!(site.image(), Some(disk(2)));

    // All of it had come, but it was not put in place any more.
    fs::rename(shelf.join("a.img"), shelf.join("a.img.part")).unwrap();
    fs::write(shelf.join(".part-state"), state.replace("v1", "v2")).unwrap();
    assert_eq!(site.result(), "downloaded");
    assert_eq!(web.seen().last().unwrap().header("range"), Some("bytes=200000-"));
}

/// What the second answer's headers, and the first one's, are where a server has changed its mind in between.
type Changes = &'static [(&'static [&'static str], &'static str, &'static [&'static str])];

#[test]
fn a_part_of_another_content_is_not_appended() {
    const TAG: &str = "ETag: \"v1\"";
    const RANGE: &str = "Content-Range: bytes 70000-199999/200000";
    const TIMES: [&str; 2] = ["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Date: Mon, 07 Nov 1994 08:49:37 GMT"];
    let changes: Changes = &[
        (&[TAG], "206 Partial Content", &["ETag: \"v2\"", RANGE]),
        (&[TAG], "206 Partial Content", &[RANGE]),
        (&[TAG], "206 Partial Content", &[TAG]),
        (&[TAG], "206 Partial Content", &[TAG, "Content-Range: bytes 60000-199999/200000"]),
        (&[TAG], "206 Partial Content", &[TAG, "Content-Range: bytes 70000-200000/200001"]),
        (&[TAG], "206 Partial Content", &[TAG, RANGE, "Content-Encoding: gzip"]),
        (&[TAG], "416 Range Not Satisfiable", &[TAG, "Content-Range: bytes */60000"]),
        (&[TAG], "416 Range Not Satisfiable", &[TAG, "Content-Range: bytes */70000"]),
        (&TIMES, "206 Partial Content", &["Last-Modified: Mon, 07 Nov 1994 08:49:37 GMT", RANGE]),
        (&TIMES, "206 Partial Content", &[RANGE]),
        (&["ETag: W/\"v1\""], "206 Partial Content", &["ETag: W/\"v1\"", RANGE]),
    ];
    for (first, status, then) in changes {
        let begun = AtomicUsize::new(0);
        let web = Web::new(move |request, stream| match request.header("range") {
            Some("bytes=70000-") => send_raw(stream, status, then, &disk(2)[70_000..]),
            Some(other) => panic!("{other}"),
            None if begun.fetch_add(1, Ordering::Relaxed) == 0 => {
                send_raw(stream, "200 OK", &[*first, &["Content-Length: 200000"]].concat(), &disk(1)[..70_000]);
            }
            None => send(stream, "200 OK", &["ETag: \"v2\""], &disk(2)),
        });
        let site = Site::one(&web.url("/a.img"));
        assert_eq!(site.result(), "downloaded", "{first:?} {then:?}");
        assert!(site.image() == Some(disk(2)), "{first:?} {status} {then:?}: half of it is old");
        assert_eq!(site.shelf(), ["a.img"]);
    }
}

#[test]
fn a_server_may_send_the_rest_in_parts() {
    let web = Web::new(|request, stream| {
        let content = disk(1);
        let from = request.header("range").map_or(0, |r| r["bytes=".len()..r.len() - 1].parse().unwrap());
        if from == 0 {
            return send_raw(stream, "200 OK", &["ETag: \"v1\"", "Content-Length: 200000"], &content[..50_000]);
        }
        let to = (from + 50_000).min(content.len());
        let range = format!("Content-Range: bytes {from}-{}/200000", to - 1);
        send(stream, "206 Partial Content", &["ETag: \"v1\"", &range], &content[from..to]);
    });
    let site = Site::one(&web.url("/a.img"));
    assert_eq!((site.result().as_str(), site.image() == Some(disk(1))), ("downloaded", true));
    assert_eq!(web.seen().len(), 4);
}

#[test]
fn another_server_does_not_go_on_with_the_first_ones_file() {
    let broken = Web::new(|_, stream| {
        send_raw(stream, "200 OK", &["ETag: \"1\"", "Content-Length: 200000"], &disk(1)[..70_000]);
    });
    // The same tag, for a file of its own.
    let other = orderly(disk(2), "\"1\"");
    let (first, second) = (format!("Location: {}", broken.url("/a.img")), format!("Location: {}", other.url("/a.img")));
    let asked = AtomicUsize::new(0);
    let web = Web::new(move |_, stream| {
        let to = if asked.fetch_add(1, Ordering::Relaxed) == 0 { &first } else { &second };
        send(stream, "302 Found", &[to], b"");
    });
    let site = Site::one(&web.url("/a.img"));
    assert_eq!((site.result().as_str(), site.image() == Some(disk(2))), ("downloaded", true));
}

#[test]
fn unchanged_is_not_believed_of_another_content() {
    let calls = AtomicUsize::new(0);
    let web = Web::new(move |request, stream| {
        match (calls.fetch_add(1, Ordering::Relaxed), request.header("if-none-match")) {
            (0, None) => send(stream, "200 OK", &["ETag: \"v1\""], &disk(1)),
            // Another content, of the same time.
            (1, Some(_)) => send(stream, "304 Not Modified", &["ETag: \"v2\""], b""),
            (2, None) => send(stream, "200 OK", &["ETag: \"v2\""], &disk(2)),
            (_, _) => send(stream, "304 Not Modified", &["ETag: W/\"v2\""], b""),
        }
    });
    let site = Site::one(&web.url("/a.img"));
    assert_eq!([site.result(), site.result(), site.result()], ["downloaded", "downloaded", "current"]);
    assert_eq!(site.image(), Some(disk(2)));
}

#[test]
fn another_content_of_the_same_time_and_length_is_fetched() {
    const TIME: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let calls = AtomicUsize::new(0);
    // A server that knows no conditions.
    let web = Web::new(move |_, stream| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => send(stream, "200 OK", &["ETag: \"v1\"", TIME], &disk(1)),
        _ => send(stream, "200 OK", &["ETag: \"v2\"", TIME], &disk(2)),
    });
    let site = Site::one(&web.url("/a.img"));
    assert_eq!([site.result(), site.result(), site.result()], ["downloaded", "downloaded", "current"]);
    assert_eq!(site.image(), Some(disk(2)));
}

#[test]
fn what_servers_say_before_the_answer_is_skipped() {
    let before = [
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nServer: x\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ];
    for hints in before {
        let web = Web::new(move |_, stream| {
            let mut all =
                format!("{hints}HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n").into_bytes();
            all.extend(disk(1));
            let _ = std::io::Write::write_all(stream, &all);
        });
        let site = Site::one(&web.url("/a.img"));
        let outcome = site.run("download");
        assert_eq!((outcome.code, site.image() == Some(disk(1))), (0, true), "{hints:?}: {}", outcome.err);
    }
}

#[test]
fn servers_say_when_to_try_again() {
    for (status, headers, sentence) in [
        (
            "429 Too Many Requests",
            &["Retry-After: 120"][..],
            "too many requests (HTTP status 429): try again in 2 min.",
        ),
        ("503 Service Unavailable", &[], "has a problem (HTTP status 503): try again later."),
        ("202 Accepted", &["Retry-After: 3600"], "not have the image ready yet (HTTP status 202): try again in 1 h."),
        ("200 OK", &["Content-Encoding: br"], "the encoding 'br'"),
    ] {
        let web = Web::new(move |_, stream| send(stream, status, headers, b"x"));
        let site = Site::one(&web.url("/a.img"));
        let outcome = site.run("download");
        assert!(outcome.code == 1 && outcome.err.contains(sentence), "{status}: {}", outcome.err);
        assert_eq!(site.image(), None);
    }
}

#[test]
fn a_checksum_decides() {
    let web = orderly(disk(1), "\"v1\"");
    let url = web.url("/a.img");
    let site = Site::new(&format!("[m.img]\nurl={url}\nsha256={}\n", sha256(&disk(2))));
    let outcome = site.run("download");
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains(&sha256(&disk(1))) && outcome.err.contains("thrown away"), "{}", outcome.err);
    assert_eq!((site.image(), site.shelf()), (None, vec![]));

    site.catalogue(&format!("[m.img]\nurl={url}\nsha256={}\n", sha256(&disk(1))));
    assert_eq!(site.result(), "downloaded");
    // What the checksum asks for is there: no server needs to be asked.
    let before = web.seen().len();
    assert_eq!(site.result(), "current");
    assert_eq!(web.seen().len(), before);
}

#[test]
fn a_failure_leaves_the_old_image_in_force() {
    let web = orderly(disk(1), "\"v1\"");
    let site = Site::one(&web.url("/a.img"));
    site.run("download");
    for (bad, sentence) in [
        (orderly(b"<html>Login</html>".to_vec(), "\"x\""), "web page"),
        (orderly(vec![], "\"x\""), "empty"),
        (Web::new(|_, stream| send(stream, "404 Not Found", &[], b"gone")), "no such file (HTTP status 404)"),
        (Web::new(|_, _| ()), "m.img: "),
    ] {
        site.catalogue(&format!("[m.img]\nurl={}\n", bad.url("/a.img")));
        let outcome = site.run("download m.img");
        assert_eq!(outcome.code, 1, "{sentence}");
        assert!(outcome.err.contains(sentence), "{sentence}: {}", outcome.err);
        assert_eq!(site.image(), Some(disk(1)), "{sentence}");
    }
}

#[test]
fn one_failure_does_not_stop_the_others() {
    let web = orderly(disk(1), "\"v1\"");
    let catalogue = format!("[a.img]\nurl=http://127.0.0.1:1/x\n[m.img]\nurl={}\n[own.img]\n", web.url("/a.img"));
    let site = Site::new(&catalogue);
    let outcome = site.run("download --json");
    assert_eq!(outcome.code, 1);
    let results = outcome.json();
    let words: Vec<_> = results.as_array().unwrap().iter().map(|o| o["result"].as_str().unwrap()).collect();
    assert_eq!(words, ["failed", "downloaded"]);
    assert!(results[0]["message"].as_str().unwrap().contains("127.0.0.1"), "{results}");
    assert!(outcome.err.contains("1 of 2 machines could not be fetched"), "{}", outcome.err);
}

#[test]
fn names_that_are_not_in_the_catalogue_are_told() {
    let site = Site::new("[own.img]\n");
    for name in ["absent.img", "../x"] {
        let outcome = site.run(&format!("download {name}"));
        assert_eq!(outcome.code, 4);
        assert!(outcome.err.contains("machines.conf"), "{}", outcome.err);
    }
    let own = site.run("download own.img");
    assert!(own.code == 1 && own.err.contains("no url="), "{}", own.err);
}

#[test]
fn what_was_passed_over_is_no_success() {
    let web = orderly(disk(1), "\"v1\"");
    let site = Site::new(&format!("[-m.img]\nurl={}\n", web.url("/a.img")));
    let outcome = site.run("download");
    assert!(outcome.code == 1 && outcome.err.contains("passed over"), "{}", outcome.err);
    assert!(outcome.err.contains("begins with a letter"), "{}", outcome.err);
    // An editor's mark at the beginning, and its ends of lines, are no mistake.
    site.catalogue(&format!("\u{feff}[m.img]\r\nurl={}\r\n", web.url("/a.img")));
    let outcome = site.run("download");
    assert_eq!((outcome.code, site.image()), (0, Some(disk(1))), "{}", outcome.err);
    site.0.write("etc/qemu-web-desktop/config.toml", "\u{feff}[download]\r\ntimeout = 5\r\n");
    assert_eq!(site.result(), "current");
    site.0.write("etc/qemu-web-desktop/machines.conf", b"\xff\xfe[\0m\0");
    let outcome = site.run("download");
    assert!(outcome.code == 1 && outcome.err.contains("UTF-16"), "{}", outcome.err);
}

#[test]
fn redirections_stay_in_the_web() {
    let target = orderly(disk(1), "\"v1\"");
    let there = format!("Location: {}", target.url("/real.img"));
    let web = Web::new(move |request, stream| match request.line.as_str() {
        "GET /good HTTP/1.1" => send(stream, "302 Found", &[&there], b""),
        "GET /loop HTTP/1.1" => send(stream, "302 Found", &["Location: loop"], b""),
        _ => send(stream, "302 Found", &["Location: file:///etc/passwd"], b""),
    });
    let site = Site::one(&web.url("/good"));
    assert_eq!(site.result(), "downloaded");
    for (path, sentence) in [("/bad", "not followed"), ("/loop", "more than 10 times")] {
        site.catalogue(&format!("[m.img]\nurl={}\n", web.url(path)));
        let outcome = site.run("download");
        assert!(outcome.code == 1 && outcome.err.contains(sentence), "{path}: {}", outcome.err);
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let web = Web::new(|_, stream| {
        send_raw(stream, "200 OK", &["Content-Length: 200000"], &disk(1)[..1000]);
        // Held open until the client has gone.
        let _ = std::io::Read::read(stream, &mut [0; 1]);
    });
    let site = Site::one(&web.url("/a.img"));
    site.0.write("etc/qemu-web-desktop/config.toml", "[download]\ntimeout = 1\n");
    let outcome = site.run("download");
    assert!(outcome.code == 1 && outcome.err.contains("sent nothing for 1 s"), "{}", outcome.err);
}

#[test]
fn files_are_copied_and_copied_again_when_they_change() {
    let folder = Folder::new();
    folder.write("my disk.img", disk(1));
    let site = Site::one(&format!("file://{}/my%20disk.img", folder.0.display()));
    assert_eq!(site.result(), "downloaded");
    assert_eq!(site.shelf(), ["my_disk.img"]);
    assert_eq!(site.result(), "current");
    folder.write("my disk.img", [disk(2), vec![0; 512]].concat());
    assert_eq!(site.result(), "downloaded");
    assert_eq!(site.image().map(|i| i.len()), Some(200_512));
    fs::remove_file(folder.0.join("my disk.img")).unwrap();
    let gone = site.run("download");
    assert!(gone.code == 1 && gone.err.contains("No such file"), "{}", gone.err);
    assert_eq!(site.image().map(|i| i.len()), Some(200_512));
}

#[test]
fn a_root_may_be_named_from_where_one_stands() {
    let folder = Folder::new();
    folder.write("d.img", disk(1));
    let site = Site::one(&format!("file://{}/d.img", folder.0.display()));
    let mut command = Command::new(super::bed::qwdctl());
    command
        .current_dir(&site.0.0)
        .args(["--root", ".", "download"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

#[test]
fn what_an_administrator_put_there_is_left_alone() {
    let web = orderly(disk(1), "\"v1\"");
    let site = Site::one(&web.url("/a.img"));
    fs::create_dir_all(site.machines()).unwrap();
    let place = site.machines().join("m.img");
    fs::write(&place, "mine").unwrap();
    let outcome = site.run("download");
    assert!(outcome.code == 1 && outcome.err.contains("left alone"), "{}", outcome.err);
    fs::remove_file(&place).unwrap();
    symlink("/srv/elsewhere.img", &place).unwrap();
    assert!(site.run("download").err.contains("a link to elsewhere"));
    assert_eq!(fs::read_link(&place).unwrap(), PathBuf::from("/srv/elsewhere.img"));
    assert!(web.seen().is_empty());
}

#[test]
fn images_of_the_former_layout_are_not_fetched_again() {
    let web = Web::new(|request, stream| match request.header("if-modified-since") {
        Some("Sun, 06 Nov 1994 08:49:37 GMT") => send(stream, "304 Not Modified", &[], b""),
        _ => send(stream, "200 OK", &[], &disk(2)),
    });
    let site = Site::one(&web.url("/a.img"));
    let shelf = site.machines().join("downloads/m.img");
    fs::create_dir_all(&shelf).unwrap();
    fs::write(shelf.join("a.img"), disk(1)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
    fs::File::options().write(true).open(shelf.join("a.img")).unwrap().set_modified(time).unwrap();
    symlink(shelf.join("a.img"), site.machines().join("m.img")).unwrap();
    assert_eq!(site.result(), "current");
    assert_eq!(site.image(), Some(disk(1)));
}

#[test]
fn proxies_are_used_as_the_environment_says() {
    let web = orderly(disk(1), "\"v1\"");
    let proxy = proxy(web.address);
    let site = Site::one("http://image.example/a.img");
    let run = |variables: &[(&str, &str)]| {
        Outcome::of(site.command("download --json").envs(variables.iter().copied())).json()[0]["result"].clone()
    };
    let address = format!("http://user:pass@{}", proxy.address);
    assert_eq!(run(&[("http_proxy", &address)]), "downloaded");
    let asked = &proxy.seen()[0];
    assert_eq!(asked.line, "GET http://image.example/a.img HTTP/1.1");
    assert_eq!(asked.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
    assert_eq!(asked.header("host"), Some("image.example"));
    // With no_proxy the name would have to be known here, which it is not.
    assert_eq!(run(&[("http_proxy", &address), ("no_proxy", ".example")]), "failed");

    site.0.write("etc/qemu-web-desktop/config.toml", format!("[download]\nservice_proxy = \"{}\"\n", proxy.address));
    assert_eq!(run(&[("http_proxy", "http://127.0.0.1:1")]), "current");
    // https goes through a tunnel, which this proxy refuses.
    site.catalogue("[m.img]\nurl=https://image.example/a.img\n");
    let refused = site.run("download");
    assert!(refused.err.contains("The proxy 127.0.0.1 refuses the connection"), "{}", refused.err);
    assert_eq!(proxy.seen().last().unwrap().line, "CONNECT image.example:443 HTTP/1.1");
}

#[test]
fn two_downloads_at_once_do_not_fight() {
    let site = Site::new("[m.img]\n");
    let machines = site.machines();
    let _lock = qwd::images::fetch::Lock::take(&machines).unwrap();
    let outcome = site.run("download");
    assert!(outcome.code == 1 && outcome.err.contains("Another 'qwdctl download'"), "{}", outcome.err);
}

#[test]
fn a_full_disk_is_told_and_not_left_full() {
    let site = Site::new("");
    fs::create_dir_all(site.machines()).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=66m", "tmpfs"])
        .arg(site.machines())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("skipped: a small file system can be mounted by root only");
        return;
    }
    // Announced: refused before a byte is fetched. Not announced: noticed before the disk is full.
    let announced = Web::new(|_, stream| send_raw(stream, "200 OK", &["Content-Length: 9000000000"], b""));
    let silent = Web::new(|_, stream| send_raw(stream, "200 OK", &[], &vec![7; 70 << 20]));
    let mut told = Vec::new();
    for web in [&announced, &silent] {
        site.catalogue(&format!("[m.img]\nurl={}\n", web.url("/a.img")));
        told.push(site.run("download").err);
    }
    let left = site.shelf();
    assert!(Command::new("umount").arg(site.machines()).status().unwrap().success());
    assert!(told.iter().all(|told| told.contains("not enough room")), "{told:?}");
    assert_eq!(left, Vec::<String>::new());
}
